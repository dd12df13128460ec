import assert from "node:assert/strict";
import { test } from "node:test";

import { MessageSequencer } from "../../static/magic/sequencer.js";
import { FakeClock, seeded } from "./fakes.js";

/** Everything that comes out when these ids go in. */
function deliveries(sequencer, ids) {
  return ids.flatMap((id) => {
    const next = sequencer.process(id, id);
    return next === null ? sequencer.flushBuffer() : [next, ...sequencer.flushBuffer()];
  });
}

const upTo = (end) => Array.from({ length: end }, (_, id) => id);
const make = (first, options = {}) => new MessageSequencer(first, { clock: new FakeClock(), ...options });

test("100 events with 50 duplicates among them come out as 100, in order", () => {
  const ids = upTo(100).flatMap((id) => (id % 2 ? [id, id] : [id]));
  const sequencer = make();
  assert.deepEqual(deliveries(sequencer, ids), upTo(100));
  assert.equal(sequencer.duplicates, 50);
});

test("an event that comes early waits for the one before it", () => {
  const sequencer = make();
  assert.equal(sequencer.process(0, "a"), "a");
  assert.equal(sequencer.process(2, "c"), null);
  assert.deepEqual(sequencer.flushBuffer(), []);
  assert.equal(sequencer.process(1, "b"), "b");
  assert.deepEqual(sequencer.flushBuffer(), ["c"]);
  assert.equal(sequencer.process(3, "d"), "d");
  assert.equal(sequencer.pending, 0);
});

test("a late event is dropped", () => {
  const sequencer = make();
  deliveries(sequencer, [0, 1, 2]);
  assert.equal(sequencer.process(1, 1), null);
  assert.equal(sequencer.nextId, 3);
});

test("a buffered event that comes again is a duplicate", () => {
  const sequencer = make();
  deliveries(sequencer, [2, 2, 2]);
  assert.equal(sequencer.pending, 1);
  assert.equal(sequencer.duplicates, 2);
});

test("several holes close in whatever order", () => {
  assert.deepEqual(deliveries(make(), [0, 2, 5, 7, 1, 6, 4, 3]), upTo(8));
});

test("sequences may begin anywhere, and 0 is an id like any other", () => {
  assert.deepEqual(deliveries(make(5), [4, 5, 6]), [5, 6]);
  assert.deepEqual(deliveries(make(), [0, 0]), [0]);
  assert.deepEqual(deliveries(make(1), [0, 1]), [1]);
});

test("an id may be a string of digits, as an EventSource has it", () => {
  assert.deepEqual(deliveries(make(), ["0", 1, "2", "1"]), ["0", 1, "2"]);
});

test("what is no id is ignored", () => {
  assert.deepEqual(deliveries(make(), [NaN, -1, 0.5, Infinity, undefined, "", " 0", "-1", "x", null, 0]), [0]);
});

test("a hole that does not close is told once", () => {
  const clock = new FakeClock();
  const gaps = [];
  const sequencer = new MessageSequencer(0, { clock, gapMs: 5000, onGap: (gap) => gaps.push(gap) });
  deliveries(sequencer, [0, 3, 2]);
  clock.advance(4999);
  assert.deepEqual(gaps, []);
  clock.advance(60_000);
  assert.deepEqual(gaps, [{ expected: 1, received: 2, buffered: 2 }]);
});

test("a hole that closes in time is not told", () => {
  const clock = new FakeClock();
  const sequencer = new MessageSequencer(0, { clock, onGap: () => assert.fail("told of a gap") });
  deliveries(sequencer, [1, 0]);
  clock.advance(60_000);
  assert.equal(clock.pending, 0);
});

test("what is held is bounded, and what lies beyond is told and not held", () => {
  const gaps = [];
  const sequencer = make(0, { capacity: 10, onGap: (gap) => gaps.push(gap) });
  deliveries(sequencer, upTo(1000).slice(1));
  assert.equal(sequencer.pending, 10);
  assert.deepEqual(gaps, [{ expected: 0, received: 11, buffered: 10 }]);
  assert.deepEqual(deliveries(sequencer, [0]), upTo(11));
});

test("closing forgets what waits and leaves no timer", () => {
  const clock = new FakeClock();
  const sequencer = new MessageSequencer(0, { clock });
  deliveries(sequencer, [3]);
  sequencer.close();
  assert.equal(sequencer.pending + clock.pending, 0);
});

test("any loss, duplication and reordering, made good by replays, gives the sequence once", () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = seeded(seed);
    const sequencer = make(0, { capacity: 50 });
    const out = [];
    while (sequencer.nextId < 300) out.push(...deliveries(sequencer, mangled(sequencer.nextId, 300, random)));
    assert.deepEqual(out, upTo(300), `seed ${seed}`);
    assert.equal(sequencer.pending, 0, `seed ${seed}`);
  }
});

/** A replay of first…end-1 over a bad line. */
function mangled(first, end, random) {
  const ids = [];
  for (let id = first; id < end; id += 1) {
    if (random() < 0.1) continue;
    const at = Math.max(0, ids.length - Math.floor(random() * 5));
    ids.splice(at, 0, id);
    if (random() < 0.2) ids.push(Math.max(0, id - Math.floor(random() * 20)));
  }
  return ids;
}
