"""Conversations: listed, renamed, erased. The streams that name a conversation are its content.

Erasing is "forget the text, keep the numbers". It begins with a mark that no start gets past, and is
done for each stream once that is closed: by who asked, else by the sweeper of any process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, Max, Min, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Left
from django.utils import timezone

from streaming import retention
from streaming.claims import Owner
from streaming.errors import FieldError, InvalidRequest
from streaming.events import usd
from streaming.models import Conversation, Stream
from streaming.store import Store

MAX_TITLE_CHARS = 200
SHOWN_CHARS = 80
"""As much of a message is shown in a list."""

CURSOR = re.compile(r"([0-9]{1,17}):([A-Za-z0-9_.:-]{1,128})", re.ASCII)
"""When the last conversation of a page was updated, and its id: so nothing that moves up is missed or repeated."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NOT_IN_TITLES = re.compile("[\0-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Erasure:
    """A conversation that is to be erased."""

    owner: Owner
    conversation_id: str


@dataclass(frozen=True, slots=True)
class Renaming:
    """A new title of a conversation; None: the default again."""

    owner: Owner
    conversation_id: str
    title: str | None


def contains(field: str, text: str) -> Q:
    """A search that does not tell upper from lower case; SQLite's own LIKE knows that of ASCII alone."""
    if connection.vendor == "sqlite":
        return Q(**{f"{field}__iregex": re.escape(text)})
    return Q(**{f"{field}__icontains": text})


def page(owner: Owner, *, limit: int, before: str | None = None, query: str = "") -> dict[str, Any]:
    """One's own conversations, the one with the newest message first; ``next`` is the next page's ``before``.

    ``query`` is searched for in titles and messages. Raises InvalidRequest for a ``before`` that is no cursor.
    """
    rows = _of(owner)
    if query:
        said = _streams(owner).filter(contains("message", query), conversation_id=OuterRef("conversation_id"))
        rows = rows.filter(contains("title", query) | Exists(said))
    if before is not None:
        updated_at, conversation_id = _position(before)
        rows = rows.filter(Q(updated_at__lt=updated_at) | Q(updated_at=updated_at, conversation_id__lt=conversation_id))
    found = list(rows.order_by("-updated_at", "-conversation_id")[: limit + 1])
    shown = found[:limit]
    following = _cursor(shown[-1]) if len(found) > limit else None
    return {"conversations": _described(owner, shown), "next": following}


def described(owner: Owner, conversation_id: str) -> dict[str, Any] | None:
    """A conversation as in the list; None where the owner has no such one."""
    found = _of(owner).filter(conversation_id=conversation_id).first()
    return None if found is None else _described(owner, [found])[0]


def parse_title(value: Any) -> str | None:
    """A title as given, without the blanks around it; null for the default. Raises ValueError with the rule."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a string that is not empty, or null")
    title = value.strip()
    if len(title) > MAX_TITLE_CHARS:
        raise ValueError(f"must be at most {MAX_TITLE_CHARS} characters long")
    if _NOT_IN_TITLES.search(title):
        raise ValueError("must not contain control characters or a lone surrogate")
    return title


def rename_all(renamings: list[Renaming]) -> list[bool]:
    """Set titles; answers whether there is such a conversation."""
    return [
        bool(_of(renaming.owner).filter(conversation_id=renaming.conversation_id).update(title=renaming.title))
        for renaming in renamings
    ]


def begin_all(erasures: list[Erasure]) -> list[int | None]:
    """Mark conversations as erased and ask for the end of their live streams; answers their keys.

    None where the owner has no such conversation. One that is erased already is begun again, in vain.
    """
    return [_begin(erasure) for erasure in erasures]


def find_open(conversation: int) -> list[str]:
    """The ids of a conversation's live streams."""
    return list(_content(conversation).filter(head__closed=False).values_list("stream_id", flat=True))


def find_unfinished() -> list[int]:
    """The conversations that are marked, and not yet empty."""
    return list(Conversation.objects.filter(erasing=True).values_list("pk", flat=True))


async def finish(store: Store, conversation: int) -> bool:
    """Empty an erased conversation, batch by batch; answers whether nothing is left to do."""
    while (rest := await store.write(wipe_some, conversation)) and rest.goes_on:
        pass
    return not rest


@dataclass(frozen=True, slots=True)
class Rest:
    """Something of a conversation is still to be emptied; ``goes_on``: now, else once it is closed."""

    goes_on: bool


def wipe_some(conversations: list[int]) -> list[Rest | None]:
    """Empty some closed streams of each conversation; None where nothing is left."""
    return [_wipe_some(conversation) for conversation in conversations]


def _begin(erasure: Erasure) -> int | None:
    now = timezone.now()
    key = {"issuer": erasure.owner.issuer, "user_id": erasure.owner.user_id}
    named = Conversation.objects.filter(**key, conversation_id=erasure.conversation_id)
    if named.filter(erased_at__isnull=True).update(erased_at=now, erasing=True, title=None):
        own = _streams(erasure.owner).filter(conversation_id=erasure.conversation_id)
        own.filter(finished_at__isnull=True, cancel_requested_at__isnull=True).update(cancel_requested_at=now)
    return named.values_list("pk", flat=True).first()


def _wipe_some(conversation: int) -> Rest | None:
    kept = _content(conversation).filter(pruned_at__isnull=True)
    wiped = retention.wipe(retention.take(kept.filter(head__closed=True).order_by("pk")))
    if kept.exists():
        return Rest(goes_on=wiped.streams > 0 and kept.filter(head__closed=True).exists())
    Conversation.objects.filter(pk=conversation, erasing=True).update(erasing=False)
    return None


def _of(owner: Owner) -> QuerySet[Conversation]:
    return Conversation.objects.filter(issuer=owner.issuer, user_id=owner.user_id, erased_at__isnull=True)


def _streams(owner: Owner) -> QuerySet[Stream]:
    return Stream.objects.owned_by(owner.issuer, owner.user_id)


def _content(conversation: int) -> QuerySet[Stream]:
    row = Conversation.objects.get(pk=conversation)
    return _streams(Owner(row.issuer, row.user_id)).filter(conversation_id=row.conversation_id)


def _described(owner: Owner, rows: list[Conversation]) -> list[dict[str, Any]]:
    streams = _streams(owner).filter(conversation_id__in=[row.conversation_id for row in rows])
    kept = Q(pruned_at__isnull=True)
    facts: dict[str | None, dict[str, Any]] = {
        fact["conversation_id"]: dict(fact)
        for fact in streams.values("conversation_id").annotate(
            count=Count("pk"),
            total=Sum("cost__total_pico_usd"),
            first=Min("pk", filter=kept),
            last=Max("pk", filter=kept),
        )
    }
    ends = {key for fact in facts.values() for key in (fact["first"], fact["last"])}
    beginnings = Stream.objects.filter(pk__in=ends - {None}).values_list("pk", Left("message", 4 * SHOWN_CHARS))
    messages = {key: shorten(beginning) for key, beginning in beginnings}
    return [_describe(row, facts.get(row.conversation_id, {}), messages) for row in rows]


def _describe(row: Conversation, fact: dict[str, Any], messages: dict[int, str]) -> dict[str, Any]:
    total = fact.get("total")
    return {
        "conversation_id": row.conversation_id,
        "title": messages.get(fact.get("first", 0), "") if row.title is None else row.title,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "streams": fact.get("count", 0),
        "total_cost": None if total is None else float(usd(int(total)) or 0),
        "last_message": messages.get(fact.get("last", 0)),
    }


def shorten(message: str) -> str:
    """The beginning of a message in one line, cut between words where that is possible."""
    line = " ".join(message.split())
    if len(line) <= SHOWN_CHARS:
        return line
    cut = line[:SHOWN_CHARS]
    words, blank, _ = cut.rpartition(" ")
    return (words if blank and len(words) > SHOWN_CHARS // 2 else cut).rstrip() + "…"


def _cursor(row: Conversation) -> str:
    return f"{(row.updated_at - _EPOCH) // _MICROSECOND}:{row.conversation_id}"


def _position(cursor: str) -> tuple[datetime, str]:
    if (match := CURSOR.fullmatch(cursor)) is None:
        raise InvalidRequest(FieldError("before", "is not the next of a page before"))
    return _EPOCH + int(match[1]) * _MICROSECOND, match[2]
