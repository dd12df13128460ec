"""What this is and which revision of it runs."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

NAME = "magic"
VERSION = "0.1.0"


@functools.cache
def revision() -> str:
    """The commit that runs: ``REVISION`` of the environment, else the checkout's, else empty."""
    if from_environment := os.environ.get("REVISION"):
        return from_environment
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.strip()
