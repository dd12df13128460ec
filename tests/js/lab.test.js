import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { ResilientSSEConnection } from "../../static/magic/connection.js";
import { arrivals, NO_FAULTS } from "../../static/magic/lab/faults.js";
import { compare } from "../../static/magic/lab/proof.js";
import { Wire } from "../../static/magic/lab/wire.js";
import { FakeClock, FakeEventSource, FakeFetch, seeded, settled } from "./fakes.js";

let clock;
let net;
let told;
let text;
let random;

beforeEach(() => {
  clock = new FakeClock();
  FakeEventSource.opened = [];
  net = new FakeFetch({ body: { status: "streaming", last_event_id: 99, text: "" } });
  told = { events: [], lost: 0 };
  text = "";
  random = () => 0.5;
});

function setUp(streamId = "s") {
  const wire = new Wire({
    EventSource: FakeEventSource,
    fetch: net.fetch,
    isHarmed: (url) => url.includes("stream_id=s") || url.endsWith("/s"),
    onEvent: (id, handOver) => (told.events.push(id), handOver()),
    onLost: () => (told.lost += 1),
    clock,
    random: () => random(),
  });
  const connection = new ResilientSSEConnection("/api/v1/stream", {
    params: { stream_id: streamId },
    handlers: { onChunk: (chunk) => (text += chunk.content) },
    env: { EventSource: wire.EventSource, fetch: wire.fetch, clock, random: () => 0.5, window: null, document: null },
  });
  connection.connect();
  return { wire, connection };
}

test("a wire without faults changes nothing", () => {
  const { connection } = setUp();
  FakeEventSource.last.open();
  FakeEventSource.last.chunks(0, 1);
  assert.equal(connection.tally.opened, 1);
  FakeEventSource.last.send("error", 2, { error: "no" });
  assert.equal(text, "0 1 ");
  assert.equal(connection.state, "closed");
  assert.deepEqual(told, { events: [0, 1, 2], lost: 0 });
  assert.ok(FakeEventSource.last.closed);
});

test("a cut is a lost connection, and the connection recovers", async () => {
  const { wire, connection } = setUp();
  FakeEventSource.last.open();
  FakeEventSource.last.chunks(0);
  wire.cut();
  assert.ok(FakeEventSource.last.closed);
  await settled();
  clock.advance(1000);
  FakeEventSource.last.open();
  FakeEventSource.last.chunks(1);
  assert.equal(text, "0 1 ");
  assert.deepEqual([told.lost, connection.tally.reconnects], [1, 1]);
  connection.close();
});

test("a cut before there is a connection cuts the next one, once", async () => {
  const { wire, connection } = setUp();
  wire.cut();
  FakeEventSource.last.open();
  await settled();
  assert.equal(connection.state, "waiting");
  clock.advance(1000);
  FakeEventSource.last.open();
  assert.equal(connection.state, "open");
  connection.close();
});

test("a lost connection is not left to retry by itself", () => {
  setUp().wire.set({ stalled: true });
  const source = FakeEventSource.last;
  source.dispatchEvent(new Event("error"));
  assert.ok(source.closed);
});

test("a stalled wire gives all of it up at once when it flows again", () => {
  const { wire, connection } = setUp();
  wire.set({ stalled: true });
  FakeEventSource.last.open();
  FakeEventSource.last.chunks(0, 1);
  assert.equal(connection.state, "connecting");
  wire.set({ stalled: false });
  assert.equal(text, "0 1 ");
  connection.close();
  assert.equal(clock.pending, 0);
});

test("offline nothing is connected, the server can't be asked, and back online it goes on", async () => {
  const { wire, connection } = setUp();
  FakeEventSource.last.open();
  FakeEventSource.last.chunks(0);
  wire.set({ offline: true });
  await settled();
  clock.advance(1000);
  clock.advance(1);
  await settled();
  assert.equal(net.calls.length, 0);
  assert.equal(FakeEventSource.opened.length, 1);
  wire.heal();
  clock.advance(10_000);
  FakeEventSource.last.chunks(1);
  assert.equal(text, "0 1 ");
  connection.close();
});

test("events that are delayed, repeated, disordered and lost leave the text exact", async () => {
  random = seeded(5);
  const { wire, connection } = setUp();
  wire.set({ delayMs: 100, duplicates: 0.4, reorder: 0.4, loss: 0.1 });
  FakeEventSource.last.open();
  for (let round = 0; connection.lastEventId < 49; round += 1) {
    assert.ok(round < 100);
    const from = connection.lastEventId + 1;
    for (let id = from; id < 50; id += 1) {
      FakeEventSource.last.chunks(id);
      clock.advance(100);
    }
    FakeEventSource.last.dispatchEvent(new Event("error"));
    await settled();
    clock.advance(10_000);
    FakeEventSource.last.open();
  }
  assert.equal(text, Array.from({ length: 50 }, (_, id) => `${id} `).join(""));
  assert.ok(connection.tally.duplicates > 0);
  connection.close();
});

test("the faults are for one stream; another's goes past them", () => {
  const { wire, connection } = setUp("other");
  wire.set({ stalled: true, loss: 1 });
  wire.cut();
  FakeEventSource.last.open();
  FakeEventSource.last.chunks(0);
  assert.equal(text, "0 ");
  assert.deepEqual(told.events, []);
  connection.close();
});

test("shares of events are lost, come twice, come late", () => {
  random = seeded(3);
  const take = (faults) => Array.from({ length: 1000 }, () => arrivals({ ...NO_FAULTS, ...faults }, random));
  const near = (count, share) => assert.ok(Math.abs(count - share * 1000) < 60, String(count));
  assert.ok(take({}).every((times) => times.length === 1 && times[0] === 0));
  near(take({ loss: 0.3 }).filter((times) => times.length === 0).length, 0.3);
  near(take({ duplicates: 0.3 }).filter((times) => times.length === 2).length, 0.3);
  near(take({ reorder: 0.3 }).filter(([ms]) => ms > 0).length, 0.3);
  assert.ok(take({ delayMs: 500 }).every(([ms]) => ms === 500));
});

test("two copies are compared as far as both go", async () => {
  const whole = await compare("añb", "añb");
  assert.deepEqual([whole.same, whole.whole, whole.chars], [true, true, 3]);
  assert.equal(whole.here, whole.there);
  assert.match(whole.here, /^[0-9a-f]{64}$/);
  const part = await compare("abc", "abcdef");
  assert.deepEqual([part.same, part.whole, part.chars], [true, false, 3]);
  const wrong = await compare("abd", "abcdef");
  assert.equal(wrong.same, false);
  assert.notEqual(wrong.here, wrong.there);
});
