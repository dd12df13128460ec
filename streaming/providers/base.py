"""What a provider is: prompt in, batches of deltas, usage and a finish reason out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from streaming.pricing import Prices, Usage


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation; ``role`` is ``user`` or ``assistant``."""

    role: str
    content: str


INSTRUCTION = (
    "Your answer was cut off. Go on exactly where it stopped, with the very next character: a blank or a line break, "
    "where one is due there, else the rest of the word. Repeat nothing of it, and say nothing about this."
)
"""Asks for the rest of an answer where the wire has no way to say so."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked of a model. ``turns`` ends with the user's message; None means the provider's default.

    ``so_far``: what the model has already said in answer to it, and is to go on from.
    """

    model: str
    turns: tuple[Turn, ...]
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    so_far: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is sent."""
        return (self.system or "", *(turn.content for turn in self.turns), self.so_far)

    @property
    def beginning(self) -> str:
        """The text so far as it is sent: without the blanks at its end, which servers refuse or cut off."""
        return self.so_far.rstrip()

    @property
    def seam(self) -> str:
        """Those blanks. A model that says them again says nothing new by it."""
        return self.so_far[len(self.beginning) :]

    @property
    def instructed_turns(self) -> tuple[Turn, ...]:
        """``turns``, and the text so far with the instruction to go on from it, where there is any."""
        if not self.beginning:
            return self.turns
        return (*self.turns, Turn("assistant", self.beginning), Turn("user", INSTRUCTION))

    @property
    def prefixed_turns(self) -> tuple[Turn, ...]:
        """``turns``, and the text so far as the beginning of the answer, where there is any."""
        return (*self.turns, Turn("assistant", self.beginning)) if self.beginning else self.turns


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer, as the provider cut it."""

    content: str


@dataclass(frozen=True, slots=True)
class EarlyUsage(Usage):
    """What a provider tells of the usage before the answer: all of the prompt, next to nothing of the answer.

    It is the best that is known of an answer that is cut short, and never the usage of a complete one.
    """


@dataclass(frozen=True, slots=True)
class Finish:
    """The provider says that the answer is complete; ``reason`` is one of ``FINISH_REASONS``."""

    reason: str


Piece = Delta | Usage | Finish


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be used now. ``context_window`` is in tokens, None where not known."""

    id: str
    provider: str
    prices: Prices | None
    context_window: int | None = None


class Provider(ABC):
    """A model API. One object per process; it holds connections, never the state of a call."""

    name: str
    """The provider's name on the record, e.g. ``openai``."""

    @abstractmethod
    def missing_setting(self) -> str | None:
        """The name of the setting without which it cannot be used; None where it is configured."""

    @abstractmethod
    def models(self) -> Sequence[Model]:
        """The models that it can be asked for by name, the default first."""

    @abstractmethod
    def resolve(self, model: str) -> Model | None:
        """The model that a request's ``model`` means, None where it is not this provider's.

        Answers also while the provider is not configured, so that a refusal can name the setting.
        """

    @abstractmethod
    def stream(self, prompt: Prompt) -> AsyncGenerator[Sequence[Piece], None]:
        """Ask the model. Each batch is what one read brought. ``Finish`` comes once, at the end, in one batch
        with the final ``Usage`` where the provider told it; an ``EarlyUsage`` may come before.

        Raises ProviderError. Closing the iterator (``aclose``) closes the upstream connection at once.
        """

    def most_output_tokens(self, prompt: Prompt) -> int | None:
        """The most tokens that an answer can have, reasoning included, where it is known better than by
        ``max_tokens`` and the context window. Budgets put its price aside.
        """
        return None

    async def aclose(self) -> None:  # noqa: B027  # most hold nothing
        """Close what the provider holds open. Idempotent."""
