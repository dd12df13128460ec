import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Following } from "../../static/magic/following.js";
import { Telemetry } from "../../static/magic/telemetry.js";
import { FakeClock, FakeEventSource, FakeFetch, settled } from "./fakes.js";

const NONE = {
  reconnects: 0,
  duplicates_dropped: 0,
  stalls: 0,
  gaps: 0,
  fresh_copies: 0,
  connections_opened: 0,
  connections_failed: 0,
  time_to_recover_ms: [],
};

let clock;
let following;
let page;
let sent;

beforeEach(() => {
  clock = new FakeClock();
  FakeEventSource.opened = [];
  page = new EventTarget();
  sent = [];
  following = new Following("/api/v1/stream", null);
  const { fetch } = new FakeFetch({ body: { status: "streaming", last_event_id: 9, text: "" } });
  following.surroundings = { EventSource: FakeEventSource, fetch, clock, random: () => 0.5, window: null, document: null };
  new Telemetry("/t", following, (url, body) => sent.push([url, JSON.parse(body)])).start(page);
});

const begin = () => following.begin({ params: { stream_id: "s" } }, () => "");

test("what an answer went through is told once, at its end", async () => {
  begin();
  FakeEventSource.last.open();
  FakeEventSource.last.chunks(0, 0);
  FakeEventSource.last.lose();
  await settled();
  clock.advance(1000);
  FakeEventSource.last.lose();
  await settled();
  clock.advance(2000);
  FakeEventSource.last.open();
  FakeEventSource.last.chunks(0, 1);
  assert.deepEqual(sent, []);
  FakeEventSource.last.send("done", 2, {});
  const told = { reconnects: 2, duplicates_dropped: 2, connections_opened: 2, connections_failed: 1 };
  assert.deepEqual(sent, [["/t", { ...NONE, ...told, time_to_recover_ms: [3000] }]]);
  page.dispatchEvent(new Event("pagehide"));
  assert.equal(sent.length, 1);
});

test("leaving the page tells of what goes on, and each time only what is new", async () => {
  begin();
  FakeEventSource.last.open();
  page.dispatchEvent(new Event("pagehide"));
  page.dispatchEvent(new Event("pagehide"));
  FakeEventSource.last.chunks(0);
  FakeEventSource.last.lose();
  await settled();
  clock.advance(1000);
  FakeEventSource.last.chunks(1);
  FakeEventSource.last.send("done", 2, {});
  assert.deepEqual(sent.map(([, report]) => report), [
    { ...NONE, connections_opened: 1 },
    { ...NONE, reconnects: 1, time_to_recover_ms: [1000] },
  ]);
});

test("an answer that is followed no longer is told of, and closed", () => {
  const line = begin();
  FakeEventSource.last.open();
  following.end(line);
  following.end(line);
  assert.equal(line.connection.state, "closed");
  assert.equal(sent.length, 1);
  assert.equal(following.live.length, 0);
  assert.equal(following.newest, line);
});
