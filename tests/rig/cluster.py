"""A PostgreSQL of the rig's own, to be harmed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg

from tests.databases import manage
from tests.rig.hosts import SUBNET, Host
from tests.servers import free_port

AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
"""PostgreSQL does not run as root."""
SETTINGS = {"max_connections": "200", "fsync": "on", "synchronous_commit": "on", "log_checkpoints": "off"}
START_SECONDS = 60


class Cluster:
    """One server with one database, migrated when it is made. ``start()`` returns when it answers."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.port = free_port(self)
        self.url = f"postgres://postgres@{host.address}:{self.port}/magic"
        self.process: subprocess.Popen[bytes] | None = None
        self._host = host
        self._programs = _find_programs()
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        self._data.mkdir()
        for owned in (folder, self._data):
            shutil.chown(owned, "postgres")
        initdb = [*AS_POSTGRES, f"{self._programs}/initdb", "-D", str(self._data), "-U", "postgres", "--auth=trust"]
        subprocess.run(initdb, check=True, capture_output=True)
        with (self._data / "pg_hba.conf").open("a") as access:
            access.write(f"host all all {SUBNET}.0/24 trust\n")
        self.start()
        with psycopg.connect(self._url_of("postgres"), autocommit=True) as session:
            session.execute("CREATE DATABASE magic")
        manage(self.url, "migrate", "--verbosity=0")

    def start(self) -> None:
        options = {"port": str(self.port), "listen_addresses": self._host.address, **SETTINGS}
        options["unix_socket_directories"] = ""
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [*self._host.enter, *AS_POSTGRES, f"{self._programs}/postgres", "-D", str(self._data), *arguments]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self._url_of("postgres"), connect_timeout=3).close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None and time.monotonic() < deadline, self._log.read_text()[-2000:]
                time.sleep(0.02)

    def stop(self, how: signal.Signals) -> None:
        """SIGINT: fast; SIGQUIT: immediate, as a crash. Waits until it is gone."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(30)

    def kill(self) -> None:
        """``kill -9`` of all its processes, and wait until they are gone."""
        if self.process is None or self.process.poll() is not None:
            return
        # Stopped, it starts no more.
        self.process.send_signal(signal.SIGSTOP)
        all_of_them = [self.process.pid, *_children(self.process.pid)]
        for pid in all_of_them:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        while any(Path(f"/proc/{pid}").exists() for pid in all_of_them):
            time.sleep(0.01)

    def _url_of(self, database: str) -> str:
        return self.url.rpartition("/")[0] + "/" + database


def _children(pid: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(") ")[2].split()[1]) == pid:
                yield int(stat.parent.name)


def _find_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    assert found, "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    return found[-1].parent
