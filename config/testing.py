"""``manage.py test`` is pytest."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from django.conf import settings


class PytestRunner:
    """Runs the same suite as ``pytest``, in a process of its own; labels are pytest's arguments."""

    def __init__(self, verbosity: int = 1, failfast: bool = False, keepdb: bool = False, **options: Any) -> None:
        self._arguments = [
            *(["-q"] if verbosity == 0 else ["-v"] * (verbosity - 1)),
            *(["--exitfirst"] if failfast else []),
            *(["--reuse-db"] if keepdb else []),
        ]

    def run_tests(self, test_labels: list[str], **kwargs: Any) -> int:
        """The number of the runs that failed: 0 or 1."""
        command = [sys.executable, "-m", "pytest", *self._arguments, *test_labels]
        return int(subprocess.run(command, cwd=settings.BASE_DIR, check=False).returncode != 0)
