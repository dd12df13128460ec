"""The faults of the rig: each does harm, and undoes it. Which, when and to whom is up to a seed."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from tests.history import Death
from tests.rig.machines import LEASE_SECONDS, Machines, Member

SETTLED_SECONDS = 0.1
"""What a process had sent before it was struck has reached the database."""


@contextmanager
def killed(_: Machines, victim: Member) -> Iterator[None]:
    """``kill -9``."""
    victim.process.kill()
    yield
    victim.process.start()


@contextmanager
def paused(_: Machines, victim: Member) -> Iterator[None]:
    """SIGSTOP, SIGCONT."""
    victim.process.send(signal.SIGSTOP)
    yield
    victim.process.send(signal.SIGCONT)


@contextmanager
def deployed(_: Machines, victim: Member) -> Iterator[None]:
    """SIGTERM: it lets its streams finish for a while, ends, and is started anew."""
    victim.process.terminate()
    yield
    victim.process.start()


Harm = Callable[[Machines, Member], AbstractContextManager[None]]


def cut_off(service: str = "", ways: Sequence[str] = ("in", "out"), percent: int = 100) -> Harm:
    """The network between a machine and that of Redis and PostgreSQL drops packets, or those of one of the two."""

    @contextmanager
    def harm(machines: Machines, victim: Member) -> Iterator[None]:
        assert machines.network is not None and machines.cluster is not None
        ports = {"": None, "redis": machines.redis.port, "postgres": machines.cluster.port}
        machines.network.cut(victim.host, machines.back, ports[service], ways, percent)
        yield
        machines.network.heal(victim.host)

    return harm


@contextmanager
def reset_behind(machines: Machines, victim: Member) -> Iterator[None]:
    """All its connections to Redis and PostgreSQL are reset."""
    assert machines.network is not None
    machines.network.reset(victim.host, "dst", machines.back.address)
    yield


@contextmanager
def reset_in_front(machines: Machines, victim: Member) -> Iterator[None]:
    """All its connections to readers are reset."""
    assert machines.network is not None
    machines.network.reset(victim.host, "sport", "=", f":{victim.process.port}")
    yield


@contextmanager
def redis_killed(machines: Machines, _: Member) -> Iterator[None]:
    machines.redis.kill()
    yield
    machines.redis.start()


@contextmanager
def redis_paused(machines: Machines, _: Member) -> Iterator[None]:
    machines.redis.send(signal.SIGSTOP)
    yield
    machines.redis.send(signal.SIGCONT)


@contextmanager
def redis_without_power(machines: Machines, _: Member) -> Iterator[None]:
    assert machines.redis_disk is not None
    machines.redis.kill()
    machines.redis_disk.cut_power()
    yield
    machines.redis.start()


@contextmanager
def all_without_power(machines: Machines, _: Member) -> Iterator[None]:
    """The machine of Redis and PostgreSQL loses its power."""
    assert machines.redis_disk is not None and machines.cluster_disk is not None and machines.cluster is not None
    machines.redis.kill()
    machines.cluster.kill()
    machines.redis_disk.cut_power()
    machines.cluster_disk.cut_power()
    yield
    machines.redis.start()
    machines.cluster.start()


def database_stopped(how: signal.Signals) -> Harm:
    """PostgreSQL is restarted: SIGINT fast, SIGQUIT immediate."""

    @contextmanager
    def harm(machines: Machines, _: Member) -> Iterator[None]:
        assert machines.cluster is not None
        machines.cluster.stop(how)
        yield
        machines.cluster.start()

    return harm


@contextmanager
def database_closed(machines: Machines, _: Member) -> Iterator[None]:
    """The database of a PostgreSQL that is not the rig's own ends all sessions and takes no new ones."""
    machines.records.allow_connections(False)
    try:
        machines.records.terminate()
        yield
    finally:
        machines.records.allow_connections(True)


@dataclass(frozen=True)
class Fault:
    """``seconds``: how long it lasts, from and to."""

    name: str
    harm: Harm
    seconds: tuple[float, float] = (0.0, 0.0)
    kind: str = "any"
    """Of the members one of which it strikes: web, worker, any; empty: none of them, and no stream may end by it."""
    ends: bool = False
    """Whether the victim's streams end by it, as interrupted."""
    hands_over: bool = False
    """Whether it ends the victim's readers cleanly, for them to go on elsewhere."""


BEYOND_LEASE = (LEASE_SECONDS + 1.0, LEASE_SECONDS + 2.0)
BRIEF = (1.0, LEASE_SECONDS * 0.6)

ANYWHERE = (
    Fault("kill -9", killed, (0.0, 2.0), ends=True),
    Fault("paused beyond its lease", paused, BEYOND_LEASE, ends=True),
    Fault("paused", paused, (0.5, 1.5)),
    Fault("deploy", deployed, hands_over=True),
    Fault("Redis: kill -9", redis_killed, (0.0, 4.0), kind=""),
    Fault("Redis: paused", redis_paused, (1.0, 6.0), kind=""),
)
ON_LOOPBACK = (*ANYWHERE, Fault("database closed", database_closed, (0.5, 2.0), kind=""))
IN_NAMESPACES = (
    *ANYWHERE,
    Fault("cut off from Redis and PostgreSQL beyond its lease", cut_off(), BEYOND_LEASE),
    Fault("cut off from Redis and PostgreSQL", cut_off(), BRIEF),
    Fault("hears nothing of Redis and PostgreSQL", cut_off(ways=("in",)), BEYOND_LEASE),
    Fault("is not heard by Redis and PostgreSQL", cut_off(ways=("out",)), BEYOND_LEASE),
    Fault("cut off from Redis", cut_off("redis"), BEYOND_LEASE),
    Fault("hears nothing of Redis", cut_off("redis", ("in",)), BRIEF),
    Fault("is not heard by Redis", cut_off("redis", ("out",)), BRIEF),
    Fault("cut off from PostgreSQL", cut_off("postgres"), BEYOND_LEASE),
    Fault("hears nothing of PostgreSQL", cut_off("postgres", ("in",)), BRIEF),
    Fault("loses a fifth of all packets from and to Redis and PostgreSQL", cut_off(percent=20), (3.0, 5.0)),
    Fault("connections to Redis and PostgreSQL reset", reset_behind),
    Fault("connections of readers reset", reset_in_front, kind="web"),
    Fault("Redis: power cut", redis_without_power, (0.0, 2.0), kind=""),
    Fault("Redis and PostgreSQL: power cut", all_without_power, (0.0, 2.0), kind=""),
    Fault("PostgreSQL: fast restart", database_stopped(signal.SIGINT), (0.0, 2.0), kind=""),
    Fault("PostgreSQL: immediate restart", database_stopped(signal.SIGQUIT), (0.0, 2.0), kind=""),
)


@dataclass
class Damage:
    """What was done, and to which streams."""

    deaths: list[Death] = field(default_factory=list)
    harmed: set[str] = field(default_factory=set)
    """Streams whose producer's process was struck: these may have ended as interrupted."""
    times: list[tuple[float, float]] = field(default_factory=list)
    """From when to when each fault lasted, in seconds since the epoch."""

    hands_over: bool = False
    """Whether readers may be handed over now."""

    def is_near(self, moment: float, before: float, after: float) -> bool:
        """Whether harm was being done at some time from ``before`` seconds before to ``after`` seconds after."""
        return any(began <= moment + after and moment - before <= ended for began, ended in self.times)


class Schedule:
    """One fault after the other, every ``every`` seconds. Each comes once before any comes again."""

    def __init__(self, machines: Machines, faults: Sequence[Fault], seed: int, say: Callable[[str], None]) -> None:
        self.damage = Damage()
        self._machines = machines
        self._faults = faults
        self._chance = random.Random(f"faults {seed}")
        self._deck: list[Fault] = []
        self._say = say

    def run(self, every: float, count: int) -> None:
        """Blocks until the last one is undone."""
        began = time.monotonic()
        for number in range(1, count + 1):
            time.sleep(max(0.0, began + number * every - time.monotonic()))
            if not self._deck:
                self._deck = self._chance.sample(self._faults, len(self._faults))
            self._strike(self._deck.pop())

    def _strike(self, fault: Fault) -> None:
        victims = [member for member in self._machines.members if fault.kind in {"", "any", member.kind}]
        victim, seconds = self._chance.choice(victims), self._chance.uniform(*fault.seconds)
        process = self._machines.process_key(victim) if fault.kind else 0
        began = time.time()
        self.damage.times.append((began, float("inf")))
        self._say(f"{fault.name}{', ' + victim.host.name if fault.kind else ''}, {seconds:.1f} s")
        self.damage.hands_over = fault.hands_over
        with fault.harm(self._machines, victim):
            if fault.ends:
                time.sleep(SETTLED_SECONDS)
                self.damage.deaths.append(Death(began, self._machines.streams_open_since(process, time.time())))
            time.sleep(seconds)
        if fault.kind:
            self.damage.harmed |= self._machines.streams_open_since(process, began)
        self.damage.times[-1] = (began, time.time())
