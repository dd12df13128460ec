"""Raw HTTP of the contract suite: bytes out, bytes in, nothing helped.

Every answer is looked at on its way: an error that is no problem document, or that tells a prompt, a key or a
traceback, fails the test that caused it.
"""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlencode

from tests.frames import Frame, Parser
from tests.servers import Server

CANARY = "canary-prompt-3c1e"
"""Part of the prompts; must not stand in an error or a log."""

CANARY_KEY = "canary-key-9f27"
"""Part of every secret: SECRET_KEY, the provider's key, what is sent as ``Authorization``."""

STREAM = "/api/v1/stream"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

Pairs = Mapping[str, Any] | Sequence[tuple[str, str]]


def fresh(prefix: str = "s") -> str:
    """A name that nobody has used."""
    return f"{prefix}-{uuid.uuid4().hex}"


@dataclass(frozen=True)
class Answer:
    """One response, as it came."""

    status: int
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value; several are joined."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[Frame]:
        """The events of the body; raises AssertionError at anything that is neither event nor comment."""
        parser = Parser()
        frames = list(parser.feed(self.body))
        assert parser.buffer == b""
        return frames

    @property
    def errors(self) -> dict[str, str]:
        """The bad parameters that a 400 names."""
        assert self.status == 400, (self.status, self.body)
        return {error["name"]: error["reason"] for error in self.json["errors"]}

    def check(self, path: str) -> Answer:
        """What holds for every answer."""
        if self.status >= 400:
            assert CANARY.encode() not in self.body, self.body
            assert CANARY_KEY.encode() not in self.body, self.body
            assert b"Traceback" not in self.body, self.body
        if 400 <= self.status < 500 and path.startswith("/api/") and self.body:
            assert self.header("Content-Type") == "application/problem+json", (self.status, self.headers, self.body)
            assert {"type", "title", "status", "detail", "error_type"} <= set(self.json)
            assert self.json["status"] == self.status
        return self


@dataclass
class Client:
    """Somebody who asks; ``headers`` go with every request, cookies among them."""

    server: Server
    headers: dict[str, str]

    @contextmanager
    def open(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        version: str = "1.1",
        chunked: bool = False,
        timeout: float = 30,
    ) -> Iterator[HTTPResponse]:
        """Send a request; the response, when its headers are there. Leaving closes the connection."""
        lines = {"Host": f"127.0.0.1:{self.server.port}", **self.headers, **(headers or {})}
        if chunked:
            lines["Transfer-Encoding"] = "chunked"
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in _cut(body)) + b"0\r\n\r\n"
        elif body or method in {"POST", "PUT", "PATCH"}:
            lines.setdefault("Content-Length", str(len(body)))
        head = f"{method} {target} HTTP/{version}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        with socket.create_connection(("127.0.0.1", self.server.port), timeout) as connection:
            connection.sendall(head.encode("latin-1"))
            # Refused before all of it was sent: the answer counts.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(body)
            with HTTPResponse(connection, method=method) as response:
                response.begin()
                yield response

    def send(self, method: str, target: str, **options: Any) -> Answer:
        """Send a request and read the whole answer."""
        with self.open(method, target, **options) as response:
            version = f"{response.version // 10}.{response.version % 10}"
            answer = Answer(response.status, version, tuple(response.getheaders()), response.read())
        return answer.check(target)

    def get(self, path: str = STREAM, headers: Mapping[str, str] | None = None, **parameters: Any) -> Answer:
        """GET with query parameters."""
        return self.send("GET", _target(path, parameters), headers=headers)

    def post(
        self,
        values: Any = None,
        *,
        path: str = STREAM,
        query: Pairs | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """POST JSON."""
        body = values if isinstance(values, bytes) else json.dumps(values).encode()
        return self.send("POST", _target(path, query), headers={"Content-Type": JSON, **(headers or {})}, body=body)

    def form(self, values: Pairs, *, path: str = STREAM, headers: Mapping[str, str] | None = None) -> Answer:
        """POST a form."""
        body = urlencode(values).encode()
        return self.send("POST", path, headers={"Content-Type": FORM, **(headers or {})}, body=body)

    def begin(self, **values: Any) -> Answer:
        """POST JSON and ask for JSON: start, and no events."""
        return self.post(values, headers={"Accept": JSON})

    def snapshot(self, stream_id: str, **parameters: Any) -> Answer:
        """GET a snapshot."""
        return self.get(f"/api/v1/streams/{stream_id}", **parameters)

    def closed(self, stream_id: str, **parameters: Any) -> dict[str, Any]:
        """The snapshot, as soon as the stream is closed."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            shown: dict[str, Any] = self.snapshot(stream_id, **parameters).json
            if shown["finished_at"] is not None:
                return shown
            time.sleep(0.02)
        raise AssertionError(f"{stream_id} is still open")


def client(server: Server, **headers: str) -> Client:
    """Somebody without an identity."""
    return Client(server, {"Connection": "close", **headers})


def session(server: Server) -> tuple[Client, str]:
    """Somebody with an anonymous session, and their ``user_id``."""
    answer = client(server).post({}, path="/api/v1/anon_session")
    assert answer.status == 200, answer.body
    cookie = (answer.header("Set-Cookie") or "").split(";")[0]
    return client(server, Cookie=cookie), answer.json["user_id"]


def multipart(values: Mapping[str, str], boundary: str = "cut-here") -> tuple[dict[str, str], bytes]:
    """The headers and the body of a multipart form."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in values.items()
    ]
    body = "".join(parts) + f"--{boundary}--\r\n"
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body.encode()


def _target(path: str, parameters: Pairs | None) -> str:
    return f"{path}?{urlencode(parameters)}" if parameters else path


def _cut(body: bytes, size: int = 65536) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))
