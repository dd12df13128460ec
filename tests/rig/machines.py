"""What the rig is made of: web processes, Redis, a database, the provider; each a real process that can be harmed."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

from tests import commands
from tests.faults.records import Records
from tests.redis_server import RedisServer
from tests.rig.cluster import Cluster
from tests.rig.disk import Disk
from tests.rig.hosts import OUTSIDE, Host, Network
from tests.rig.provider import Provider
from tests.servers import Server

LEASE_SECONDS = 6
"""Half of what is shipped, so that a fault that outlasts it ends before the next one; the least that is allowed."""
DRAIN_SECONDS = 2
SETTINGS = {
    "STREAM_LEASE_SECONDS": str(LEASE_SECONDS),
    "STREAM_DRAIN_SECONDS": str(DRAIN_SECONDS),
    "STREAM_HEARTBEAT_SECONDS": "4",
    "STREAM_MAX_STREAMS": "10000",
    # The checker reads the rows of the logs.
    "STREAM_SEAL_SECONDS": "36000",
    # As several machines are run: clients have a key, and nobody is taken at their word.
    "STREAM_OPEN_ACCESS": "0",
    "ALLOWED_HOSTS": "*",
    "OPENAI_API_KEY": "sk-tests",
}

OPEN_SINCE = (
    "SELECT s.stream_id FROM streaming_streamhead h JOIN streaming_stream s ON s.id = h.stream_id"
    " WHERE h.process_id = ? AND (NOT h.closed OR extract(epoch FROM s.finished_at) >= ?)"
)


class Process(Protocol):
    """A process of the service."""

    @property
    def pid(self) -> int: ...

    def start(self) -> object: ...

    def send(self, number: signal.Signals) -> None: ...

    def kill(self) -> None: ...

    def terminate(self, timeout: float = 40) -> int: ...


@dataclass(frozen=True)
class Member:
    """A process of the service, and where it runs."""

    kind: str
    """``web``, ``worker``."""
    host: Host
    process: Process


@dataclass
class Machines:
    """All of it. ``network``, ``cluster`` and ``disks`` are there where it runs in namespaces."""

    folder: Path
    webs: list[Server]
    members: list[Member]
    redis: RedisServer
    records: Records
    provider: Provider
    key: str
    """The API key of the clients."""
    back: Host
    """Where Redis and the database are."""
    network: Network | None = None
    cluster: Cluster | None = None
    redis_disk: Disk | None = None
    cluster_disk: Disk | None = None

    def process_key(self, member: Member) -> int:
        """The record of a process in the database."""
        [row] = self.records.rows(
            "SELECT id FROM streaming_process WHERE name LIKE ? ORDER BY id DESC LIMIT 1", f"%:{member.process.pid}:%"
        )
        return int(row["id"])

    def streams_open_since(self, process: int, moment: float) -> frozenset[str]:
        """The streams of a process that are open, or were at some time since ``moment``."""
        return frozenset(row["stream_id"] for row in self.records.rows(OPEN_SINCE, process, moment))

    def check_logs(self) -> None:
        """Raises AssertionError where a process has printed what it must not."""
        for web in self.webs:
            web.refuse_leaks()


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder for the time being that users other than root may enter, as PostgreSQL's; kept where it ends badly."""
    folder = Path(mkdtemp(prefix="magic-rig-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def in_namespaces(folder: Path, appendfsync: str = "always") -> Iterator[Machines]:
    """Two web machines and one with Redis and PostgreSQL, whose disks may be cut off from power. Needs root."""
    with ExitStack() as held:
        network = held.enter_context(Network("web1", "web2", "back"))
        back = network.hosts[-1]
        disks = [Disk(folder, name) for name in ("redis", "postgres")]
        for disk in disks:
            held.callback(disk.unmount)
        options = {"appendfsync": appendfsync, "protected-mode": "no"}
        redis = RedisServer(disks[0].path, host=back.address, enter=back.enter, **options)
        held.callback(redis.kill)
        redis.start()
        cluster = Cluster(back, disks[1].path)
        held.callback(cluster.kill)
        machines = _serve(held, folder, network.hosts[:2], back, redis, cluster.url, OUTSIDE)
        machines.network, machines.cluster = network, cluster
        machines.redis_disk, machines.cluster_disk = disks
        yield machines


@contextmanager
def on_loopback(folder: Path, database_url: str) -> Iterator[Machines]:
    """Two web processes on a database of a kind, with a Redis of their own."""
    with ExitStack() as held:
        (folder / "redis").mkdir()
        redis = RedisServer(folder / "redis")
        held.callback(redis.kill)
        redis.start()
        hosts = [Host("web1"), Host("web2")]
        yield _serve(held, folder, hosts, Host("back"), redis, database_url, "127.0.0.1")


def _serve(
    held: ExitStack, folder: Path, hosts: list[Host], back: Host, redis: RedisServer, url: str, outside: str
) -> Machines:
    provider = Provider(outside, folder)
    held.callback(provider.stop)
    provider.start()
    made = commands.run(url, "create_api_key", "rig")
    assert made.returncode == 0, made.stderr
    webs = []
    for host in hosts:
        web = Server(
            url,
            folder,
            kind="uvicorn",
            host=host.address,
            enter=host.enter,
            REDIS_URL=redis.url,
            OPENAI_BASE_URL=provider.url,
            STREAM_METRICS_DIR=str(folder / host.name),
            **SETTINGS,  # type: ignore[arg-type]  # the other parameters have names that no setting has
        )
        held.callback(web.kill)
        webs.append(web)
    members = [Member("web", host, web) for host, web in zip(hosts, webs, strict=True)]
    for web in webs:
        web.start()
    return Machines(folder, webs, members, redis, Records(url), provider, made.stdout.strip(), back)
