import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { StallDetector } from "../../static/magic/stall.js";
import { FakeClock } from "./fakes.js";

let clock;
let stalls;

beforeEach(() => {
  clock = new FakeClock();
  stalls = 0;
});

const detector = (timeoutMs) => new StallDetector(timeoutMs, { clock, onStall: () => (stalls += 1) });

test("30 s of silence are a stall", () => {
  detector();
  clock.advance(29_999);
  assert.equal(stalls, 0);
  clock.advance(1);
  assert.equal(stalls, 1);
});

test("activity starts the time anew", () => {
  const stall = detector(1000);
  for (let i = 0; i < 10; i += 1) {
    clock.advance(999);
    stall.recordActivity();
  }
  assert.equal(stalls, 0);
  assert.equal(stall.lastActivity, 9990);
  clock.advance(1000);
  assert.equal(stalls, 1);
});

test("a stall is told once, and again only after new activity", () => {
  const stall = detector(1000);
  clock.advance(10_000);
  assert.equal(stalls, 1);
  stall.recordActivity();
  clock.advance(10_000);
  assert.equal(stalls, 2);
});

test("the timer can be reset without activity", () => {
  const stall = detector(1000);
  clock.advance(900);
  stall.resetTimer();
  clock.advance(900);
  assert.equal(stalls, 0);
  assert.equal(stall.lastActivity, 0);
});

test("a closed detector stays silent and leaves no timer", () => {
  const stall = detector(1000);
  stall.close();
  stall.close();
  stall.recordActivity();
  stall.resetTimer();
  clock.advance(10_000);
  assert.equal(stalls + clock.pending, 0);
});

test("the callback may be set later", () => {
  const stall = new StallDetector(1000, { clock });
  stall.onStall = () => (stalls += 1);
  clock.advance(1000);
  assert.equal(stalls, 1);
});

test("a burst sets no timer: the one that runs goes on for what is left", () => {
  let set = 0;
  const setTimeout = (callback, ms) => (set += 1, clock.setTimeout(callback, ms));
  const stall = new StallDetector(1000, { clock: { ...clock, setTimeout }, onStall: () => (stalls += 1) });
  clock.advance(400);
  for (let i = 0; i < 20_000; i += 1) stall.recordActivity();
  assert.equal(set, 1);
  clock.advance(999);
  assert.deepEqual([stalls, set], [0, 2]);
  clock.advance(1);
  assert.deepEqual([stalls, clock.pending], [1, 0]);
});

test("a clock that is set back prolongs a silence by one time at most", () => {
  let offset = 0;
  const now = () => clock.now() + offset;
  new StallDetector(1000, { clock: { ...clock, now }, onStall: () => (stalls += 1) });
  offset = -3_600_000;
  for (let i = 0; i < 5 && stalls === 0; i += 1) clock.advance(1000);
  assert.equal(stalls, 1);
});
