"""``manage.py`` as an operator runs it."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.databases import ROOT


def run(url: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a database; its exit code and what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STREAM_")}
    environment |= {"SECRET_KEY": "tests", "DATABASE_URL": url, **env}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
