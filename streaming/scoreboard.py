"""The scoreboard: a folder through which the processes of one machine share their metrics.

It is that of prometheus-client's multiprocess mode: each process counts in memory-mapped files of its own, and who is
asked adds up the files of all. This module chooses the folder and marks who lives: a process holds a lock on
``<pid>.lock`` for as long as it lives, whichever way it ends.

Without locks (Windows), without room, or where the folder is not ours, each process counts for itself, in memory.

prometheus-client decides where to count when it is imported: ``join`` comes before, and this module does without it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings as django_settings

from streaming.conf import settings

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger("streaming.scoreboard")

LAYOUT = 1
"""Raised when a metric's labels or buckets change, so that old files and new ones are not added up."""

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

COUNTS = ("counter", "histogram")
"""Kinds of files whose numbers outlive their process."""
LIVE = ("gauge_livesum",)
"""Kinds of files that are true only of a living process."""

FILE_BYTES = 512 * 1024
"""Room for some three thousand series in each file; the labels are bounded to far fewer."""

_held: list[int] = []
"""The descriptor of this process's lock, where it has joined."""


def join() -> None:
    """Share the metrics of this process from now on. A project that has chosen a folder already keeps it."""
    if fcntl is None or "prometheus_client" in sys.modules or VARIABLE in os.environ:
        return
    try:
        folder = _make_folder()
        with locked(folder):
            _enter(folder)
    except OSError as error:
        logger.warning("metrics are those of this process alone", extra={"error": type(error).__name__})
        return
    os.environ[VARIABLE] = str(folder)
    os.register_at_fork(after_in_child=_enter_again)


def joined() -> Path | None:
    """The folder that this process shares its metrics by."""
    return Path(os.environ[VARIABLE]) if _held else None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else looks at the files of the folder, or changes which there are."""
    with (folder / "folder.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def dead(folder: Path) -> Iterator[list[str]]:
    """The numbers of the processes that are dead; their locks are gone afterwards. Needs ``locked``."""
    found: list[Path] = []
    for lock in folder.glob("[0-9]*.lock"):
        if lock.stem == str(os.getpid()):
            continue
        with lock.open("r+") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(lock)
    yield [lock.stem for lock in found]
    for lock in found:
        lock.unlink()


def reserve(path: Path) -> None:
    """Give a file its final size: one that grew on a full disk would kill its process (SIGBUS)."""
    with path.open("ab") as file:
        os.posix_fallocate(file.fileno(), 0, FILE_BYTES)


def _make_folder() -> Path:
    """The folder, ours alone. Raises OSError where it cannot be."""
    if chosen := settings.STREAM_METRICS_DIR:
        folder = Path(chosen)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
    folder = Path(tempfile.gettempdir()) / f"streaming-metrics-{_installation()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    # Anyone may make a folder there, also one of this name.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError("the folder is somebody else's")
    return folder


def _installation() -> str:
    """Names what the processes that count together have in common: user and database."""
    database = django_settings.DATABASES["default"]
    parts = [os.getuid(), LAYOUT, *(str(database.get(name, "")) for name in ("ENGINE", "NAME", "HOST", "PORT"))]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _enter(folder: Path) -> None:
    """Take the lock and the files of this process's number. Counts of a dead one with the same number are kept."""
    number = os.getpid()
    own = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for kind in LIVE:
        (folder / f"{kind}_{number}.db").unlink(missing_ok=True)
    for kind in (*COUNTS, *LIVE):
        reserve(folder / f"{kind}_{number}.db")
    _held[:] = [own]


def _enter_again() -> None:
    """A forked child lets go of its parent's lock and takes one of its own."""
    folder = Path(os.environ[VARIABLE])
    os.close(_held.pop())
    with suppress(OSError), locked(folder):
        _enter(folder)
