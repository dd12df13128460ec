"""PostgreSQL servers of the tests: their own, on a free port, to be stopped and to crash."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tests.databases import skip
from tests.servers import free_port

NO_PROGRAMS = "initdb and pg_ctl are not installed (Debian: apt-get install postgresql)"


def find_programs() -> Path | None:
    """Where the newest installed version has its programs."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = debian[-1] if debian else shutil.which("initdb")
    return None if found is None else Path(found).parent


class PostgresServer:
    """One server, durable as shipped. ``start()`` returns when it answers; the port stays over a restart.

    It has a folder of its own, not one of pytest's, which are for their owner alone: PostgreSQL does not run as root.
    """

    def __init__(self) -> None:
        programs = find_programs()
        if programs is None:
            skip(NO_PROGRAMS)
            raise AssertionError
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="magic-postgresql-"))
        self._folder.chmod(0o711)
        self._data = self._folder / "data"
        self.port = free_port(self)
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self._data.mkdir()
        if os.getuid() == 0:
            shutil.chown(self._data, "postgres")
        self._run("initdb", "-U", "postgres", "--auth=trust", "--no-sync")

    def start(self) -> PostgresServer:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -k {self._data} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-w", "-l", str(self._data / "log"), "-o", options, "start")
        return self

    def stop(self, mode: str = "immediate") -> None:
        """``fast`` ends all sessions, and then itself; ``immediate`` is a crash."""
        self._run("pg_ctl", "-m", mode, "-w", "stop")

    def discard(self) -> None:
        """Stop it where it runs, and delete its files."""
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder)

    def new(self) -> str:
        """The URL of a new, empty database."""
        with psycopg.connect(self.url, autocommit=True) as session:
            session.execute(b"CREATE DATABASE magic")
        return self.url.rpartition("/")[0] + "/magic"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._data), *arguments]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]
        # Not a pipe: the server would keep it open.
        with (self._folder / "programs.log").open("ab") as log:
            subprocess.run(command, cwd="/", stdout=log, stderr=log, check=True)
