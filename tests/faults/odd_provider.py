"""A provider that raises anything anywhere. The message says what: ``"middle KeyError"``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from typing import Any

from streaming.errors import ProviderError
from streaming.pricing import Prices, Usage
from streaming.providers.base import Delta, Finish, Model, Piece, Prompt, Provider


class Odd(BaseException):
    """No Exception."""


def raising(kind: str) -> BaseException:
    """An exception by its name."""
    kinds: dict[str, BaseException] = {
        "ProviderError": ProviderError("The provider failed."),
        "ValueError": ValueError("secret"),
        "Odd": Odd("secret"),
        "CancelledError": asyncio.CancelledError(),
        "GeneratorExit": GeneratorExit(),
        "StopAsyncIteration": StopAsyncIteration(),
        "TimeoutError": TimeoutError(),
        "SystemExit": SystemExit(3),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "ExceptionGroup": ExceptionGroup("two", [ValueError(), KeyError()]),
        "MemoryError": MemoryError(),
    }
    return kinds[kind]


PIECES: dict[str, Any] = {
    "none": None,
    "text": "text",
    "bytes": Delta(b"bytes"),  # type: ignore[arg-type]
    "delta": Delta(None),  # type: ignore[arg-type]
    "surrogate": Delta("\ud800"),
    "nul": Delta("\0"),
    "usage": Usage(None, None),  # type: ignore[arg-type]
    "negative": Usage(-5, -5),
    "huge": Usage(10**30, 10**30),
    "finish": Finish(["stop"]),  # type: ignore[arg-type]
    "unknown": Finish("because"),
}
"""Pieces that no provider may give; the server must stand them."""


class OddProvider(Provider):
    """Model ``odd``."""

    name = "odd"

    def missing_setting(self) -> str | None:
        return None

    def models(self) -> Sequence[Model]:
        prices = Prices.per_million(Decimal(1), Decimal(2), source="odd")
        return [Model(id=self.name, provider=self.name, prices=prices)]

    def resolve(self, model: str) -> Model | None:
        return self.models()[0] if model == self.name else None

    def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Piece], None]:
        stage, kind = prompt.turns[-1].content.split(" ")
        if stage == "call":
            raise raising(kind)
        if stage == "object":
            return object()  # type: ignore[return-value]
        return self._pieces(stage, kind)

    async def _pieces(self, stage: str, kind: str) -> AsyncGenerator[Sequence[Piece], None]:
        try:
            if stage == "first":
                raise raising(kind)
            yield [Delta("one "), Delta("two ")]
            if stage == "piece":
                yield [PIECES[kind]]
            if stage == "middle":
                raise raising(kind)
            if stage == "silent":
                await asyncio.sleep(100)
            yield [Usage(10, 20)]
            yield [Finish("stop")]
            if stage == "last":
                raise raising(kind)
        finally:
            if stage in ("closing", "silent"):
                raise raising(kind)
