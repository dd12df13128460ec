import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { ResilientSSEConnection } from "../../static/magic/connection.js";
import { Places } from "../../static/magic/places.js";
import { FakeClock, FakeEventSource, FakeFetch, FakeLocks, settled } from "./fakes.js";

const live = (last_event_id, text) => ({ body: { status: "streaming", last_event_id, text } });

let clock;
let locks;

beforeEach(() => {
  clock = new FakeClock();
  locks = new FakeLocks();
  FakeEventSource.opened = [];
});

/** What one tab posts, the others hear. */
function channels() {
  const all = [];
  return () => {
    const own = new EventTarget();
    own.postMessage = () => all.filter((other) => other !== own).forEach((other) => other.dispatchEvent(new Event("message")));
    all.push(own);
    return own;
  };
}

function follow(...answers) {
  return open({ visibilityState: "visible" }, null, answers);
}

function open(seen, channel, answers) {
  const net = new FakeFetch(...answers);
  const got = { text: "", fresh: 0, ended: 0 };
  const env = { EventSource: FakeEventSource, fetch: net.fetch, clock, random: () => 0.5 };
  const page = { window: new EventTarget(), document: Object.assign(new EventTarget(), seen) };
  const connection = new ResilientSSEConnection("/api/v1/stream", {
    params: { stream_id: `s${Math.random()}` },
    places: new Places(locks, 4, channel),
    handlers: {
      onChunk: (chunk) => (got.text += chunk.content),
      onFresh: (snapshot) => ((got.text = snapshot.text), (got.fresh += 1)),
      onEnd: () => (got.ended += 1),
    },
    env: { ...env, ...page },
  });
  connection.connect();
  return { connection, got, net, ...page };
}

test("four streams have a connection, whatever tab they are in; the fifth waits for a place", async () => {
  const tabs = Array.from({ length: 5 }, () => follow(live(-1, "")));
  await settled();
  assert.equal(FakeEventSource.opened.length, 4);
  assert.equal(tabs[4].connection.state, "polling");
  tabs.forEach(({ connection }) => connection.close());
  await settled();
  assert.equal(locks.held, 0);
  assert.equal(clock.pending, 0);
});

test("who waits follows by the snapshot, and goes on from it when a place is free: nothing is lost or doubled", async () => {
  const tabs = Array.from({ length: 4 }, () => follow());
  const fifth = follow(live(1, "0 1 "), live(1, "0 1 "), live(3, "0 1 2 3 "));
  await settled();
  for (const ms of [250, 1000, 1000]) {
    clock.advance(ms);
    await settled();
  }
  assert.equal(fifth.net.calls.length, 3);
  assert.deepEqual([fifth.got.text, fifth.got.fresh], ["0 1 2 3 ", 2]);
  tabs[2].connection.close();
  await settled();
  assert.equal(FakeEventSource.opened.length, 5);
  assert.equal(FakeEventSource.last.lastEventId, "3");
  FakeEventSource.last.chunks(3, 4);
  assert.equal(fifth.got.text, "0 1 2 3 4 ");
  [...tabs, fifth].forEach(({ connection }) => connection.close());
});

test("a stream that ends while its reader waits is whole all the same", async () => {
  const tabs = Array.from({ length: 4 }, () => follow());
  const fifth = follow({ body: { status: "done", last_event_id: 9, text: "all of it" } });
  await settled();
  clock.advance(250);
  await settled();
  assert.deepEqual(fifth.got, { text: "all of it", fresh: 1, ended: 1 });
  tabs.forEach(({ connection }) => connection.close());
  await settled();
  assert.equal(locks.held, 0);
});

test("a poll that fails is a lost connection: backed off, and taken up again", async () => {
  const tabs = Array.from({ length: 4 }, () => follow());
  const fifth = follow(undefined, live(0, "0 "));
  await settled();
  clock.advance(250);
  await settled();
  assert.equal(fifth.connection.state, "waiting");
  clock.advance(1250);
  await settled();
  assert.equal(fifth.got.text, "0 ");
  [...tabs, fifth].forEach(({ connection }) => connection.close());
  assert.equal(clock.pending, 0);
});

test("a page that goes into the back/forward cache leaves its place, and seeks one on return", async () => {
  const { connection, window } = follow();
  await settled();
  assert.equal(locks.held, 1);
  window.dispatchEvent(new Event("pagehide"));
  await settled();
  assert.equal(locks.held, 0);
  window.dispatchEvent(new Event("pageshow"));
  await settled();
  assert.equal(locks.held, 1);
  assert.equal(FakeEventSource.opened.length, 2);
  connection.close();
});

test("who gives up waiting takes no place", async () => {
  const places = new Places(locks, 1);
  const leave = await places.take(new AbortController().signal);
  const waiting = new AbortController();
  void places.take(waiting.signal);
  waiting.abort();
  leave();
  await settled();
  assert.equal(locks.held, 0);
});

test("a hidden tab gives its place to a visible one that waits, and neither loses an event", async () => {
  const channel = channels();
  const seen = ["visible", "visible", "visible", "hidden"];
  const tabs = seen.map((visibilityState) => open({ visibilityState }, channel(), [live(2, "0 1 2 ")]));
  await settled();
  const sources = [...FakeEventSource.opened];
  for (const source of sources) source.chunks(0, 1);
  const fifth = open({ visibilityState: "visible" }, channel(), [live(1, "0 1 ")]);
  clock.advance(250);
  await settled();
  await settled();
  assert.deepEqual(sources.map(({ closed }) => closed), [false, false, false, true]);
  assert.equal(FakeEventSource.last.lastEventId, "1");
  FakeEventSource.last.chunks(2);
  assert.equal(fifth.got.text, "0 1 2 ");
  const hidden = tabs[3];
  assert.equal(hidden.connection.state, "polling");
  clock.advance(250);
  await settled();
  assert.equal(hidden.got.text, "0 1 2 ");
  fifth.connection.close();
  await settled();
  assert.equal(FakeEventSource.last.lastEventId, "2");
  FakeEventSource.last.chunks(2, 3);
  assert.equal(hidden.got.text, "0 1 2 3 ");
  tabs.forEach(({ connection }) => connection.close());
  await settled();
  assert.equal(locks.held + clock.pending, 0);
});

test("a visible tab keeps its place, and a hidden one asks for none", async () => {
  const channel = channels();
  const tabs = ["visible", "hidden", "hidden", "hidden"].map((visibilityState) => open({ visibilityState }, channel(), [live(-1, "")]));
  await settled();
  const fifth = open({ visibilityState: "hidden" }, channel(), [live(-1, "")]);
  clock.advance(250);
  await settled();
  assert.equal(fifth.connection.state, "polling");
  assert.equal(FakeEventSource.opened.length, 4);
  [...tabs, fifth].forEach(({ connection }) => connection.close());
  assert.equal(clock.pending, 0);
});
