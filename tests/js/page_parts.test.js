import assert from "node:assert/strict";
import { test } from "node:test";

import { addressOf, conversationAt } from "../../static/magic/addresses.js";
import { totalOf } from "../../static/magic/cost_pill.js";
import { dayOf, midnight } from "../../static/magic/days.js";
import { Drafts } from "../../static/magic/drafts.js";
import { costOf, partsOf, speedOf, summaryOf } from "../../static/magic/facts.js";
import { safeUrl, withoutTitle } from "../../static/magic/links.js";
import { Memory } from "../../static/magic/memory.js";

function storage(kept = new Map()) {
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  };
}

test("drafts are kept by conversation, and the oldest are forgotten", () => {
  const own = storage();
  const drafts = new Drafts(new Memory(() => own));
  drafts.keep("a", "one");
  drafts.keep("b", "two");
  drafts.keep("a", "one more");
  assert.equal(drafts.recall("a"), "one more");
  drafts.keep("a", "");
  assert.deepEqual([drafts.recall("a"), drafts.recall("b")], ["", "two"]);
  for (let number = 0; number < 100; number += 1) drafts.keep(`c${number}`, "x");
  assert.deepEqual([drafts.recall("b"), drafts.recall("c99"), drafts.recall("c1")], ["", "x", ""]);
});

test("drafts of another shape, or none allowed, are no error", () => {
  for (const kept of ["{", "7", '[["a", 1], "b"]']) {
    assert.equal(new Drafts(new Memory(() => storage(new Map([["magic-drafts", kept]])))).recall("a"), "");
  }
  const forbidden = new Drafts(new Memory(() => { throw new Error("blocked"); }));
  forbidden.keep("a", "x");
  assert.equal(forbidden.recall("a"), "");
});

test("an address names a conversation, a new one, or nothing", () => {
  for (const id of ["conversation_7f", "a:b.c-d", "%", ""]) assert.equal(conversationAt(addressOf(id)), id);
  for (const fragment of ["", "#", "#c/", "#message", "#c/%"]) assert.equal(conversationAt(fragment), null);
});

test("only whole addresses of a few kinds are linked", () => {
  assert.equal(safeUrl(" https://x.org/a b "), null);
  assert.equal(safeUrl("https://x.org/ä?b=c#d"), "https://x.org/%C3%A4?b=c#d");
  assert.equal(safeUrl("mailto:a@b.org"), "mailto:a@b.org");
  for (const url of ["javascript:1", "data:,x", "//x.org", "/a", "#a", "https://", "http:x", "ftp://x", "\u0000https://x"]) {
    assert.equal(safeUrl(url), null, url);
  }
  assert.equal(withoutTitle('<https://x.org> "a title"'), "https://x.org");
});

const FACTS = { model: "demo", tokensIn: 1200, tokensOut: 30, cost: 0.0002, estimated: true, live: false };
Object.assign(FACTS, { firstTokenMs: 500, latencyMs: 1500, reconnects: 1 });

test("what an answer took, in words", () => {
  assert.deepEqual(partsOf(FACTS, 30.2), ["1,200 in", "30 out", "~$0.0002", "first token 500 ms", "30 tokens/s", "1 reconnect"]);
  assert.equal(summaryOf(FACTS), "demo · ~$0.0002 · 1.5 s");
  assert.equal(speedOf(FACTS), 30);
  assert.equal(speedOf({ ...FACTS, firstTokenMs: null }), null);
  assert.equal(costOf({ ...FACTS, cost: null }), "cost unknown");
  assert.equal(costOf({ ...FACTS, cost: null, live: true }), "");
});

test("a total tells what of it is estimated, and what unknown", () => {
  const turns = [["provider", 0.5], ["estimated", 0.25], ["unknown", null], ["pending", null]];
  const total = totalOf(turns.map(([cost_state, total_cost]) => ({ cost_state, total_cost })));
  assert.deepEqual(total, { cost: 0.75, estimated: true, unknown: true });
  assert.deepEqual(totalOf([]), { cost: null, estimated: false, unknown: false });
});

test("conversations are listed by day", () => {
  const now = new Date(2026, 10, 24, 0, 30);
  const at = (...parts) => dayOf(new Date(...parts), now);
  assert.equal(at(2026, 10, 24, 0, 10), "Today");
  assert.equal(at(2026, 10, 23, 23, 59), "Yesterday");
  assert.equal(at(2026, 10, 18), "Last 7 days");
  assert.equal(at(2026, 10, 1), "Last 30 days");
  assert.equal(at(2025, 10, 24), "Earlier");
  assert.equal(midnight(now).getTime(), new Date(2026, 10, 24).getTime());
});
