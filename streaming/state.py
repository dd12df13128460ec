"""SSEStreamState: the ids, events and totals of one live stream. Pure."""

from __future__ import annotations

from collections import deque
from itertools import islice

from streaming.events import Event, EventType, chunk_data, encode, usd
from streaming.pricing import Prices, count_tokens


class SSEStreamState:
    """What a producer knows of its stream: ids handed out, events not yet forgotten, totals.

    Replay never reads this; it always reads the log. ``event_id`` is the last id handed out, -1 at
    first. Raises ValueError where something is added after the terminal event.
    """

    def __init__(self, stream_id: str, prices: Prices | None = None) -> None:
        self.stream_id = stream_id
        self.event_id = -1
        self.chunks_sent = 0
        self.is_closed = False
        self.completion_tokens = 0
        self.answer_bytes = 0
        self.pending_bytes = 0
        self._prices = prices
        self._costs: dict[int, str] = {}
        self._events: deque[Event] = deque()

    def next_event_id(self) -> int:
        """Hand out the next id: 0, 1, 2, …"""
        if self.is_closed:
            raise ValueError(f"stream {self.stream_id} is closed")
        self.event_id += 1
        return self.event_id

    def add_chunk(self, content: str, elapsed_ms: int = 0) -> Event:
        """Add a ``message_chunk`` and count its tokens, cost and bytes."""
        tokens = count_tokens(content)
        self.chunks_sent += 1
        self.completion_tokens += tokens
        self.answer_bytes += len(content) if content.isascii() else len(content.encode("utf-8", "surrogatepass"))
        return self.add(EventType.MESSAGE_CHUNK, chunk_data(content, tokens, self._cost(tokens)), elapsed_ms)

    def add_heartbeat(self, elapsed_ms: int = 0) -> Event:
        """Add a ``heartbeat``."""
        return self.add(EventType.HEARTBEAT, "{}", elapsed_ms)

    def add(self, event_type: EventType, data: str, elapsed_ms: int = 0) -> Event:
        """Add an event of any type; a terminal one closes the state."""
        event = Event(self.next_event_id(), event_type, data, elapsed_ms)
        self.is_closed = event_type.is_terminal
        self.pending_bytes += len(data)
        self._events.append(event)
        return event

    def get_chunks_after(self, event_id: int) -> list[Event]:
        """The events after ``event_id`` that were not forgotten, in order."""
        if not self._events:
            return []
        skip = max(0, event_id + 1 - self._events[0].event_id)
        return list(islice(self._events, skip, None))

    def _cost(self, tokens: int) -> str:
        """What so many tokens cost, as JSON; null where no price is known."""
        if (cost := self._costs.get(tokens)) is None:
            price = None if self._prices is None else usd(tokens * self._prices.output)
            cost = self._costs[tokens] = encode(price)
        return cost

    def forget(self, event_id: int) -> None:
        """Let go of the events up to ``event_id``: they are in the log."""
        while self._events and self._events[0].event_id <= event_id:
            self.pending_bytes -= len(self._events.popleft().data)
