"""The Redis log where Redis is silent, killed, full or emptied, and where a closing was not finished."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from streaming import lease
from streaming.claims import Found
from streaming.endings import FAILED, INTERRUPTED
from streaming.errors import LogFull, LogGone
from streaming.eventlog import redis_link
from streaming.eventlog.base import Append, Outcome
from streaming.eventlog.database import append_all
from streaming.eventlog.kept import select_places
from streaming.eventlog.redis import RedisEventLog
from streaming.eventlog.redis_checks import check, findings
from streaming.eventlog.redis_scripts import APPEND, FREEZE, Command, Log, to_arguments
from streaming.models import Process
from streaming.sse import frame
from tests import databases
from tests.conformance.conftest import Bench, Scenario, chunk, connected_to, done
from tests.faults.byte_proxy import ByteProxy
from tests.redis_server import RedisServer

AnyRedis = RedisServer | ByteProxy
Run = Callable[..., None]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be harmed."""
    server = RedisServer(tmp_path)
    try:
        yield server.start()
    finally:
        server.send(signal.SIGCONT)
        server.kill()


@pytest.fixture
def run(sqlite_url: str, django_db_blocker: Any) -> Iterator[Run]:
    """Run a scenario on a Redis."""

    async def with_bench(redis: AnyRedis, scenario: Scenario) -> None:
        bench = await make_bench(redis)
        try:
            async with asyncio.timeout(30):
                await scenario(bench)
        finally:
            await bench.stop()

    def run_on_loop(redis: AnyRedis, scenario: Scenario, new_loop: Any = None) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(with_bench(redis, scenario))

    with django_db_blocker.unblock(), connected_to(sqlite_url):
        yield run_on_loop


async def make_bench(redis: AnyRedis) -> Bench:
    def no_harm(*_: object) -> None:
        raise NotImplementedError

    return await Bench(lambda store: RedisEventLog(store, url=redis.url, poll_seconds=0.1), no_harm).start()


async def log_of(bench: Bench, stream: Found) -> Log:
    """A stream's keys in Redis."""
    [place] = await bench.store.read(select_places, [stream.key])
    assert place is not None
    return Log(f"magic:{place.token}")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nothing else tells of."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.01)


def framed(*events: Any) -> bytes:
    return b"".join(map(frame, events))


def test_an_append_waits_for_a_silent_redis_and_is_made_once(
    run: Run, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "ANSWER_SECONDS", 0.3)

    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0))
        own_redis.send(signal.SIGSTOP)
        appending = asyncio.create_task(bench.append(stream, chunk(1), chunk(2)))
        await until(lambda: bench.log.failing is not None)
        assert await bench.log.read(stream.key, 0) is None, "a reader is not told anything false"
        assert not appending.done()
        own_redis.send(signal.SIGCONT)
        assert await appending is Outcome.APPLIED
        assert await bench.append(stream, done(3)) is Outcome.APPLIED
        assert await bench.frames(stream) == framed(chunk(0), chunk(1), chunk(2), done(3))
        assert bench.log.failing is None

    run(own_redis, scenario)


def test_a_producer_that_renews_its_lease_while_its_log_is_closed_is_too_late(
    run: Run, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(bench: Bench) -> None:
        other = await bench.other()
        stream = await bench.stream()
        await bench.append(stream, chunk(0))
        await bench.store.read(Process.objects.filter(pk=bench.process.pk).update, renewed=0.0)
        assert isinstance(other.log, RedisEventLog)
        repeat = other.log._link.repeat

        async def repeat_and_renew(command: Command) -> Any:
            answer = await repeat(command)
            await bench.store.write(lease.renew, lease.Renewal(bench.process.pk))
            return answer

        monkeypatch.setattr(other.log._link, "repeat", repeat_and_renew)
        closed = await other.log.close(stream.key, INTERRUPTED)
        assert closed is not None and closed.is_new and closed.event.event_id == 1
        assert await bench.append(stream, chunk(1)) is Outcome.CLOSED
        assert await bench.frames(stream) == framed(chunk(0), closed.event)
        await other.stop()

    run(redis, scenario)


def test_a_redis_that_is_killed_and_comes_back_has_lost_nothing(run: Run, own_redis: RedisServer) -> None:
    async def scenario(bench: Bench) -> None:
        other = await bench.other()
        stream = await bench.stream()
        events = [*(chunk(n) for n in range(60)), done(60)]

        async def follow() -> bytes:
            taken, after = b"", -1
            with other.log.follow(stream.key) as follower:
                while True:
                    await follower.wait(after, 60)
                    if page := await other.log.read(stream.key, after):
                        taken, after = taken + page.frames, page.last_event_id
                        if page.closes:
                            return taken

        reading = asyncio.create_task(follow())
        for event in events:
            if event.event_id in {20, 40}:
                own_redis.kill()
                appending = asyncio.create_task(bench.append(stream, event))
                await until(lambda: bench.log.failing is not None)
                await asyncio.to_thread(own_redis.start)
                assert await appending is Outcome.APPLIED
            else:
                assert await bench.append(stream, event) is Outcome.APPLIED
        assert await reading == framed(*events) == await bench.frames(stream)
        await other.stop()

    run(own_redis, scenario)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_connections_that_are_reset_are_made_again(
    run: Run, redis: RedisServer, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        for number in range(3):
            assert await bench.append(stream, chunk(number)) is Outcome.APPLIED
            proxy.reset_after(0, 0, 0)
            proxy.reset_all()
        while not (taken := await bench.frames(stream)):
            pass  # a question that fails is asked again, by who reads
        assert taken == framed(*map(chunk, range(3)))

    with ByteProxy(redis.port, scheme="redis") as proxy:
        run(proxy, scenario, new_loop)


def test_a_full_redis_is_waited_for(run: Run, own_redis: RedisServer) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0))
        with own_redis.client() as client:
            client.config_set("maxmemory", "1")
            appending = asyncio.create_task(bench.append(stream, chunk(1)))
            await until(lambda: bench.log.failing is not None)
            client.config_set("maxmemory", "0")
        assert await appending is Outcome.APPLIED

    run(own_redis, scenario)


def test_a_redis_that_stays_full_ends_streams_which_frees_memory(
    run: Run, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "FULL_SECONDS", 0.1)

    async def scenario(bench: Bench) -> None:
        broken, finished = await bench.stream(), await bench.stream()
        await bench.append(broken, chunk(0))
        await bench.append(finished, chunk(0))
        with own_redis.client() as client:
            client.config_set("maxmemory", "1")
            with pytest.raises(LogFull):
                await bench.append(broken, chunk(1))
            terminal = await bench.close(broken, FAILED, attempt=1)
            assert terminal is not None and terminal.event_id == 1
            assert await bench.append(finished, chunk(1), done(2)) is Outcome.APPLIED, "its end goes by way of SQL"
            assert all(0 < client.ttl(name) <= 120 for name in client.scan_iter())
        assert await bench.frames(broken) == framed(chunk(0), terminal)
        assert await bench.frames(finished) == framed(chunk(0), chunk(1), done(2))

    run(own_redis, scenario)


@pytest.mark.parametrize("lost", ["all", "events"])
def test_what_redis_has_lost_is_told_and_the_stream_ends(run: Run, own_redis: RedisServer, lost: str) -> None:
    async def scenario(bench: Bench) -> None:
        other = await bench.other()
        stream = await bench.stream()
        await bench.append(stream, chunk(0), chunk(1))
        with other.log.follow(stream.key) as follower:
            assert await other.log.read(stream.key, -1) is not None
            with own_redis.client() as client:
                if lost == "all":
                    client.flushall()
                else:
                    client.delete((await log_of(bench, stream)).events)
            assert await bench.append(stream, chunk(2)) is Outcome.FENCED
            terminal = await bench.close(stream, FAILED, attempt=1)
            assert terminal is not None and terminal.event_id == 0
            with pytest.raises(LogGone):
                async with asyncio.timeout(2):
                    while True:
                        await follower.wait(1, 1)
        with pytest.raises(LogGone) as gone:
            await other.log.read(stream.key, 1)
        assert gone.value.end == 1
        assert await other.frames(stream) == frame(terminal)
        await other.stop()

    run(own_redis, scenario)


def test_a_log_with_a_hole_is_closed_before_it(run: Run, redis: RedisServer) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, *(chunk(n) for n in range(5)))
        with redis.client() as client:
            client.xdel((await log_of(bench, stream)).events, "3-0")
        assert await bench.append(stream, done(5)) is Outcome.FENCED
        terminal = await bench.close(stream, FAILED, attempt=1)
        assert terminal is not None and terminal.event_id == 2
        assert await bench.frames(stream) == framed(chunk(0), chunk(1), terminal)

    run(redis, scenario)


def test_a_closing_that_was_only_begun_is_finished_by_another(run: Run, redis: RedisServer) -> None:
    async def scenario(bench: Bench) -> None:
        other = await bench.other()
        mine, dead = await bench.stream(), await bench.stream()
        for stream in (mine, dead):
            await bench.append(stream, chunk(0))
            log = await log_of(bench, stream)
            with redis.client() as client:
                client.script_load(FREEZE.text)
                assert client.execute_command(*FREEZE.on(log, 1, -1, 60)) == ["frozen", 1]
        assert await bench.append(mine, chunk(0)) is Outcome.APPLIED, "it is there"
        assert await bench.append(mine, chunk(1)) is Outcome.FENCED
        assert (await bench.frames(mine)) == frame(chunk(0))
        assert await bench.close(mine, FAILED, attempt=1) is not None
        await bench.store.write(lease.release, bench.process.pk)
        terminal = await other.close(dead, INTERRUPTED)
        assert terminal is not None and await other.frames(dead) == framed(chunk(0), terminal)
        await other.stop()

    run(redis, scenario)


def test_an_end_that_was_not_published_is_published_by_who_follows(run: Run, redis: RedisServer) -> None:
    async def scenario(bench: Bench) -> None:
        other = await bench.other()
        stream = await bench.stream()
        await bench.append(stream, chunk(0))
        log = await log_of(bench, stream)
        with other.log.follow(stream.key) as follower, redis.client() as client:
            client.script_load(FREEZE.text)
            client.execute_command(*FREEZE.on(log, 1, -1, 60))
            await bench.store.write(append_all, Append(stream.key, 1, [chunk(0), done(1)]))
            assert await follower.ended(5)
            await until(lambda: client.hget(log.head, "state") == "closed")
            assert await other.frames(stream) == framed(chunk(0), done(1))
            entries: Any = client.xrange(log.events)
            assert [entry_id for entry_id, _ in entries] == ["1-0", "2-0"]
        await other.stop()

    run(redis, scenario)


def test_a_producer_that_begins_too_late_makes_no_log(run: Run, redis: RedisServer) -> None:
    async def scenario(bench: Bench) -> None:
        late, closed = await bench.stream(), await bench.stream()
        await bench.store.write(lease.release, bench.process.pk)
        terminal = await bench.close(closed, INTERRUPTED)
        assert terminal is not None
        with redis.client() as client:
            client.script_load(APPEND.text)
            now = int(client.time()[0])
            for stream, made_until, answer in ((late, now, "gone"), (closed, now + 30, "closed")):
                log = await log_of(bench, stream)
                told = client.execute_command(*APPEND.on(log, 1, 0, made_until, 60, *to_arguments([chunk(0)])))
                assert told == answer
            assert await bench.frames(late) == b""
            assert await bench.frames(closed) == frame(terminal)

    run(redis, scenario)


def test_what_is_closed_is_replayed_from_sql_once_redis_has_let_go_of_it(run: Run, redis: RedisServer) -> None:
    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        await bench.append(stream, chunk(0), chunk(1))
        log = await log_of(bench, stream)
        with redis.client() as client:
            assert all(120 < client.ttl(name) <= 86_400 for name in (log.events, log.head))
            await bench.append(stream, done(2))
            before = await bench.frames(stream)
            assert all(0 < client.ttl(name) <= 120 for name in (log.events, log.head))
            client.delete(log.events, log.head)
        assert await bench.frames(stream) == before == framed(chunk(0), chunk(1), done(2))
        assert await bench.append(stream, chunk(2)) is Outcome.CLOSED
        assert await bench.append(stream, done(2)) is Outcome.APPLIED, "the same append again"

    run(redis, scenario)


def test_a_log_that_begins_while_a_reader_asks_for_it_is_not_taken_for_lost(
    run: Run, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(bench: Bench) -> None:
        assert isinstance(bench.log, RedisEventLog)
        stream, ask = await bench.stream(), bench.log._link.ask

        async def answer_late(*commands: Command) -> list[Any]:
            answers = await ask(*commands)
            if commands[-1][0] == "XRANGE":
                monkeypatch.undo()
                assert await bench.append(stream, chunk(0)) is Outcome.APPLIED
            return answers

        monkeypatch.setattr(bench.log._link, "ask", answer_late)
        with bench.log.follow(stream.key):
            assert await bench.frames(stream) == frame(chunk(0))

    run(redis, scenario)


def test_two_databases_may_share_a_redis(
    run: Run, redis: RedisServer, sqlite: databases.SQLite, django_db_blocker: Any
) -> None:
    streams = []

    async def scenario(bench: Bench) -> None:
        stream = await bench.stream()
        streams.append(stream.key)
        assert await bench.append(stream, chunk(0, f"of {len(streams)}")) is Outcome.APPLIED
        assert await bench.frames(stream) == frame(chunk(0, f"of {len(streams)}"))

    run(redis, scenario)
    with connected_to(sqlite.new()):
        run(redis, scenario)
    assert streams[0] == streams[1]


SOUND = {"redis_version": "7.2.4", "aof_enabled": 1, "appendfsync": "always", "maxmemory_policy": "noeviction"}


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({}, []),
        ({"redis_version": "6.2.14"}, ["streaming.E009"]),
        ({"redis_version": "10.0.0"}, []),
        ({"cluster_enabled": 1}, ["streaming.E010"]),
        ({"appendfsync": "everysec"}, ["streaming.W005"]),
        ({"appendfsync": None}, ["streaming.W005"]),
        ({"aof_enabled": 0}, ["streaming.W005"]),
        ({"maxmemory_policy": "allkeys-lru"}, ["streaming.W006"]),
    ],
)
def test_a_redis_that_does_not_keep_what_it_is_told_is_a_finding(facts: dict[str, Any], found: list[str]) -> None:
    assert [finding.id for finding in findings({**SOUND, **facts})] == found


def test_a_redis_is_asked_about_itself(own_redis: RedisServer) -> None:
    assert check(own_redis.url) == []
    with own_redis.client() as client:
        client.config_set("appendfsync", "everysec")
    assert [finding.id for finding in check(own_redis.url)] == ["streaming.W005"]
    own_redis.kill()
    assert [finding.id for finding in check(own_redis.url)] == ["streaming.W004"]
    assert [finding.id for finding in check("nonsense")] == ["streaming.E008"]
