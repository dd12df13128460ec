"""Several requests on one connection, also where a client does not wait for the answers."""

from __future__ import annotations

import re
import socket

from tests.contract.wire import STREAM, Client, fresh


def test_requests_that_wait_behind_a_stream_on_their_connection_are_answered_as_any(either: Client) -> None:
    stream_id = fresh()
    targets = (
        f"{STREAM}?user_id=u1&stream_id={stream_id}&message=/count+3+0",
        "/health",
        f"{STREAM}?user_id=u1&stream_id={stream_id}&last_event_id=3",
        f"/api/v1/streams/{stream_id}?user_id=u1",
        f"{STREAM}?user_id=u1&stream_id={stream_id}",
    )
    host = f"127.0.0.1:{either.server.port}"
    requests = [f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n" for target in targets]
    with socket.create_connection(("127.0.0.1", either.server.port), 10) as connection:
        connection.sendall("".join(requests).encode())
        told = b""
        while told.count(b"event: done") < 2 or not told.endswith(b"0\r\n\r\n"):
            part = connection.recv(65536)
            assert part, told
            told += part
    assert re.findall(rb"HTTP/1\.1 (\d+)", told) == [b"200", b"200", b"204", b"200", b"200"]
