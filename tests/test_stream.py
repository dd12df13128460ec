"""Start, attach, resume: the way of an answer."""

from __future__ import annotations

from collections.abc import Callable

from tests.frames import connect, read_all, text_of
from tests.servers import Server


def test_an_answer_is_read_and_replayed_byte_for_byte(database_url: str, serve: Callable[..., Server]) -> None:
    server = serve(database_url)
    first = read_all(server.url, user_id="u1", stream_id="s1", message="/count 50 0")
    assert text_of(first) == "".join(f"{n} " for n in range(1, 51))
    assert first[-1].type == "done"
    again = read_all(server.url, user_id="u1", stream_id="s1")
    assert [frame.raw for frame in again] == [frame.raw for frame in first]


def test_resume_continues_after_any_event(sqlite_url: str, serve: Callable[..., Server]) -> None:
    server = serve(sqlite_url)
    whole = read_all(server.url, user_id="u1", stream_id="s1", message="/count 20 0")
    for last in range(-1, len(whole) - 1):
        rest = read_all(server.url, user_id="u1", stream_id="s1", last_event_id=last)
        assert [frame.raw for frame in rest] == [frame.raw for frame in whole[last + 1 :]]
    with connect(server.url, user_id="u1", stream_id="s1", last_event_id=len(whole) - 1) as (response, _):
        assert response.status_code == 204
