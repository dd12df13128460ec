import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { ResilientSSEConnection } from "../../static/magic/connection.js";
import { FakeClock, FakeEventSource, FakeFetch, settled } from "./fakes.js";

const MOMENTS = ["Started", "Open", "Chunk", "Heartbeat", "Done", "Error", "Stall", "Lost", "Reconnecting", "Fresh"];
const HANDLERS = [...MOMENTS, "End", "Refused"].map((name) => `on${name}`);
const live = (last_event_id, rest = {}) => ({ body: { status: "streaming", last_event_id, text: "", ...rest } });
const closed = (last_event_id, rest = {}) => ({ body: { status: "done", last_event_id, text: "all", ...rest } });

let clock;
let connection;
let seen;
let page;
let net;

beforeEach(() => {
  clock = new FakeClock();
  FakeEventSource.opened = [];
  seen = [];
  page = { window: new EventTarget(), document: Object.assign(new EventTarget(), { visibilityState: "visible" }) };
});

afterEach(() => connection?.close());

function connect({ params = {}, answers = [], ...options } = {}) {
  net = new FakeFetch(...answers);
  const handlers = Object.fromEntries(HANDLERS.map((name) => [name, (...args) => seen.push([name, ...args])]));
  connection = new ResilientSSEConnection("/api/v1/stream", {
    params: { stream_id: "s", ...params },
    handlers,
    env: { EventSource: FakeEventSource, fetch: net.fetch, clock, random: () => 0.5, ...page },
    ...options,
  });
  connection.connect();
  return FakeEventSource.last;
}

const names = () => seen.map(([name]) => name);
const all = (name) => seen.filter((call) => call[0] === name);
const text = () => all("onChunk").map(([, chunk]) => chunk.content).join("");

async function lose() {
  FakeEventSource.last.lose();
  await settled();
}

test("a new stream is attached from its beginning, without a last event id", () => {
  const source = connect();
  assert.equal(String(source.url), "http://test/api/v1/stream?stream_id=s");
  assert.equal(connection.lastEventId, -1);
});

test("event 0 is something to resume from", async () => {
  connect({ params: { last_event_id: 0 } });
  assert.equal(FakeEventSource.last.lastEventId, "0");

  connection.close();
  const source = connect({ answers: [live(5)] });
  source.chunks(0);
  await lose();
  clock.advance(1000);
  assert.equal(FakeEventSource.last.lastEventId, "0");
});

test("events are delivered in order and once, across a lost connection", async () => {
  connect({ answers: [live(9)] }).chunks(0, 1, 1, 3, 2);
  await lose();
  clock.advance(1000);
  assert.equal(FakeEventSource.last.lastEventId, "3");
  FakeEventSource.last.chunks(2, 3, 4, 5);
  assert.equal(text(), "0 1 2 3 4 5 ");
  assert.equal(connection.reconnects, 1);
});

test("heartbeats count as events", () => {
  const source = connect();
  source.chunks(0);
  source.send("heartbeat", 1, {});
  source.chunks(2);
  assert.deepEqual(names(), ["onChunk", "onHeartbeat", "onChunk"]);
  assert.equal(connection.lastEventId, 2);
});

test("the server's error event is the end, not a lost connection", async () => {
  const source = connect();
  source.chunks(0);
  source.send("error", 1, { error: "no", error_type: "provider_error", retryable: true });
  await settled();
  clock.advance(600_000);
  assert.deepEqual(all("onError"), [["onError", { error: "no", error_type: "provider_error", retryable: true }, 1]]);
  assert.equal(net.calls.length, 0);
  assert.equal(FakeEventSource.opened.length, 1);
  assert.ok(source.closed);
});

test("after done nothing is opened, asked or waited for, whatever happens", async () => {
  const source = connect();
  source.send("done", 0, {});
  source.lose();
  source.chunks(1);
  connection.reconnect();
  page.window.dispatchEvent(new Event("online"));
  page.document.dispatchEvent(new Event("visibilitychange"));
  page.window.dispatchEvent(new Event("pagehide"));
  page.window.dispatchEvent(new Event("pageshow"));
  await settled();
  clock.advance(600_000);
  assert.deepEqual(names(), ["onDone"]);
  assert.equal(FakeEventSource.opened.length, 1);
  assert.equal(net.calls.length + clock.pending, 0);
});

test("a lost connection asks the snapshot, then reconnects after 1, 2, 4, 5, 5 seconds", async () => {
  connect({ answers: [live(3)] });
  for (const seconds of [1, 2, 4, 5, 5]) {
    const opened = FakeEventSource.opened.length;
    await lose();
    assert.ok(FakeEventSource.last.closed);
    clock.advance(seconds * 1000 - 1);
    assert.equal(FakeEventSource.opened.length, opened);
    clock.advance(1);
    assert.equal(FakeEventSource.opened.length, opened + 1);
  }
  assert.equal(net.calls[0].url, "/api/v1/streams/s");
  assert.deepEqual(all("onReconnecting").map(([, { attempt, delayMs }]) => [attempt, delayMs]), [
    [1, 1000],
    [2, 2000],
    [3, 4000],
    [4, 5000],
    [5, 5000],
  ]);
});

test("the first event, and not the opening, resets the backoff", async () => {
  connect({ answers: [live(9)] });
  await lose();
  clock.advance(1000);
  FakeEventSource.last.open();
  await lose();
  clock.advance(2000);
  FakeEventSource.last.chunks(0);
  await lose();
  assert.deepEqual(all("onReconnecting").map(([, { delayMs }]) => delayMs), [1000, 2000, 1000]);
});

test("while the server can't be reached it goes on trying, and honours Retry-After", async () => {
  connect({ answers: [{ status: 503, headers: { "Retry-After": "20" } }, undefined] });
  await lose();
  assert.deepEqual(all("onReconnecting").at(-1)[1], { attempt: 1, delayMs: 20_000, started: true });
  page.window.dispatchEvent(new Event("online"));
  assert.equal(connection.state, "waiting");
  clock.advance(20_000);
  await lose();
  assert.deepEqual(all("onReconnecting").at(-1)[1], { attempt: 2, delayMs: 2000, started: true });
  assert.deepEqual(all("onRefused"), []);
});

test("Retry-After may be a date", async () => {
  const inAMinute = new Date(Date.now() + 60_500).toUTCString();
  connect({ answers: [{ status: 429, headers: { "Retry-After": inAMinute } }] });
  await lose();
  const [, { delayMs }] = all("onReconnecting").at(-1);
  assert.ok(delayMs > 50_000 && delayMs <= 60_500, String(delayMs));
});

test("a snapshot that never answers is given up", async () => {
  const hanging = (_, { signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  connect({ env: { EventSource: FakeEventSource, fetch: hanging, clock, random: () => 0.5, ...page } });
  await lose();
  assert.equal(connection.state, "asking");
  clock.advance(10_000);
  await settled();
  assert.equal(connection.state, "waiting");
});

test("a refusal that no retry can mend is the end", async () => {
  for (const status of [400, 401, 403, 404, 410]) {
    seen = [];
    connect({ answers: [{ status, body: { detail: "no" } }] }).chunks(0);
    await lose();
    clock.advance(600_000);
    assert.deepEqual(all("onRefused").map(([, error]) => error.status), [status]);
    assert.equal(connection.state, "closed");
    assert.equal(clock.pending, 0);
  }
});

test("a closed stream with more to tell is resumed to its end", async () => {
  connect({ answers: [closed(5)] }).chunks(0, 1);
  await lose();
  clock.advance(1000);
  FakeEventSource.last.chunks(2, 3, 4);
  FakeEventSource.last.send("done", 5, {});
  assert.equal(text(), "0 1 2 3 4 ");
  assert.deepEqual(names().at(-1), "onDone");
  assert.deepEqual(all("onFresh"), []);
});

test("204 before a terminal event: the copy is thrown away, the snapshot is the answer", async () => {
  connect({ answers: [closed(1)] }).chunks(0, 1);
  await lose();
  assert.deepEqual(names().slice(-2), ["onFresh", "onEnd"]);
  assert.equal(all("onFresh")[0][1].text, "all");
  clock.advance(600_000);
  assert.equal(FakeEventSource.opened.length, 1);
});

test("409, ahead of a live log: a fresh copy, and on from its end", async () => {
  connect({ answers: [live(2, { text: "less" })] }).chunks(0, 1, 2, 3, 4);
  await lose();
  assert.equal(all("onFresh")[0][1].text, "less");
  clock.advance(1000);
  assert.equal(FakeEventSource.last.lastEventId, "2");
  FakeEventSource.last.chunks(3);
  assert.equal(all("onChunk").at(-1)[2], 3);
});

test("a log that lost everything is read from its beginning", async () => {
  connect({ answers: [live(-1)] }).chunks(0, 1);
  await lose();
  clock.advance(1000);
  assert.equal(FakeEventSource.last.lastEventId, null);
});

test("a closed log that gives no more events was pruned: the snapshot says what is kept", async () => {
  connect({ answers: [closed(9)] });
  await lose();
  clock.advance(1000);
  await lose();
  assert.deepEqual(names().slice(-2), ["onFresh", "onEnd"]);
  assert.equal(clock.pending, 0);
});

test("silence of 30 s while the server has more is a stall, and the connection is taken up again", async () => {
  const source = connect({ answers: [live(1)] });
  source.open();
  source.chunks(0);
  clock.advance(30_000);
  await settled();
  clock.advance(1000);
  assert.deepEqual(names().slice(-3), ["onStall", "onLost", "onReconnecting"]);
  assert.ok(source.closed);
  assert.equal(FakeEventSource.opened.length, 2);
  assert.equal(connection.tally.stalls, 1);
  assert.equal(net.calls.length, 1);
});

test("silence of a server that can't be asked is a stall", async () => {
  connect({ answers: [undefined] }).open();
  clock.advance(30_000);
  await settled();
  assert.deepEqual(names(), ["onOpen", "onStall", "onLost", "onReconnecting"]);
});

test("a stream that waits for its turn gets comments, which nobody sees: an hour of them is no stall and no loss", async () => {
  connect({ answers: [live(-1, { status: "queued" })] });
  for (let silence = 1; silence <= 120; silence += 1) {
    FakeEventSource.last.open();
    clock.advance(30_000);
    await settled();
    assert.equal(FakeEventSource.opened.length, silence + 1);
    assert.ok(FakeEventSource.opened.slice(0, -1).every(({ closed }) => closed));
  }
  assert.deepEqual([...new Set(names())], ["onOpen"]);
  const { stalls, failed, reconnects, recoveries } = connection.tally;
  assert.deepEqual({ stalls, failed, reconnects, recoveries }, { stalls: 0, failed: 0, reconnects: 0, recoveries: [] });
  FakeEventSource.last.chunks(0, 1);
  assert.equal(text(), "0 1 ");
});

test("what comes while the server is asked about a silence ends the silence", async () => {
  const source = connect({ answers: [live(5)] });
  source.open();
  clock.advance(30_000);
  clock.advance(1);
  source.chunks(0);
  await settled();
  assert.deepEqual(names(), ["onOpen", "onChunk"]);
  assert.ok(!source.closed);
  clock.advance(30_000);
  await settled();
  assert.equal(connection.tally.stalls, 1);
});

test("a loss is told at once, whatever the server will say of it", () => {
  connect({ answers: [live(0)] }).lose();
  assert.deepEqual(names(), ["onLost"]);
});

test("the time to recover is that from the first loss to the next event", async () => {
  connect({ answers: [live(5)] }).chunks(0);
  await lose();
  clock.advance(1000);
  await lose();
  clock.advance(2000);
  FakeEventSource.last.chunks(0);
  clock.advance(500);
  FakeEventSource.last.chunks(1);
  assert.deepEqual(connection.tally.recoveries, [3500]);
  assert.equal(connection.tally.reconnects, 2);
  assert.equal(connection.tally.duplicates, 1);
});

test("an event that stays missing is fetched by resuming before it", async () => {
  connect({ answers: [live(5)] }).chunks(0, 2, 3);
  clock.advance(5000);
  await settled();
  clock.advance(1000);
  assert.equal(FakeEventSource.last.lastEventId, "0");
  FakeEventSource.last.chunks(1, 2, 3, 4);
  assert.equal(text(), "0 1 2 3 4 ");
});

test("an event that is missing from the replay too is got by a fresh copy", async () => {
  connect({ answers: [live(5), live(7, { text: "whole" })] }).chunks(0, 2, 3);
  clock.advance(5000);
  await settled();
  assert.deepEqual(all("onFresh"), []);
  clock.advance(1000);
  FakeEventSource.last.open();
  FakeEventSource.last.chunks(2, 3, 4);
  assert.equal(connection.missing, 1);
  clock.advance(5000);
  await settled();
  assert.equal(all("onFresh")[0][1].text, "whole");
  assert.equal(connection.missing, 0);
  clock.advance(2000);
  assert.equal(FakeEventSource.last.lastEventId, "7");
  assert.deepEqual([connection.tally.gaps, connection.tally.freshCopies], [2, 1]);
});

test("what waited is forgotten with its connection: the server may have lost it and written something else", async () => {
  connect({ answers: [live(0)] }).chunks(0, 2);
  await lose();
  assert.equal(connection.waiting, 0);
  clock.advance(1000);
  FakeEventSource.last.chunks(1);
  FakeEventSource.last.send("done", 2, {});
  assert.equal(text(), "0 1 ");
  assert.equal(names().at(-1), "onDone");
});

test("a hole beyond what is held is a lost connection at once", async () => {
  connect({ answers: [live(3000)] }).chunks(0, 1500);
  await settled();
  assert.equal(connection.state, "waiting");
  assert.equal(connection.lastEventId, 0);
});

test("a stream that was pruned meanwhile ends with what the snapshot keeps", async () => {
  connect({ answers: [closed(9, { text: "", pruned_at: "2026-11-24T00:00:00Z" })] }).chunks(0, 1);
  await lose();
  assert.deepEqual(names().slice(-2), ["onFresh", "onEnd"]);
  assert.equal(connection.state, "closed");
});

test("a frame that can't be read is a lost connection", async () => {
  const source = connect({ answers: [live(0)] });
  source.dispatchEvent(new MessageEvent("message_chunk", { data: "{", lastEventId: "0" }));
  await settled();
  assert.equal(connection.state, "waiting");
  assert.equal(connection.lastEventId, -1);
});

test("coming online, becoming visible and returning reconnect at once", async () => {
  connect({ answers: [live(0)] });
  await lose();
  page.window.dispatchEvent(new Event("online"));
  assert.equal(FakeEventSource.opened.length, 2);
  await lose();
  page.document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(FakeEventSource.opened.length, 3);
  page.window.dispatchEvent(new Event("pagehide"));
  assert.ok(FakeEventSource.last.closed);
  clock.advance(600_000);
  assert.equal(FakeEventSource.opened.length, 3);
  page.window.dispatchEvent(new Event("pageshow"));
  assert.equal(FakeEventSource.opened.length, 4);
  await lose();
  page.window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  assert.equal(FakeEventSource.opened.length, 5);
});

test("the first showing of a page reconnects nothing", () => {
  connect();
  page.window.dispatchEvent(new Event("pageshow"));
  assert.equal(FakeEventSource.opened.length, 1);
});

test("becoming visible leaves a connection alone that is alive", () => {
  const source = connect();
  source.open();
  source.chunks(0);
  clock.advance(5000);
  page.document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(FakeEventSource.opened.length, 1);
  clock.advance(10_000);
  page.document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(FakeEventSource.opened.length, 2);
});

test("closing at any moment leaves no timer and calls nothing", async () => {
  connect({ answers: [live(0)] });
  connection.close();
  connect({ answers: [live(0)] }).lose();
  connection.close();
  await settled();
  connect({ answers: [live(0)] }).chunks(4);
  connection.close();
  connect({ answers: [live(0)] });
  await lose();
  seen = [];
  const opened = FakeEventSource.opened.length;
  connection.close();
  clock.advance(600_000);
  assert.deepEqual(seen, []);
  assert.equal(clock.pending, 0);
  assert.equal(FakeEventSource.opened.length, opened);
});

test("a handler may close the connection in the middle of a batch", () => {
  net = new FakeFetch();
  const got = [];
  connection = new ResilientSSEConnection("/api/v1/stream", {
    params: { stream_id: "s" },
    handlers: { onChunk: (_, id) => (got.push(id), connection.close()) },
    env: { EventSource: FakeEventSource, fetch: net.fetch, clock, ...page },
  });
  connection.connect();
  FakeEventSource.last.chunks(1, 2, 0);
  assert.deepEqual(got, [0]);
});

test("a start by GET has an id before it is sent, and asks only until it has an answer", async () => {
  const params = { stream_id: null, message: "hi", model: "demo", user_id: "u" };
  const source = connect({ params, answers: [live(3)] });
  assert.match(connection.streamId, /^stream_[0-9a-f]{32}$/);
  assert.deepEqual(Object.fromEntries(source.url.searchParams), {
    message: "hi",
    model: "demo",
    user_id: "u",
    stream_id: connection.streamId,
  });
  source.chunks(0);
  await lose();
  clock.advance(1000);
  assert.deepEqual(Object.fromEntries(FakeEventSource.last.url.searchParams), {
    user_id: "u",
    stream_id: connection.streamId,
    last_event_id: "0",
  });
  assert.equal(net.calls[0].url, `/api/v1/streams/${connection.streamId}?user_id=u`);
});

test("a start that never arrived is sent again", async () => {
  connect({ params: { message: "hi" }, answers: [{ status: 404 }] });
  await lose();
  clock.advance(1000);
  assert.equal(FakeEventSource.last.url.searchParams.get("message"), "hi");
  assert.deepEqual(all("onRefused"), []);
});
