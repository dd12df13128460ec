"""What the rig is made of: web processes, Redis, a database, the provider; each a real process that can be harmed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests import commands
from tests.faults.records import Records
from tests.redis_server import RedisServer
from tests.rig.cluster import Cluster
from tests.rig.disk import Disk
from tests.rig.hosts import OUTSIDE, Host, Network
from tests.rig.provider import Provider
from tests.servers import Server, StreamWorker

LEASE_SECONDS = 6
"""Half of what is shipped, so that a fault that outlasts it ends before the next one; the least that is allowed."""
DRAIN_SECONDS = 2
NAMES = {"inline": ["web1", "web2"], "workers": ["web1", "web2", "work1", "work2"]}
"""Of the processes, by who produces."""
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


@dataclass(frozen=True)
class Member:
    """A process of the service, and where it runs."""

    kind: str
    """``web``, ``worker``."""
    host: Host
    process: Server


@dataclass
class Machines:
    """All of it. ``network``, ``cluster`` and ``disks`` are there where it runs in namespaces."""

    folder: Path
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

    @property
    def urls(self) -> list[str]:
        """The addresses of the web processes."""
        return [member.process.url for member in self.members if member.kind == "web"]

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
        for member in self.members:
            member.process.refuse_leaks()


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder for the time being that users other than root may enter, as PostgreSQL's; kept where it ends badly."""
    folder = Path(mkdtemp(prefix="magic-rig-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def in_namespaces(folder: Path, producers: str = "workers", appendfsync: str = "always") -> Iterator[Machines]:
    """A machine for each process, and one for Redis and PostgreSQL, whose disks may lose their power. Needs root."""
    with ExitStack() as held:
        network = held.enter_context(Network(*NAMES[producers], "back"))
        *hosts, back = network.hosts
        disks = [Disk(folder, name) for name in ("redis", "postgres")]
        for disk in disks:
            held.callback(disk.unmount)
        options = {"appendfsync": appendfsync, "protected-mode": "no"}
        redis = RedisServer(disks[0].path, host=back.address, enter=back.enter, **options)
        held.callback(redis.kill)
        redis.start()
        cluster = Cluster(back, disks[1].path)
        held.callback(cluster.kill)
        machines = _serve(held, folder, hosts, back, redis, cluster.url, OUTSIDE)
        machines.network, machines.cluster = network, cluster
        machines.redis_disk, machines.cluster_disk = disks
        yield machines


@contextmanager
def on_loopback(folder: Path, database_url: str, producers: str = "workers") -> Iterator[Machines]:
    """The same processes side by side on a database that is not the rig's own, with a Redis that is."""
    with ExitStack() as held:
        (folder / "redis").mkdir()
        redis = RedisServer(folder / "redis")
        held.callback(redis.kill)
        redis.start()
        hosts = [Host(name) for name in NAMES[producers]]
        yield _serve(held, folder, hosts, Host("back"), redis, database_url, "127.0.0.1")


def _serve(
    held: ExitStack, folder: Path, hosts: list[Host], back: Host, redis: RedisServer, url: str, outside: str
) -> Machines:
    provider = Provider(outside, folder)
    held.callback(provider.stop)
    provider.start()
    made = commands.run(url, "create_api_key", "rig")
    assert made.returncode == 0, made.stderr
    places = {"REDIS_URL": redis.url, "OPENAI_BASE_URL": provider.url}
    members = [_make(host, folder, url, {**SETTINGS, **places}, len(hosts)) for host in hosts]
    for member in members:
        held.callback(member.process.kill)
    with ThreadPoolExecutor(len(members)) as pool:
        list(pool.map(lambda member: member.process.start(), members))
    return Machines(folder, members, redis, Records(url), provider, made.stdout.strip(), back)


def _make(host: Host, folder: Path, url: str, settings: dict[str, str], count: int) -> Member:
    """The process of this name, on its host; of more than the two web processes, the others produce."""
    environment: dict[str, Any] = {
        **settings,
        "host": host.address,
        "enter": host.enter,
        "STREAM_METRICS_DIR": str(folder / host.name),
        "STREAM_PRODUCERS": "workers" if count > len(NAMES["inline"]) else "inline",
    }
    if host.name.startswith("work"):
        arguments = ("--drain", str(DRAIN_SECONDS))
        return Member("worker", host, StreamWorker(url, folder, arguments=arguments, **environment))
    return Member("web", host, Server(url, folder, kind="uvicorn", **environment))
