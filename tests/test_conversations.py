"""Conversations past HTTP: a start that meets a deletion half-way, and those that are older than their table."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from django.db import transaction

from streaming import claims, conversations, lease
from streaming.claims import Claim, Found, Owner, Position
from streaming.conversations import Erasure
from streaming.errors import ConversationErased
from streaming.models import Conversation, Stream
from streaming.params import Ask
from tests.conformance.conftest import PRICES, connected_to
from tests.databases import manage
from tests.faults.records import Records

OWNER = Owner("tests", "u1")


@pytest.fixture
def database(database_url: str, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """A new database of each kind, for this process."""
    with django_db_blocker.unblock(), connected_to(database_url):  # type: ignore[attr-defined]
        yield


def claim(stream_id: str, ask: Ask, process: int) -> Claim:
    """A start whose place was found just now."""
    position = claims.find_position(OWNER, ask)
    return Claim(OWNER, stream_id, ask, "demo", "demo", PRICES, prompt_tokens=1, process=process, position=position)


def test_a_start_whose_conversation_is_deleted_before_it_is_written_makes_no_stream(database: None) -> None:
    [process] = lease.register(["web"])
    ask = Ask(asked={"message": "hello", "conversation_id": "c"})
    first, late = claim("s1", ask, process.pk), claim("s2", ask, process.pk)
    with transaction.atomic():
        claims.claim_all([first])
    with transaction.atomic():
        [key] = conversations.begin_all([Erasure(OWNER, "c")])
    assert key is not None
    with transaction.atomic():
        [refused] = claims.claim_all([late])
    assert isinstance(refused, ConversationErased)
    assert list(Stream.objects.values_list("stream_id", flat=True)) == ["s1"]
    assert Conversation.objects.get().erased_at is not None
    with transaction.atomic():
        [again] = claims.claim_all([first])
    assert isinstance(again, Found)
    assert again.created, "the same start, repeated because its outcome was unknown, is no new one"


def test_a_start_is_refused_before_anything_is_written(database: None) -> None:
    Conversation.objects.create(
        issuer="tests",
        user_id="u1",
        conversation_id="c",
        created_at="2026-01-01T00:00Z",
        updated_at="2026-01-01T00:00Z",
        erased_at="2026-01-02T00:00Z",
    )
    with pytest.raises(ConversationErased):
        claims.find_position(OWNER, Ask(asked={"message": "hello", "conversation_id": "c"}))
    others = Owner("tests", "u2")
    assert claims.find_position(others, Ask(asked={"message": "hello", "conversation_id": "c"})) == Position(None, "c")


def test_starts_are_written_in_one_order_and_answered_in_theirs(database: None) -> None:
    [process] = lease.register(["web"])
    asks = [Ask(asked={"message": "hello", "conversation_id": name}) for name in ("c", "a", "b", "a")]
    wanted = [claim(f"s{number}", ask, process.pk) for number, ask in enumerate(asks)]
    with transaction.atomic():
        found = claims.claim_all(wanted)
    made = [each for each in found if isinstance(each, Found) and each.created]
    assert [each.stream_id for each in made] == ["s0", "s1", "s2", "s3"]
    assert list(Stream.objects.order_by("pk").values_list("stream_id", flat=True)) == ["s1", "s3", "s2", "s0"]


def test_conversations_that_streams_named_before_there_was_a_table_are_there(database_url: str) -> None:
    manage(database_url, "migrate", "streaming", "0001", "--verbosity=0")
    records = Records(database_url)
    columns = "issuer, user_id, stream_id, conversation_id, created_at, fingerprint, format, request_id, model,"
    columns += " provider, message, status, finish_reason, error_type, error"
    for owner, name, day in (("u1", "c", 1), ("u1", "c", 3), ("u2", "c", 2), ("u1", None, 4)):
        records.rows(
            f"INSERT INTO streaming_stream ({columns}) VALUES"
            " ('open', ?, ?, ?, ?, '', 1, '', 'demo', 'demo', 'hello', 'done', '', '', '')",
            *(owner, uuid.uuid4().hex, name, f"2026-01-0{day} 00:00:00+00:00"),
        )
    manage(database_url, "migrate", "--verbosity=0")
    rows = records.rows("SELECT * FROM streaming_conversation ORDER BY user_id")
    days = [(row["user_id"], str(row["created_at"])[:10], str(row["updated_at"])[:10]) for row in rows]
    assert days == [("u1", "2026-01-01", "2026-01-03"), ("u2", "2026-01-02", "2026-01-02")]
