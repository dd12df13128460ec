"""A reader of the tests: raw bytes in, frames out, nothing forgiven."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.servers import NO_CERTIFICATES

FRAME = re.compile(
    rb"event: (message_chunk|heartbeat|done|error)\nid: (0|[1-9][0-9]*)\nretry: 10000\ndata: ([\x20-\x7e]+)\n\n"
)
COMMENT = re.compile(rb"(?:: [ -~]*\n\n)|(?:id: -1\n\n)")
TERMINAL = ("done", "error")


@dataclass(frozen=True)
class Frame:
    """One event as it came."""

    event_id: int
    type: str
    data: dict[str, Any]
    raw: bytes

    @property
    def is_terminal(self) -> bool:
        return self.type in TERMINAL


@dataclass
class Parser:
    """Cuts a body into frames; anything that is neither a frame nor a comment is an AssertionError."""

    buffer: bytes = b""
    comments: list[bytes] = field(default_factory=list)

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that are complete now."""
        *blocks, self.buffer = (self.buffer + chunk).split(b"\n\n")
        for block in (part + b"\n\n" for part in blocks):
            if match := FRAME.fullmatch(block):
                kind, event_id, data = match.groups()
                yield Frame(int(event_id), kind.decode(), json.loads(data), block)
            else:
                assert COMMENT.fullmatch(block), block
                self.comments.append(block)


@contextmanager
def connect(
    url: str, headers: dict[str, str] | None = None, timeout: float = 30, **parameters: Any
) -> Iterator[tuple[httpx.Response, Iterator[Frame]]]:
    """Open a stream: the response, and its frames as they come. Leaving closes the connection."""
    with (
        httpx.Client(timeout=timeout, trust_env=False, verify=NO_CERTIFICATES) as client,
        client.stream("GET", f"{url}/api/v1/stream", params=parameters, headers=headers) as response,
    ):
        yield response, _frames(response)


def read_all(url: str, timeout: float = 30, **parameters: Any) -> list[Frame]:
    """All frames of one response, to its end; checks that ids are contiguous and a terminal event is the last."""
    with connect(url, timeout=timeout, **parameters) as (response, frames):
        assert response.status_code == 200, response.read()
        taken = list(frames)
    check_sequence(taken, first=int(parameters.get("last_event_id", -1)) + 1)
    return taken


def check_sequence(frames: list[Frame], first: int = 0) -> None:
    """Ids are contiguous from ``first``; nothing follows a terminal event."""
    assert [frame.event_id for frame in frames] == list(range(first, first + len(frames)))
    assert not any(frame.is_terminal for frame in frames[:-1])


def text_of(frames: list[Frame]) -> str:
    """The text that the frames carry."""
    return "".join(frame.data["content"] for frame in frames if frame.type == "message_chunk")


def _frames(response: httpx.Response) -> Iterator[Frame]:
    parser = Parser()
    for chunk in response.iter_raw():
        yield from parser.feed(chunk)
