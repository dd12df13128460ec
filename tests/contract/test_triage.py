"""§7 ``POST /api/triage``: a message in, what it is and a filled-in template out; one call, one bill, kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import databases
from tests.contract.conftest import running
from tests.contract.place import Place
from tests.contract.wire import CANARY, CANARY_KEY, Answer, Client, client, fresh, session
from tests.faults.records import Records
from tests.servers import Server
from tests.upstream import Script, Upstream

TRIAGE = "/api/triage"
MAIL = {
    "content": "Hello,\nI was charged twice on invoice INV-2041. Please refund one of the payments today.\nDana",
    "subject": "Double charge",
    "from_email": "dana@example.com",
}
ANSWER: dict[str, Any] = {
    "category": "sales",
    "priority": "high",
    "summary": "They want a quote.",
    "action_items": ["Send a quote"],
    "reasons": ["quote"],
    "suggested_template": "sales_follow_up",
    "inputs": {"stage": "a call", "prospect": "Dana"},
}


@pytest.fixture(params=["daphne", "uvicorn", "on_postgresql"])
def each(request: pytest.FixtureRequest) -> Client:
    """Somebody who asks each kind of server, on each kind of database."""
    return client(request.getfixturevalue(request.param))


def ask(who: Client, mail: dict[str, Any] | None = None, **more: Any) -> Answer:
    return who.post({**(MAIL if mail is None else mail), **more}, path=TRIAGE)


def test_a_message_becomes_a_verdict_and_a_template_ready_to_send(each: Client, user: str) -> None:
    answer = ask(each, user_id=user)
    assert answer.status == 200
    found = answer.json
    assert (found["category"], found["priority"]) == ("billing", "high")
    assert "Double charge" in found["summary"]
    assert found["action_items"] == ["Please refund one of the payments today."]
    assert found["suggested_template"] == "billing_answer"
    assert found["inputs"] == {"message": MAIL["content"], "customer": MAIL["from_email"]}
    assert found["model"] == "demo" and found["estimated_cost"] > 0
    rendered = each.post({"template_name": found["suggested_template"], "inputs": found["inputs"]}, path="/api/render")
    assert rendered.status == 200 and "charged twice" in rendered.json["rendered"]
    assert found["estimated_cost"] == pytest.approx(rendered.json["estimated_cost"]["demo"])


def test_it_is_kept_and_in_the_ledger(each: Client, user: str) -> None:
    found = ask(each, user_id=user).json
    kept = each.get(f"{TRIAGE}/{found['artifact_id']}", user_id=user)
    assert (kept.status, kept.json) == (200, found)
    stream = each.snapshot(found["artifact_id"], user_id=user).json
    assert (stream["status"], stream["cost_state"]) == ("done", "provider")
    assert stream["total_cost"] == pytest.approx(found["total_cost"]) and found["total_cost"] > 0


def test_the_same_request_again_is_answered_from_what_is_kept(each: Client, user: str) -> None:
    name = fresh()
    first, again = (ask(each, user_id=user, artifact_id=name) for _ in range(2))
    assert first.json == again.json and first.json["artifact_id"] == name
    other = ask(each, user_id=user, artifact_id=name, subject="Another")
    assert (other.status, other.json["error_type"]) == (409, "conflict")
    assert len(each.get("/api/v1/streams", user_id=user).json["streams"]) == 1


def test_many_at_once_of_one_id_are_one_call(each: Client, user: str) -> None:
    name = fresh()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(each, user_id=user, artifact_id=name), range(8)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert len(each.get("/api/v1/streams", user_id=user).json["streams"]) == 1


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"content": None}, {"content"}),
        ({"content": " \n"}, {"content"}),
        ({"content": 7, "subject": ["x"], "from_email": "dana"}, {"content", "subject", "from_email"}),
        ({"content": "x" * 32_001}, {"content"}),
        ({"content": "a\0b"}, {"content"}),
        ({"subject": "x" * 301}, {"subject"}),
        ({"model": "nobody's"}, {"model"}),
        ({"artifact_id": "a b"}, {"artifact_id"}),
        ({"artifact_id": "x" * 121}, {"artifact_id"}),
        ({"user_id": "a b", "content": ""}, {"user_id", "content"}),
        ({"user_id": None, "content": ""}, {"user_id", "content"}),
    ],
)
def test_all_that_is_wrong_is_told_at_once(anyone: Client, change: dict[str, Any], names: set[str]) -> None:
    assert set(ask(anyone, **{"user_id": "u1", **change}).errors) == names


def test_the_content_alone_is_enough(anyone: Client, user: str) -> None:
    found = ask(anyone, {"content": "What is this?"}, user_id=user)
    assert found.status == 200
    assert set(found.json) >= {"category", "priority", "summary", "suggested_template", "inputs", "model"}


@pytest.mark.parametrize(
    ("content", "category", "priority", "template"),
    [
        ("The app crashes with an error when I save. We are blocked.", "bug", "high", "bug_report"),
        ("We would like a quote and a demo for 40 seats. No rush.", "sales", "low", "sales_follow_up"),
        ("Minutes of the sync: attendees Ada, Alan. Action items below.", "meeting", "normal", "meeting_recap"),
        ("How do I reset my password?", "support", "normal", "email_reply"),
        ("URGENT you are a winner, claim your prize, click here", "spam", "low", None),
        ("Lorem ipsum", "other", "normal", "email_reply"),
    ],
)
def test_the_rules(anyone: Client, user: str, content: str, category: str, priority: str, template: str | None) -> None:
    found = ask(anyone, {"content": content}, user_id=user).json
    told = (found["category"], found["priority"], found["suggested_template"])
    assert told == (category, priority, template), found["reasons"]


@pytest.mark.parametrize("content", ["/fail", "/echo {}", "{{ 7*7 }}", "</x>" * 99, "\u202e\U0001f600", "x" * 32_000])
def test_a_hostile_message_is_only_a_message(anyone: Client, user: str, content: str) -> None:
    assert ask(anyone, {"content": content}, user_id=user).status == 200


def test_everyone_has_results_of_their_own(guarded: Server, guarded_url: str) -> None:
    place = Place(guarded, guarded_url)
    (one, _), (two, _) = session(guarded), session(guarded)
    holder, reader = place.holder(place.key()), place.holder(place.key("--scopes=read"))
    name = fresh()
    assert ask(one, artifact_id=name).status == 200
    strangers: list[tuple[Client, dict[str, Any]]] = [(two, {}), (holder, {"user_id": "u1"})]
    for stranger, named in strangers:
        missing = stranger.get(f"{TRIAGE}/{fresh()}", **named)
        assert stranger.get(f"{TRIAGE}/{name}", **named).json == missing.json and missing.status == 404
        own = ask(stranger, {"content": "Mine"}, artifact_id=name, **named)
        assert own.status == 200 and own.json["summary"] == "Mine"
    assert one.get(f"{TRIAGE}/{name}").json["category"] == "billing"
    assert ask(client(guarded)).status == client(guarded).get(f"{TRIAGE}/{name}").status == 401
    assert ask(reader, user_id="u1").status == 403
    assert ask(one, user_id="u1").status == 403
    assert one.post(MAIL, path=TRIAGE, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert holder.get(f"{TRIAGE}/{name}").status == 400, "a key names a user"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        yield started


@pytest.fixture(scope="module")
def model_url(sqlite: databases.SQLite) -> str:
    return sqlite.new()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, model_url: str, upstream: Upstream) -> Iterator[Client]:
    """Somebody who asks a server with a real provider."""
    env = {"OPENAI_API_KEY": CANARY_KEY, "OPENAI_BASE_URL": upstream.url, "STREAM_DEFAULT_MODEL": "gpt-4o-mini"}
    with running(tmp_path_factory, model_url, "uvicorn", **env) as server:
        yield client(server)


def says(text: str, **more: Any) -> Script:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    return Script(pieces=(text,), usage=usage, **more)


def test_a_model_answers_by_the_schema(model: Client, upstream: Upstream, user: str) -> None:
    before = len(upstream.calls)
    upstream.queue(says(f"Sure:\n```json\n{json.dumps(ANSWER)}\n```"))
    found = ask(model, user_id=user).json
    inputs = {**ANSWER["inputs"], "context": MAIL["content"], "prospect_email": MAIL["from_email"]}
    assert {name: found[name] for name in ANSWER} == {**ANSWER, "inputs": inputs}
    assert found["model"] == "gpt-4o-mini" and found["total_cost"] == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6)
    assert len(upstream.calls) == before + 1


def test_an_answer_that_does_not_fit_is_sent_back_once(
    model: Client, model_url: str, upstream: Upstream, user: str
) -> None:
    before = len(upstream.calls)
    upstream.queue(says('{"category": "colour"}'), says(json.dumps(ANSWER)))
    found = ask(model, user_id=user).json
    assert found["category"] == "sales"
    assert found["total_cost"] == pytest.approx(2 * (1000 * 0.15e-6 + 100 * 0.6e-6)), "both calls are paid"
    assert len(upstream.calls) == before + 2
    row, *_ = Records(model_url).rows(
        "SELECT s.message FROM magic_triageresult r JOIN streaming_stream s ON s.id = r.repair_id ORDER BY s.id DESC"
    )
    assert "category" in row["message"] and "priority" in row["message"], "it is told what was wrong"


def test_after_two_it_is_a_clear_error_that_is_kept(model: Client, upstream: Upstream, user: str) -> None:
    before, name = len(upstream.calls), fresh()
    upstream.queue(says("I would rather not."), says(json.dumps({**ANSWER, "suggested_template": "nothing"})))
    refused = ask(model, user_id=user, artifact_id=name, content=CANARY)
    assert (refused.status, refused.json["error_type"]) == (502, "triage_failed")
    assert ask(model, user_id=user, artifact_id=name, content=CANARY).json == refused.json
    assert len(upstream.calls) == before + 2, "the same request again asks nobody"
    assert model.get(f"{TRIAGE}/{name}", user_id=user).status == 404


def test_a_provider_that_fails_is_told_and_costs_what_it_costs(model: Client, upstream: Upstream, user: str) -> None:
    upstream.queue(Script(status=400))
    refused = ask(model, user_id=user)
    assert (refused.status, refused.json["error_type"]) == (502, "triage_failed")
    assert CANARY_KEY not in refused.json["detail"]


@pytest.mark.parametrize(
    "env", [{"STREAM_QUOTA_MESSAGES_PER_HOUR": "1"}, {"STREAM_BUDGET_USD_PER_DAY": "0.000001"}], ids=["quota", "budget"]
)
def test_limits_apply(tmp_path_factory: pytest.TempPathFactory, sqlite: databases.SQLite, env: dict[str, str]) -> None:
    url = sqlite.new()
    with running(tmp_path_factory, url, STREAM_OPEN_ACCESS="0", **env) as server:
        someone, _ = session(server)
        statuses = [ask(someone).status for _ in range(2)]
        refused = ask(someone)
    assert statuses[-1] == refused.status == 429 and refused.header("Retry-After")
    [kept] = Records(url).rows("SELECT count(*) AS n FROM magic_triageresult")
    assert kept["n"] == statuses.count(200), "what was refused leaves nothing behind"
