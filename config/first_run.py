"""Before the first start on a local machine: ``python -m config.first_run PORT``. Standard library only.

Writes ``.env`` where there is none, and refuses a port that is taken.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

ENV_FILE = Path(__file__).resolve().parent.parent / ".env"

LOCAL_ENV = """\
# Written by `make run` for this machine alone. The environment wins over this file; .env.example lists all settings.
SECRET_KEY={secret_key}
ALLOWED_HOSTS=localhost,127.0.0.1,[::1]
# Anyone who reaches this server may act for any user_id: only for a server that listens on the loopback.
STREAM_OPEN_ACCESS=1
# Without it, an anonymous identity, as the page gives to every new browser, may send 20 messages an hour.
STREAM_QUOTA_MESSAGES_PER_HOUR=0
"""


def write_env(path: Path) -> bool:
    """Write settings for a local machine, whole or not at all; False where the file is there already."""
    if path.exists():
        return False
    # mkstemp makes a file that only its owner can read.
    handle, draft = tempfile.mkstemp(prefix=".env.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(LOCAL_ENV.format(secret_key=secrets.token_urlsafe(50)))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
            return True
    finally:
        os.unlink(draft)
    return False


def check_port(text: str) -> None:
    """Raises ValueError, with a sentence, for what is not a free port of the loopback."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise ValueError(f"PORT is {text!r}; it must be a number from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise ValueError(f"Port {text} cannot be used: {reason}. For another: PORT=8001 make run") from None


def main(port: str) -> int:
    try:
        check_port(port)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if write_env(ENV_FILE):
        print(f"Wrote {ENV_FILE.name} with a new SECRET_KEY.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
