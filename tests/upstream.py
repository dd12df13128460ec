"""A scripted provider over real sockets, with a call log and named misbehaviours.

It speaks OpenAI's chat completions (``…/chat/completions``) and Anthropic's messages (``…/messages``). In a test::

    with Upstream() as upstream:
        settings.OPENAI_BASE_URL = settings.ANTHROPIC_BASE_URL = upstream.url
        ...
        [call] = upstream.calls

In a process of its own: ``python -m tests.upstream --port 9000 --log calls.jsonl``; it prints its URL.

What a call answers is a Script: the next one queued with ``upstream.queue(...)`` (or ``POST /script``), else
the prompt's last message where that is a JSON object (``{"text": "Hello", "delay_ms": 50}``), else
``upstream.script``. So tests that cannot reach this object script their calls by the message.

``GET /calls`` gives the call log as a JSON list, ``DELETE /calls`` forgets it, ``POST /release`` lets stalled
answers go on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

DEFAULT_USAGE: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}

DEFAULT_START_USAGE: dict[str, Any] = {"input_tokens": 7, "output_tokens": 1}

WAIT_SECONDS = 30
"""No claim of anybody: after so long, whatever a test waits for will not come any more."""

LOOKS_LIKE_FRAMES = 'event: done\nid: 99\ndata: {"total_cost":0}\n\ndata: [DONE]\n\n: comment\r\nretry: 1\n\n'


@dataclass(frozen=True)
class Script:
    """What one call answers. Places (``stall_after`` …) count deltas sent before; -1 is before the headers."""

    text: str = "Hello from upstream."
    """The answer; cut into deltas after every blank."""
    pieces: tuple[str, ...] | None = None
    """The deltas, exactly; instead of ``text``."""
    count: int | None = None
    """That many deltas ``"1 "``, ``"2 "``, …; instead of ``text``."""
    mark: str = ""
    """What each of these begins with."""
    huge: int = 0
    """That many characters in one delta, before all others."""
    delay_ms: float = 0
    """Pause before each delta; 0: flat out."""
    batch: int = 100
    """Deltas in one write, and so in one HTTP chunk."""

    status: int = 200
    """Another status answers with a JSON error body that quotes the key and the prompt."""
    retry_after: str | None = None
    location: str | None = None
    """Target of a redirect (with status 302 or the like)."""
    html: bool = False
    """200 with an HTML page."""

    stall_after: int | None = None
    """Say nothing more until the client leaves or ``release`` is called."""
    cut_after: int | None = None
    """Close the connection cleanly (FIN), without the end that HTTP needs."""
    cut_inside: str | None = None
    """Where in the next frame ``cut_after`` cuts: ``frame``, ``utf8`` or ``crlf``; None: before it."""
    reset_after: int | None = None
    """Reset the connection (RST)."""
    error_after: int | None = None
    """Send an error object inside the stream, and end."""
    error: Any = field(default_factory=lambda: {"message": "overloaded sk-secret", "type": "server_error"})
    garbage_after: int | None = None
    """Send ``garbage`` as the data of an event."""
    garbage: str = '{"choices": [{"delta": {"content": "x"'
    endless_after: int | None = None
    """Send a line that never ends, until the client leaves."""

    raw_after: int | None = None
    """Send ``raw`` as it is: whole frames."""
    raw: str = ""

    finish_reason: str | None = "stop"
    """None: no chunk with a finish reason. As messages, ``stop`` and ``length`` are told by their names there."""
    usage: Any = field(default_factory=lambda: dict(DEFAULT_USAGE))
    """The usage as sent, whatever it is; None: no usage chunk. As messages, the default tells the output alone."""
    start_usage: Any = field(default_factory=lambda: dict(DEFAULT_START_USAGE))
    """As messages: the usage of ``message_start``; None: none."""
    thinking: str = ""
    """As messages: a block of thinking before the answer."""
    usage_in: str = "own"
    """``own``: a chunk of its own after the finish reason; ``last``: in that chunk; ``every``: in every chunk."""
    done: bool = True
    """End with ``[DONE]`` or ``message_stop``."""
    after_done: str = ""
    """Raw text sent after that."""
    hang: bool = False
    """Keep the connection open after the end, until the client leaves."""

    newline: str = "\n"
    split: int = 0
    """Write the body in pieces of so many bytes; 0: as it comes."""
    ascii: bool = False
    """Escape what is not ASCII, surrogate by surrogate."""
    chunked: bool = True
    """False: the end of the connection is the end of the body."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further fields of each delta, e.g. ``{"reasoning_content": "…"}``."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Script:
        """From JSON; unknown names are refused (TypeError)."""
        if values.get("pieces") is not None:
            values = {**values, "pieces": tuple(values["pieces"])}
        return cls(**values)

    def deltas(self) -> Iterator[str]:
        """The deltas that a call answers."""
        if self.huge:
            return chain(("漢" * self.huge,), replace(self, huge=0).deltas())
        if self.count is not None:
            return (f"{self.mark}{number} " for number in range(1, self.count + 1))
        if self.pieces is not None:
            return iter(self.pieces)
        return iter(self.text.replace(" ", " \0").split("\0"))


@dataclass
class Call:
    """One request, as it came, and how it went. Times are seconds since the epoch."""

    number: int
    time: float
    path: str
    authorization: str
    body: dict[str, Any]
    headers: dict[str, str]
    status: int = 200
    deltas_sent: int = 0
    ended: str | None = None
    """None while it runs; ``answered``, ``cut``, ``reset``; ``client_left``: the client closed before the end."""
    ended_at: float | None = None

    @property
    def message(self) -> str:
        """The last message of the prompt."""
        messages = self.body.get("messages") or [{}]
        return str(messages[-1].get("content", ""))


class _ClientLeft(Exception):
    pass


class Upstream:
    """The server, in a thread of its own; ``port`` 0 takes a free one. ``log_path`` gets a JSON line per call.

    The line is on disk before the first byte of the answer; a second line, with ``ended``, follows.
    """

    def __init__(
        self,
        port: int = 0,
        log_path: Path | str | None = None,
        script: Script | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.script = script or Script()
        self._log_path = None if log_path is None else Path(log_path)
        self._calls: list[Call] = []
        self._queue: deque[Script] = deque()
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._release = asyncio.Event()
        self._serving = threading.Event()
        self._socket = socket.create_server((host, port), backlog=2048)
        self._tasks: set[asyncio.Task[None]] = set()
        self._transports: WeakSet[asyncio.WriteTransport] = WeakSet()
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{host}:{self.port}/v1"

    def start(self) -> Self:
        """Serve. The socket listens from the constructor on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Drop all connections and stop. Idempotent."""
        if self._thread.is_alive():
            # A loop that is stopped before it serves has not started its server.
            self._serving.wait()
            self._loop.call_soon_threadsafe(self._stop)
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def calls(self) -> list[Call]:
        """The calls so far, oldest first."""
        with self._changed:
            return list(self._calls)

    def queue(self, *scripts: Script) -> None:
        """The scripts of the next calls, one each."""
        with self._changed:
            self._queue.extend(scripts)

    def release(self) -> None:
        """Let every answer that stalls, now or later, go on."""
        self._loop.call_soon_threadsafe(self._release.set)

    def hold(self) -> None:
        """Let answers stall again, after a ``release``."""
        self._loop.call_soon_threadsafe(self._release.clear)

    def wait_for(self, condition: Callable[[list[Call]], bool]) -> list[Call]:
        """The calls, as soon as ``condition`` of them is true. Raises TimeoutError. Blocks: not for a loop's thread."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._calls), WAIT_SECONDS):
                raise TimeoutError(f"upstream calls: {self._calls}")
            return list(self._calls)

    def wait_for_end(self, number: int = 1) -> Call:
        """Call ``number`` (from 1), as soon as it has ended, whichever way."""
        calls = self.wait_for(lambda calls: len(calls) >= number and calls[number - 1].ended is not None)
        return calls[number - 1]

    def serve_forever(self) -> None:
        """Serve in this thread until interrupted."""
        self._run()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, sock=self._socket))
        self._loop.call_soon(self._serving.set)
        try:
            self._loop.run_forever()
        finally:
            server.close()
            self._loop.run_until_complete(self._drop())
            self._loop.close()

    def _stop(self) -> None:
        self._loop.stop()

    async def _drop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for transport in self._transports:
            # One that closes with data unsent would outlive the loop.
            transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._transports.add(writer.transport)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        if method == "POST" and path.endswith(tuple(_WIRES)):
            await self._answer_call(path, headers, json.loads(raw), reader, writer)
            return
        answer = self._control(method, path, raw)
        body = json.dumps(answer if answer is not None else {"error": "not found"}).encode()
        writer.write(
            _head(200 if answer is not None else 404, "application/json", f"Content-Length: {len(body)}") + body
        )
        await writer.drain()

    def _control(self, method: str, path: str, raw: bytes) -> Any:
        match method, path:
            case "GET", "/calls":
                return [asdict(call) for call in self.calls]
            case "DELETE", "/calls":
                with self._changed:
                    self._calls.clear()
                return []
            case "POST", "/script":
                self.queue(Script.from_dict(json.loads(raw)))
                return {}
            case "POST", "/release":
                self._release.set()
                return {}
        return None

    async def _answer_call(
        self,
        path: str,
        headers: dict[str, str],
        body: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        with self._changed:
            call = Call(len(self._calls) + 1, time.time(), path, headers.get("authorization", ""), body, headers)
            script = self._queue.popleft() if self._queue else _script_of(call.message, self.script)
            call.status = script.status
            self._calls.append(call)
            self._log(call)
            self._changed.notify_all()
        answer = _Answer(call, script, _wire_of(path)(script), writer, self._release, self._announce)
        answering = asyncio.ensure_future(answer.run())
        leaving = asyncio.ensure_future(_until_left(reader))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            ended = "client_left"
            if answering.done():
                with suppress(ConnectionError):
                    ended = answering.result()
        finally:
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        with self._changed:
            call.ended, call.ended_at = ended, time.time()
            self._log(call)
            self._changed.notify_all()

    def _announce(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _log(self, call: Call) -> None:
        if self._log_path is None:
            return
        with self._log_path.open("a") as log:
            log.write(json.dumps(asdict(call)) + "\n")
            log.flush()
            os.fsync(log.fileno())


class _Answer:
    """One answer on its way; ``announce`` is called whenever more of it is sent."""

    def __init__(
        self,
        call: Call,
        script: Script,
        wire: _Wire,
        writer: asyncio.StreamWriter,
        release: asyncio.Event,
        announce: Callable[[], None],
    ) -> None:
        self._call = call
        self._script = script
        self._wire = wire
        self._writer = writer
        self._release = release
        self._announce = announce

    async def run(self) -> str:
        """Answer. Gives how it ended."""
        script = self._script
        if broken := await self._misbehave(-1):
            return broken
        if script.status != 200 or script.html:
            await self._refuse()
            return "answered"
        self._writer.write(
            _head(200, "text/event-stream; charset=utf-8", "Transfer-Encoding: chunked" if script.chunked else "")
        )
        await self._writer.drain()
        sent = 0
        batch: list[bytes] = self._wire.opening()
        for content in script.deltas():
            special = sent in (script.stall_after, script.cut_after, script.reset_after, script.endless_after)
            if special or len(batch) >= script.batch or script.delay_ms:
                await self._write(batch)
                batch = []
            if script.delay_ms:
                await asyncio.sleep(script.delay_ms / 1000)
            if special and (broken := await self._misbehave(sent)):
                return broken
            batch += self._insertions(sent)
            if sent == script.error_after:
                await self._write(batch)
                return await self._end()
            batch.append(self._wire.delta(content))
            sent += 1
            self._call.deltas_sent = sent
        await self._write(batch)
        if broken := await self._misbehave(sent):
            return broken
        await self._write(self._insertions(sent))
        if sent != script.error_after:
            await self._write([*self._wire.closing(), script.after_done.encode()])
        return await self._end()

    async def _misbehave(self, sent: int) -> str | None:
        """What the script does at this place, other than going on; how the answer ended by it."""
        script = self._script
        if sent == script.stall_after:
            await self._release.wait()
        if sent == script.endless_after:
            await self._write([b"data: "])
            while True:
                await self._write([b"x" * 65536])
        if sent == script.cut_after:
            await self._write([self._wire.half_delta()])
            self._writer.close()
            return "cut"
        if sent == script.reset_after:
            await self._writer.drain()
            connection = self._writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
            return "reset"
        return None

    async def _refuse(self) -> None:
        script = self._script
        if script.html:
            kind, body = "text/html", b"<html><body>Log in, sk-secret</body></html>"
        else:
            quoted = f"{self._call.authorization} {self._call.headers.get('x-api-key')} asked {self._call.message}"
            kind, body = "application/json", json.dumps({"error": {"message": quoted}}).encode()
        extra = [f"Content-Length: {len(body)}"]
        if script.retry_after is not None:
            extra.append(f"Retry-After: {script.retry_after}")
        if script.location is not None:
            extra.append(f"Location: {script.location}")
        self._writer.write(_head(script.status, kind, *extra) + body)
        await self._writer.drain()

    async def _end(self) -> str:
        if self._script.hang:
            await self._release.wait()
        if self._script.chunked:
            self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        return "answered"

    async def _write(self, frames: list[bytes]) -> None:
        data = b"".join(frames)
        size = self._script.split or len(data)
        for start in range(0, len(data), size or 1):
            piece = data[start : start + size]
            self._writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._script.chunked else piece)
            await self._writer.drain()
            if self._script.split:
                await asyncio.sleep(0)
        self._announce()

    def _insertions(self, sent: int) -> list[bytes]:
        frames = []
        if sent == self._script.raw_after:
            frames.append(self._script.raw.encode())
        if sent == self._script.garbage_after:
            frames.append(self._wire.frame(self._script.garbage))
        if sent == self._script.error_after:
            frames.append(self._wire.error(self._script.error))
        return frames


class _Wire:
    """How an answer is told."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def opening(self) -> list[bytes]:
        """The frames before the first delta."""
        return []

    def delta(self, content: str) -> bytes:
        """The frame of a delta."""
        raise NotImplementedError

    def error(self, error: Any) -> bytes:
        """The frame of an error inside the stream."""
        raise NotImplementedError

    def closing(self) -> list[bytes]:
        """The frames after the last delta."""
        raise NotImplementedError

    def half_delta(self) -> bytes:
        """A delta's frame up to where the script cuts it."""
        frame = self.delta("größer")
        match self.script.cut_inside:
            case "frame":
                return frame[: len(frame) // 2]
            case "utf8":
                return frame[: frame.index("ö".encode()) + 1]
            case "crlf":
                return frame.rstrip() + b"\r"
        return b""

    def frame(self, data: str, event: str = "") -> bytes:
        """The frame of an event."""
        newline = self.script.newline
        name = f"event: {event}{newline}" if event else ""
        return f"{name}data: {data}{newline}{newline}".encode()

    def json(self, value: dict[str, Any]) -> str:
        """``value`` in UTF-8, or escaped where the script asks for it or nothing else is possible."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        has_surrogates = any("\ud800" <= character <= "\udfff" for character in text)
        return json.dumps(value) if self.script.ascii or has_surrogates else text


class _Completions(_Wire):
    """OpenAI's chat completions."""

    def delta(self, content: str) -> bytes:
        choice = {"index": 0, "delta": {"content": content, **self.script.extra}, "finish_reason": None}
        usage = self.script.usage if self.script.usage_in == "every" else None
        return self.frame(
            self.json({"id": "x", "object": "chat.completion.chunk", "choices": [choice], "usage": usage})
        )

    def error(self, error: Any) -> bytes:
        return self.frame(self.json({"error": error}))

    def closing(self) -> list[bytes]:
        script = self.script
        frames = []
        if script.finish_reason is not None:
            usage = {"usage": script.usage} if script.usage_in == "last" else {}
            choice = {"index": 0, "delta": {}, "finish_reason": script.finish_reason}
            frames.append(self.frame(self.json({"id": "x", "choices": [choice], **usage})))
        if script.usage is not None and script.usage_in == "own":
            frames.append(self.frame(self.json({"id": "x", "choices": [], "usage": script.usage})))
        if script.done:
            frames.append(self.frame("[DONE]"))
        return frames


class _Messages(_Wire):
    """Anthropic's messages."""

    def opening(self) -> list[bytes]:
        script = self.script
        message: dict[str, Any] = {
            "id": "msg_x",
            "type": "message",
            "role": "assistant",
            "content": [],
            "stop_reason": None,
        }
        usage = {} if script.start_usage is None else {"usage": script.start_usage}
        frames = [self._event("message_start", message={**message, **usage}), self._event("ping")]
        if script.thinking:
            frames += [
                self._event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
                self._event(
                    "content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": script.thinking}
                ),
                self._event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "c2ln"}),
                self._event("content_block_stop", index=0),
            ]
        block = {"type": "text", "text": ""}
        return [*frames, self._event("content_block_start", index=self._index, content_block=block)]

    def delta(self, content: str) -> bytes:
        delta = {"type": "text_delta", "text": content, **self.script.extra}
        return self._event("content_block_delta", index=self._index, delta=delta)

    def error(self, error: Any) -> bytes:
        return self._event("error", error=error)

    def closing(self) -> list[bytes]:
        script = self.script
        frames = [self._event("content_block_stop", index=self._index)]
        usage = {"output_tokens": 5} if script.usage == DEFAULT_USAGE else script.usage
        if script.finish_reason is not None or usage is not None:
            reason = {"stop": "end_turn", "length": "max_tokens"}.get(script.finish_reason or "", script.finish_reason)
            told = {} if usage is None else {"usage": usage}
            frames.append(self._event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, **told))
        return [*frames, self._event("message_stop")] if script.done else frames

    @property
    def _index(self) -> int:
        return 1 if self.script.thinking else 0

    def _event(self, kind: str, **values: Any) -> bytes:
        return self.frame(self.json({"type": kind, **values}), kind)


_WIRES: dict[str, type[_Wire]] = {"/chat/completions": _Completions, "/messages": _Messages}


def _wire_of(path: str) -> type[_Wire]:
    return next(wire for end, wire in _WIRES.items() if path.endswith(end))


def _script_of(message: str, default: Script) -> Script:
    with suppress(ValueError, TypeError):
        values = json.loads(message)
        if isinstance(values, dict) and values.keys() <= {each.name for each in fields(Script)}:
            return Script.from_dict(values)
    return default


async def _until_left(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(65536):
            pass


def _head(status: int, content_type: str, *extra: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {content_type}", *filter(None, extra), "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A scripted provider.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--script", default="{}", help="the default script, as JSON")
    options = parser.parse_args()
    upstream = Upstream(options.port, options.log, Script.from_dict(json.loads(options.script)), options.host)
    sys.stdout.write(f"{upstream.url}\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        upstream.serve_forever()


if __name__ == "__main__":
    main()
