"""What the wires have in common: JSON in events, characters cut in two, counts that may not be true."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec

from streaming.errors import ProviderError
from streaming.pricing import MOST_TOKENS
from streaming.providers.base import Delta, Piece
from streaming.providers.decoder import ServerSentEvent

T = TypeVar("T")

MOST_NUMBERS = 50
MOST_NAME_CHARS = 64
"""What is kept of a usage: more than any provider's has."""


class Answer(ABC):
    """One answer on its way in: events in, pieces out. ``seam``: see ``Prompt.seam``."""

    def __init__(self, seam: str = "") -> None:
        self.is_done = False
        """The server said that nothing follows; what follows nevertheless is not read."""
        self.has_text = False
        self._seam = seam
        self._characters = Characters()

    def read(self, events: Sequence[ServerSentEvent]) -> tuple[list[Piece], ProviderError | None]:
        """The pieces that ``events`` brought, and the failure that ended them."""
        pieces: list[Piece] = []
        try:
            for event in events:
                pieces += self.read_event(event)
                if self.is_done:
                    break
        except ProviderError as failure:
            return pieces, failure
        return pieces, None

    @abstractmethod
    def read_event(self, event: ServerSentEvent) -> Iterable[Piece]:
        """The pieces of one event. Raises ProviderError where it tells of a failure or cannot be read."""

    @abstractmethod
    def end(self) -> list[Piece]:
        """The last pieces, once the server has ended its answer. Raises ProviderError where it broke off."""

    def text(self, content: str | None) -> Iterable[Piece]:
        """The delta of ``content``, where it has whole characters."""
        if content and (whole := self._characters.add(content)):
            self.has_text = True
            if self._seam:
                whole = self._after_seam(whole)
            return (Delta(whole),) if whole else ()
        return ()

    def _after_seam(self, content: str) -> str:
        """``content`` without the blanks with which the text before it ended."""
        pairs = enumerate(zip(self._seam, content, strict=False))
        same = next((at for at, (ours, theirs) in pairs if ours != theirs), min(len(self._seam), len(content)))
        self._seam = self._seam[same:] if same == len(content) else ""
        return content[same:]

    def rest(self) -> list[Piece]:
        """The delta of a character whose second half never came."""
        return [Delta("\ufffd")] if self._characters.end() else []


class Characters:
    """Joins surrogate pairs, also over two deltas; lone ones become U+FFFD."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, content: str) -> str:
        """The whole characters up to here; the first half of a pair waits for the next call."""
        content = self._half + content
        self._half = ""
        if content.isascii():
            return content
        if "\ud800" <= content[-1] <= "\udbff":
            content, self._half = content[:-1], content[-1]
        return content.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def end(self) -> str:
        """What stands in for a half that waits: U+FFFD, or nothing."""
        half, self._half = self._half, ""
        return "\ufffd" if half else ""


async def read_answer(
    events: AsyncGenerator[Sequence[ServerSentEvent], None], answer: Answer
) -> AsyncGenerator[Sequence[Piece], None]:
    """The pieces of ``answer``, batch by batch. Raises ProviderError after the pieces that came before it."""
    async with aclosing(events):
        async for batch in events:
            pieces, failure = answer.read(batch)
            if pieces:
                yield pieces
            if failure is not None:
                raise failure
            if answer.is_done:
                break
    yield answer.end()


def decode(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """The JSON of an event. Raises ProviderError where it is none, or not of the decoder's type."""
    try:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            # The fast decoder refuses lone surrogates, which servers send where they cut an emoji in two.
            return msgspec.convert(json.loads(data), decoder.type)
    except (ValueError, RecursionError) as error:
        raise broken(f"an event that cannot be read: {type(error).__name__}") from None


def count(value: object) -> int | None:
    """A whole number of tokens, 0 to MOST_TOKENS; None where ``value`` is anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MOST_TOKENS else None


def detail(usage: dict[str, object], group: str, name: str) -> int:
    """The count at ``usage[group][name]``; 0 where there is none."""
    details = usage.get(group)
    return (count(details.get(name)) or 0) if isinstance(details, dict) else 0


def numbers(usage: object, depth: int = 3) -> dict[str, Any]:
    """The numbers of a usage, in its own names and groups: nothing of it can be a text."""
    if not isinstance(usage, dict) or not depth:
        return {}
    kept: dict[str, Any] = {}
    for name, value in list(usage.items())[:MOST_NUMBERS]:
        if count(value) is not None:
            kept[str(name)[:MOST_NAME_CHARS]] = value
        elif group := numbers(value, depth - 1):
            kept[str(name)[:MOST_NAME_CHARS]] = group
    return kept


def broken(detail: str) -> ProviderError:
    """The answer ended where it should not have."""
    return ProviderError("The provider's answer broke off. Please try again.", retryable=True, detail=detail)


def failed() -> ProviderError:
    """The provider said, inside the stream, that it failed. What it said stays here."""
    return ProviderError(
        "The provider failed while it was answering. Please try again.",
        retryable=True,
        detail="an error inside the stream",
    )
