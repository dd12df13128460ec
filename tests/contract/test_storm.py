"""Whatever is sent, there is an answer, and the server is not to blame."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.wire import CANARY, CANARY_KEY, FORM, JSON, STREAM, Client, client, multipart
from tests.servers import Server

EXAMPLES = 250

NAMES = st.sampled_from(
    [
        *("user_id", "message", "model", "stream_id", "last_event_id", "conversation_id", "parent_id", "system"),
        *("continues", "temperature", "max_tokens", "limit", "before", "q", "unknown", "", "\0", "user_id[]"),
    ]
)
LIKELY = st.sampled_from(
    [
        *("u1", "s1", "s2", "c1", "demo", f"/echo {CANARY}", "/count 3 0", "/fail", "-1", "0", "1", "9" * 25, "0.5"),
        *("", " ", "null", "NaN", "١", "%", "\0", "é", "🌍", "a" * 200, "gpt-4o-mini", "1e400"),
    ]
)
TEXTS = LIKELY | st.text(max_size=20)
VALUES: st.SearchStrategy[Any] = TEXTS | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
PARAMETERS = st.dictionaries(NAMES, LIKELY, max_size=5) | st.dictionaries(NAMES, TEXTS, max_size=5)
WELL_FORMED = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["u1", "u2"]),
        "message": st.sampled_from(["/count 3 0", "/fail after 2 chunks", f"/echo {CANARY}", "Hello"]),
        "stream_id": st.integers(0, 99).map(str),
    },
    optional={"last_event_id": st.sampled_from(["-1", "0", "3", "9"]), "conversation_id": st.just("c1")},
)
PATHS = st.sampled_from(
    [
        *(STREAM, STREAM, STREAM, STREAM, "/api/v1/streams", "/api/v1/streams/s1", "/api/v1/models"),
        *("/api/v1/anon_session", "/api/v1/stream/s1", "/api/v1/", "/api/", "/health", "/ready", "/version"),
    ]
) | st.text(max_size=10).map(lambda text: "/api/v1/streams/" + quote(text.encode("utf-8", "replace"), safe=""))
METHODS = st.sampled_from(["GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
# What no server hands on is left out: control characters, of which daphne's parser counts 0x80 to 0x9f.
HEADER_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), max_size=30)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("Last-Event-ID", "Accept", "Accept-Encoding", "Authorization", "Cookie", "Origin", "Sec-Fetch-Site"),
            *(
                "X-Request-Id",
                "Content-Type",
                "Content-Encoding",
                "Referer",
                "Range",
                "If-None-Match",
                "If-Modified-Since",
            ),
            *("X-Forwarded-For", "X-Forwarded-Host", "X-HTTP-Method-Override", "Accept-Language", "Via"),
        ]
    ),
    HEADER_VALUES
    | st.sampled_from(
        [
            *("-1", "0", "7", JSON, FORM, "text/event-stream", "multipart/form-data; boundary=x", "gzip", "*/*"),
            *("cross-site", "same-origin", "null", f"Bearer {CANARY_KEY}", 'sessionid="\\000aaaaaaaa"', "http://["),
            *(
                "magic_identity=a:b:c",
                "application/json; charset=base64",
                "multipart/form-data; charset=rot13;boundary=x",
            ),
        ]
    ),
    max_size=4,
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[dict[str, str], bytes]:
    """A content type and a body, that agree or do not."""
    kind = draw(st.sampled_from(["none", "json", "json", "form", "multipart", "bytes"]))
    if kind == "json":
        values = draw(st.dictionaries(NAMES, VALUES, max_size=5) | VALUES)
        return {"Content-Type": JSON}, json.dumps(values).encode()
    if kind == "form":
        return {"Content-Type": FORM}, urlencode(_encodable(draw(PARAMETERS))).encode()
    if kind == "multipart":
        return multipart(_encodable(draw(PARAMETERS)))
    if kind == "bytes":
        return {"Content-Type": draw(st.sampled_from([JSON, FORM]))}, draw(st.binary(max_size=60))
    return {}, b""


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Any request at all; those that start something are short."""
    headers, body = draw(bodies())
    headers = {**draw(HEADERS), **headers} if draw(st.booleans()) else {**headers, **draw(HEADERS)}
    parameters = draw(PARAMETERS)
    if draw(st.booleans()):
        parameters = draw(WELL_FORMED) | draw(st.just({}) | st.just(parameters))
    target, query = draw(PATHS), urlencode(_encodable(parameters))
    return {
        "method": draw(METHODS),
        "target": f"{target}?{query}" if query else target,
        "headers": {name: value.strip() for name, value in headers.items()},
        "body": body,
        "chunked": bool(body) and draw(st.booleans()),
    }


def _encodable(values: dict[str, str]) -> dict[str, str]:
    return {
        name.encode("utf-8", "replace").decode(): value.encode("utf-8", "replace").decode()
        for name, value in values.items()
    }


def check(anyone: Client, request: dict[str, Any]) -> None:
    """The client checks that refusals are problem documents and tell nothing."""
    answer = anyone.send(**request)
    assert answer.status < 500 or answer.status == 503, (answer.status, answer.body)
    if answer.header("Content-Type") == "text/event-stream" and request["method"] != "HEAD":
        assert answer.frames[-1].is_terminal


storm = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@storm
@given(request=requests())
def test_daphne_on_sqlite_weathers_it(daphne: Server, request: dict[str, Any]) -> None:
    check(client(daphne), request)


@storm
@given(request=requests())
def test_uvicorn_on_postgresql_weathers_it(on_postgresql: Server, request: dict[str, Any]) -> None:
    check(client(on_postgresql), request)


@storm
@given(request=requests())
def test_a_server_without_open_access_weathers_it(guarded: Server, request: dict[str, Any]) -> None:
    check(client(guarded), request)
