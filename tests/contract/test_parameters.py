"""§3, the table of parameters: where they come from, what they may be, how all that is wrong is told at once."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.contract.wire import CANARY, FORM, JSON, STREAM, Client, fresh, multipart
from tests.frames import text_of

MESSAGE = f"/echo {CANARY}"
IDENTIFIERS = ("user_id", "stream_id", "conversation_id", "parent_id", "continues")
TEXTS = ("message", "system")
NOT_A_STRING: tuple[Any, ...] = (True, False, 0, 1, 1.5, 10**30, [], ["a"], {}, {"a": "b"})
NOT_AN_INTEGER: tuple[Any, ...] = (
    True,
    False,
    1.0,
    1.5,
    1e300,
    [],
    [1],
    {},
    {"a": 1},
    "",
    " ",
    "1.0",
    "1e2",
    "0x1",
    "١",
    "1_0",
)


def way_get(anyone: Client, values: dict[str, Any]) -> Any:
    return anyone.get(**values)


def way_json(anyone: Client, values: dict[str, str]) -> Any:
    return anyone.post(values)


def way_form(anyone: Client, values: dict[str, str]) -> Any:
    return anyone.form(values)


def way_multipart(anyone: Client, values: dict[str, str]) -> Any:
    headers, body = multipart(values)
    return anyone.send("POST", STREAM, headers=headers, body=body)


def way_query_of_a_post(anyone: Client, values: dict[str, str]) -> Any:
    return anyone.send("POST", f"{STREAM}?{urlencode(values)}")


@pytest.mark.parametrize("way", [way_get, way_json, way_form, way_multipart, way_query_of_a_post])
def test_parameters_come_by_query_json_form_or_query_of_a_post(either: Client, user: str, way: Any) -> None:
    answer = way(either, {"user_id": user, "message": MESSAGE + " zwölf 十二 🌍", "stream_id": (name := fresh())})
    assert answer.status == 200
    assert answer.header("X-Stream-Id") == name
    assert text_of(answer.frames) == CANARY + " zwölf 十二 🌍"


def test_the_body_wins_over_the_query(anyone: Client, user: str) -> None:
    query = {"user_id": "someone-else", "message": "/echo query", "stream_id": (name := fresh())}
    answer = anyone.post({"user_id": user, "message": "/echo body"}, query=query)
    assert text_of(answer.frames) == "body"
    assert answer.header("X-Stream-Id") == name
    assert anyone.snapshot(name, user_id=user).json["message"] == "/echo body"


def test_a_null_in_json_is_a_parameter_left_out(anyone: Client, user: str) -> None:
    answer = anyone.post({"user_id": user, "message": MESSAGE, "model": None, "max_tokens": None, "stream_id": None})
    assert text_of(answer.frames) == CANARY


@pytest.mark.parametrize("name", IDENTIFIERS)
@pytest.mark.parametrize(
    "value", [*NOT_A_STRING, "", " ", "a b", "a/b", "é", "a\n", "\0", "a\ud800", "١", "a" * 129, "a,b", "<a>"]
)
def test_an_identifier_is_1_to_128_characters_of_a_few_kinds(anyone: Client, name: str, value: Any) -> None:
    answer = anyone.post({"user_id": "u1", "message": MESSAGE, name: value})
    assert list(answer.errors) == [name]


@pytest.mark.parametrize("value", ["a", "a" * 128, "A-Za.z_0:9"])
def test_an_identifier_may_have_128_characters(anyone: Client, value: str) -> None:
    owner = fresh("u")
    answer = anyone.post({"user_id": owner, "message": MESSAGE, "stream_id": value, "conversation_id": value})
    assert answer.status == 200
    assert anyone.snapshot(value, user_id=owner).json["conversation_id"] == value
    assert anyone.post({"user_id": value, "message": MESSAGE, "stream_id": fresh()}).status == 200


@pytest.mark.parametrize(
    "value",
    [*NOT_A_STRING, "", " ", "Summary", "a b", "é", "a\n", "_a", "1a", "a" * 61, "a@", "a@0", "a@x", "a@1@2"],
)
def test_a_template_is_a_name_with_or_without_a_version(anyone: Client, value: Any) -> None:
    answer = anyone.post({"user_id": "u1", "message": MESSAGE, "template": value})
    assert list(answer.errors) == ["template"]


@pytest.mark.parametrize("value", ["summary", "bug_report@12", "a" * 60 + "@999999999"])
def test_a_template_that_is_named_changes_nothing_of_the_answer(anyone: Client, user: str, value: str) -> None:
    assert text_of(anyone.get(user_id=user, message=MESSAGE, template=value).frames) == CANARY


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "value", [*NOT_A_STRING, "", "   ", "\n\t", "\u00a0\u2003", "a\0b", "a\ud800b", "\udc00", "a" * 32001, "🌍" * 32001]
)
def test_a_text_is_a_string_that_is_neither_blank_nor_too_long(anyone: Client, name: str, value: Any) -> None:
    answer = anyone.post({"user_id": "u1", "message": MESSAGE, name: value})
    assert list(answer.errors) == [name]


@pytest.mark.parametrize("character", ["a", "é", "🌍"])
def test_a_message_of_the_limit_is_taken_in_characters_not_bytes(anyone: Client, user: str, character: str) -> None:
    message = "/echo " + character * (32000 - 6)
    answer = anyone.post({"user_id": user, "message": message, "system": character * 32000})
    assert text_of(answer.frames) == message[6:]


@pytest.mark.parametrize("value", [*NOT_A_STRING, "", " ", "no-such-model", "x" * 201, "a\0", "a\ud800", "openai/"])
def test_a_model_is_one_that_a_provider_is_known_for(anyone: Client, value: Any) -> None:
    assert list(anyone.post({"user_id": "u1", "message": MESSAGE, "model": value}).errors) == ["model"]


def test_a_model_whose_provider_is_not_configured_is_503_and_names_the_setting(anyone: Client, user: str) -> None:
    answer = anyone.post({"user_id": user, "message": MESSAGE, "model": "gpt-4o-mini"})
    assert answer.status == 503
    assert answer.header("Content-Type") == "application/problem+json"
    assert "OPENAI_API_KEY" in answer.json["detail"]
    assert answer.header("Retry-After") is None


@pytest.mark.parametrize("value", [*NOT_AN_INTEGER, "-2", "-0", "+1", " 1", "1 ", -2, -(10**30), "9" * 41])
def test_last_event_id_is_an_integer_from_minus_one(anyone: Client, value: Any) -> None:
    answer = anyone.post({"user_id": "u1", "message": MESSAGE, "stream_id": fresh(), "last_event_id": value})
    assert list(answer.errors) == ["last_event_id"]


@pytest.mark.parametrize("value", [*NOT_AN_INTEGER, 0, -1, "0", "-1", "1 ", 1_000_001, 10**30, "9" * 40])
def test_max_tokens_is_a_bounded_integer(anyone: Client, value: Any) -> None:
    assert list(anyone.post({"user_id": "u1", "message": MESSAGE, "max_tokens": value}).errors) == ["max_tokens"]


@pytest.mark.parametrize(
    "value",
    [
        *(True, False, [], [1], {}, -0.1, 2.0001, 3, 10**30),
        *("", " ", "x", "nan", "inf", "-inf", "1_0", "١", " 1", "1e400", "0x1", "1" * 60),
    ],
)
def test_temperature_is_a_bounded_number(anyone: Client, value: Any) -> None:
    assert list(anyone.post({"user_id": "u1", "message": MESSAGE, "temperature": value}).errors) == ["temperature"]


@pytest.mark.parametrize("value", [0, 2, 2.0, 0.7, "0", "2.0", "0.7", "1e0", 1e-9, -0.0])
def test_temperature_may_be_any_number_within_its_bounds(anyone: Client, user: str, value: Any) -> None:
    assert anyone.post({"user_id": user, "message": MESSAGE, "temperature": value}).status == 200


@pytest.mark.parametrize("value", [1, "1", 1_000_000])
def test_max_tokens_limits_the_answer(anyone: Client, user: str, value: Any) -> None:
    done = anyone.post({"user_id": user, "message": "/count 5 0", "max_tokens": value}).frames[-1]
    assert done.data["finish_reason"] == ("length" if int(value) == 1 else "stop")


def test_all_that_is_wrong_is_told_at_once(anyone: Client) -> None:
    wrong = {
        "user_id": "a b",
        "message": " ",
        "model": "no-such-model",
        "stream_id": "",
        "last_event_id": -2,
        "conversation_id": [],
        "parent_id": {},
        "continues": "a b",
        "system": 1,
        "temperature": 9,
        "max_tokens": 0,
    }
    answer = anyone.post(wrong, headers={"Last-Event-ID": "garbage"})
    assert set(answer.errors) == {*wrong, "Last-Event-ID"}
    assert all(answer.errors.values())
    assert answer.json["error_type"] == "invalid_request"


def test_what_is_missing_is_told_at_once(anyone: Client) -> None:
    assert set(anyone.get().errors) == {"user_id", "message"}
    assert set(anyone.post({}).errors) == {"user_id", "message"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"nonsense",
        b'{"user_id": "u1", "message": NaN}',
        b'{"user_id": "u1", "message": "x", "temperature": Infinity}',
        b'{"user_id": "u1", "message": "x", "last_event_id": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"message": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[]",
        b"1",
        b"null",
        b'"message"',
        b'{"user_id": "u1", "message": "\xff"}',
        b'{"user_id": "u1", "message": "\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        json.dumps({"user_id": "u1", "message": MESSAGE}).encode("utf-16"),
        b'{"user_id": "u1", "message": "' + CANARY.encode(),
    ],
)
def test_a_body_that_is_no_json_object_in_utf8_is_400(either: Client, body: bytes) -> None:
    assert either.post(body).errors


@pytest.mark.parametrize("target", [f"{STREAM}?user_id=u1&message=%ff", f"{STREAM}?user_id=u1&message=%ED%A0%80"])
def test_a_query_that_is_not_utf8_is_400(either: Client, target: str) -> None:
    assert list(either.send("GET", target).errors) == ["query"]
    body = target.partition("?")[2].encode()
    assert list(either.send("POST", STREAM, headers={"Content-Type": FORM}, body=body).errors) == ["body"]


def test_more_fields_than_anyone_needs_are_400(either: Client) -> None:
    many = "&".join(f"a{number}=" for number in range(1001))
    assert list(either.send("GET", f"{STREAM}?{many}").errors) == ["query"]
    assert list(either.send("POST", STREAM, headers={"Content-Type": FORM}, body=many.encode()).errors) == ["body"]
    headers, body = multipart({f"a{number}": "" for number in range(1001)})
    assert list(either.send("POST", STREAM, headers=headers, body=body).errors) == ["body"]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=other",
        "multipart/form-data; boundary=\xe9",
        "multipart/form-data; charset=base64; boundary=cut-here",
    ],
)
def test_a_broken_multipart_form_is_400(either: Client, content_type: str) -> None:
    body = multipart({"user_id": "a b", "message": MESSAGE})[1]
    answer = either.send("POST", STREAM, headers={"Content-Type": content_type}, body=body)
    assert answer.status == 400
    assert not answer.body or answer.errors  # daphne itself refuses some of them, without a word


def test_files_of_a_form_are_no_parameters(anyone: Client) -> None:
    part = '--cut\r\nContent-Disposition: form-data; name="message"; filename="a"\r\n\r\nx\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=cut"}
    assert set(anyone.send("POST", STREAM, headers=headers, body=f"{part}--cut--\r\n".encode()).errors) == {
        "user_id",
        "message",
    }
    many = (part * 101 + "--cut--\r\n").encode()
    assert anyone.send("POST", STREAM, headers=headers, body=many).errors


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/jsonp", "", "json", "text/plain; application/json"]
)
def test_another_content_type_is_415(either: Client, content_type: str) -> None:
    body = json.dumps({"user_id": "u1", "message": MESSAGE}).encode()
    answer = either.send("POST", STREAM, headers={"Content-Type": content_type}, body=body)
    assert answer.status == 415


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
def test_json_may_be_named_with_a_charset_and_in_any_case(anyone: Client, user: str, content_type: str) -> None:
    body = json.dumps({"user_id": user, "message": MESSAGE}).encode()
    assert anyone.send("POST", STREAM, headers={"Content-Type": content_type}, body=body).status == 200


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", [STREAM, "/api/v1/anon_session"])
def test_a_body_over_1_mib_is_413(either: Client, path: str, chunked: bool) -> None:
    body = b'{"user_id": "u1", "message": "x"}'.ljust(1024 * 1024 + 1)
    assert either.send("POST", path, headers={"Content-Type": JSON}, body=body, chunked=chunked).status == 413


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_1_mib_is_taken(either: Client, user: str, chunked: bool) -> None:
    body = json.dumps({"user_id": user, "message": MESSAGE}).encode().ljust(1024 * 1024)
    assert either.send("POST", STREAM, headers={"Content-Type": JSON}, body=body, chunked=chunked).status == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (STREAM, "GET, POST"),
        ("/api/v1/models", "GET"),
        ("/api/v1/streams", "GET"),
        ("/api/v1/anon_session", "POST"),
    ],
)
def test_another_method_is_405_and_told_which_there_are(either: Client, path: str, allowed: str, method: str) -> None:
    answer = either.send(method, path)
    assert answer.status == 405
    assert answer.header("Allow") == allowed
    assert answer.header("Content-Type") == "application/problem+json"


def test_a_head_request_starts_nothing(anyone: Client, user: str) -> None:
    assert anyone.send("HEAD", f"{STREAM}?user_id={user}&stream_id=s1&message=x").status == 405
    assert anyone.snapshot("s1", user_id=user).status == 404


def test_nothing_else_is_under_api(either: Client) -> None:
    for path in ("/api/", "/api/v1/", "/api/v1/nothing", "/api/v1/streams/a/b", "/api/v1/stream/", "/api/%00"):
        assert either.send("GET", path).status == 404


def test_a_stream_id_left_out_is_made_by_the_server(either: Client, user: str) -> None:
    made = [either.get(user_id=user, message="/count 1 0").header("X-Stream-Id") for _ in range(5)]
    assert all(re.fullmatch("stream_[0-9a-f]{32}", name or "") for name in made)
    assert len(set(made)) == 5
    assert either.get(user_id=user, stream_id=made[0]).frames[-1].type == "done"


def test_a_name_that_is_not_ours_is_refused(either: Client, user: str) -> None:
    answer = either.get(headers={"Host": "elsewhere.example"}, user_id=user, message=MESSAGE)
    assert list(answer.errors) == ["Host"]


def test_a_problem_has_the_members_of_the_contract(either: Client) -> None:
    problem = either.get(user_id="u1", message=" ")
    assert set(problem.json) == {"type", "title", "status", "detail", "error_type", "errors"}
    assert problem.header("Cache-Control") == "no-store"
    assert problem.header("X-Request-Id")
