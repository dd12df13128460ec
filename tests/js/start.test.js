import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { ResilientSSEConnection } from "../../static/magic/connection.js";
import { FakeClock, FakeEventSource, FakeFetch, settled } from "./fakes.js";

const taken = { status: 201, body: { status: "queued", last_event_id: -1, text: "" } };

let clock;
let net;
let seen;
let connection;

beforeEach(() => {
  clock = new FakeClock();
  FakeEventSource.opened = [];
  seen = [];
});

afterEach(() => connection.close());

function start(answers, options = {}) {
  net = new FakeFetch(...answers);
  const names = ["onStarted", "onFresh", "onReconnecting", "onRefused", "onEnd"];
  connection = new ResilientSSEConnection("/api/v1/stream", {
    start: { message: "hi", model: "demo" },
    handlers: Object.fromEntries(names.map((name) => [name, (given) => seen.push([name, given])])),
    env: { EventSource: FakeEventSource, fetch: net.fetch, clock, random: () => 0.5, window: null, document: null },
    ...options,
  });
  connection.connect();
  return settled();
}

test("a start is a POST under an id of its own, and is then attached to by the id alone", async () => {
  await start([taken]);
  const [call] = net.calls;
  assert.equal(call.method, "POST");
  assert.match(connection.streamId, /^stream_[0-9a-f]{32}$/);
  assert.deepEqual(JSON.parse(call.body), { stream_id: connection.streamId, message: "hi", model: "demo" });
  assert.deepEqual(seen, [["onStarted", taken.body]]);
  assert.equal(FakeEventSource.last.url.search, `?stream_id=${connection.streamId}`);
  assert.equal(FakeEventSource.opened.length, 1);
});

test("a start without an answer is sent again, word for word, until there is one", async () => {
  await start([undefined, { status: 502, body: "bad gateway" }, taken]);
  assert.deepEqual(seen, [["onReconnecting", { attempt: 1, delayMs: 1000, started: false }]]);
  clock.advance(1000);
  await settled();
  clock.advance(2000);
  await settled();
  assert.equal(net.calls.length, 3);
  assert.equal(new Set(net.calls.map(({ body }) => body)).size, 1);
  assert.equal(FakeEventSource.opened.length, 1);
});

test("a start that hangs is given up after 20 s and sent again", async () => {
  const hanging = (_, { signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  await start([], { env: { EventSource: FakeEventSource, fetch: hanging, clock, window: null, document: null } });
  clock.advance(20_000);
  await settled();
  assert.equal(connection.state, "waiting");
  connection.close();
  assert.equal(clock.pending, 0);
});

test("a server that will have room soon is asked again when it says", async () => {
  const full = { status: 503, headers: { "Retry-After": "5" }, body: { error_type: "unavailable" } };
  await start([full, taken]);
  assert.deepEqual(seen, [["onReconnecting", { attempt: 1, delayMs: 5000, started: false }]]);
  clock.advance(5000);
  await settled();
  assert.equal(FakeEventSource.opened.length, 1);
});

test("what no repeat can mend, or only one much later, is the end", async () => {
  const refusals = [
    { status: 400, body: { error_type: "invalid_request" } },
    { status: 401, body: { error_type: "identity_required" } },
    { status: 409, body: { error_type: "conflict" } },
    { status: 429, body: { error_type: "rate_limited" }, headers: { "Retry-After": "1800" } },
    { status: 500, body: { error_type: "internal" } },
    { status: 503, body: { error_type: "unavailable" } },
  ];
  for (const refusal of refusals) {
    seen = [];
    await start([refusal]);
    clock.advance(600_000);
    await settled();
    assert.deepEqual(seen.map(([name, { status }]) => [name, status]), [["onRefused", refusal.status]]);
    assert.equal(net.calls.length, 1);
    assert.equal(connection.state, "closed");
  }
  assert.equal(FakeEventSource.opened.length, 0);
});

test("a start may be posted by other means, and its refusal be that of those", async () => {
  const asked = [];
  const post = async (request) => (asked.push(request), taken.body);
  await start([], { post, params: { stream_id: "mine" } });
  assert.deepEqual(asked, [{ stream_id: "mine", message: "hi", model: "demo" }]);
  assert.equal(net.calls.length, 0);
  assert.equal(FakeEventSource.opened.length, 1);
});

test("an answer that has begun, or ended, before the start was heard is gone on from as the server has it", async () => {
  await start([{ status: 200, body: { status: "streaming", last_event_id: 4, text: "so far" } }]);
  assert.deepEqual(seen.map(([name, { text }]) => [name, text]), [["onStarted", "so far"], ["onFresh", "so far"]]);
  assert.equal(FakeEventSource.last.lastEventId, "4");
  seen = [];
  await start([{ status: 200, body: { status: "done", last_event_id: 9, text: "all" } }]);
  assert.deepEqual(seen.map(([name]) => name), ["onStarted", "onFresh", "onEnd"]);
  assert.equal(FakeEventSource.opened.length, 1);
});
