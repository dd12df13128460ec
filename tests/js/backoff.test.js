import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff } from "../../static/magic/backoff.js";
import { seeded } from "./fakes.js";

const take = (backoff, n) => Array.from({ length: n }, () => backoff.next());

test("the delays are 1, 2, 4, 5, 5 … seconds", () => {
  assert.deepEqual(take(new Backoff({ random: () => 0.5 }), 7), [1000, 2000, 4000, 5000, 5000, 5000, 5000]);
});

test("chance moves each by a tenth at most", () => {
  assert.deepEqual(take(new Backoff({ random: () => 0 }), 5), [900, 1800, 3600, 4500, 4500]);
  assert.deepEqual(take(new Backoff({ random: () => 1 }), 5), [1100, 2200, 4400, 5500, 5500]);
  const some = take(new Backoff({ steps: [1000], random: seeded(7) }), 1000);
  assert.ok(some.every((delay) => delay >= 900 && delay <= 1100));
  assert.ok(new Set(some).size > 100);
});

test("a reset begins again", () => {
  const backoff = new Backoff({ random: () => 0.5 });
  take(backoff, 4);
  assert.equal(backoff.attempts, 4);
  backoff.reset();
  assert.equal(backoff.attempts, 0);
  assert.equal(backoff.next(), 1000);
});

test("a ladder needs a step", () => {
  assert.throws(() => new Backoff({ steps: [] }), RangeError);
});
