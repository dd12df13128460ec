"""A circuit breaker: a provider that does not answer is left alone for a while. Pure; the clock is passed in.

::

            FAILURES in a row, within WINDOW_SECONDS
    closed ------------------------------------------> open: no call is let in for a pause
       ^                                                |    ^
       | any call that the provider answers             |    | the trial failed: twice the pause
       +----------------------------------------------- one trial call
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

FAILURES = 5
"""Calls that must fail, one after the other, for the provider to count as down."""

WINDOW_SECONDS = 60.0
"""The time within which they must fail."""

FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 60.0


@dataclass(eq=False, slots=True)
class Call:
    """A call that was let in."""


class Breaker:
    """The state of one provider. Every call that ``admit`` lets in must be given to ``end``.

    ``now`` is monotonic, in seconds.
    """

    def __init__(self) -> None:
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._is_open = False
        self._pause = FIRST_PAUSE_SECONDS
        self._next_trial = 0.0
        self._trial: Call | None = None

    @property
    def is_open(self) -> bool:
        """Whether the provider counts as down."""
        return self._is_open

    @property
    def pause(self) -> float:
        """Seconds between two trials."""
        return self._pause

    def admit(self, now: float) -> Call | None:
        """Let a call in; None where it is not worth trying. While open, one call per pause is let in as a trial."""
        call = Call()
        if self._is_open:
            if now < self._next_trial:
                return None
            self._trial = call
            self._next_trial = now + self._pause
        return call

    def end(self, call: Call, is_up: bool | None, now: float) -> bool:
        """What ``call`` tells of the provider: it is up, it is down, or (None) nothing, e.g. left before an answer.

        Answers whether that opened or closed the breaker.
        """
        was_open = self._is_open
        if is_up:
            self._close()
        elif call is self._trial:
            self._end_trial(is_up, now)
        elif is_up is False and not self._is_open:
            self._count_failure(now)
        return self._is_open != was_open

    def _close(self) -> None:
        self._failures.clear()
        self._is_open = False
        self._pause = FIRST_PAUSE_SECONDS
        self._trial = None

    def _end_trial(self, is_up: bool | None, now: float) -> None:
        self._trial = None
        if is_up is None:
            self._next_trial = now
            return
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        self._next_trial = now + self._pause

    def _count_failure(self, now: float) -> None:
        self._failures.append(now)
        if len(self._failures) == FAILURES and now - self._failures[0] <= WINDOW_SECONDS:
            self._is_open = True
            self._next_trial = now + self._pause
