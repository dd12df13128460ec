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
