import assert from "node:assert/strict";
import { test } from "node:test";

import { joined, turnsOf } from "../../static/magic/joining.js";

const part = (id, more) => ({
  stream_id: id,
  parent_id: null,
  continues: null,
  status: "done",
  prompt_tokens: 2,
  completion_tokens: 3,
  total_cost: 0.5,
  cost_state: "provider",
  latency_ms: 10,
  first_token_ms: 4,
  ...more,
});
const shapes = (streams) => turnsOf(streams).map(({ stream_id: id, parent_id, parts }) => [id, parent_id, parts?.join(" ")]);

test("what goes on with an answer is one with it, and both are counted", () => {
  const whole = joined(part("a", { text: "one " }), part("b", { text: "two", status: "cancelled", cost_state: "estimated" }));
  assert.deepEqual([whole.text, whole.status, whole.cost_state], ["one two", "cancelled", "estimated"]);
  assert.deepEqual([whole.prompt_tokens, whole.completion_tokens, whole.total_cost, whole.latency_ms], [4, 6, 1, 20]);
  assert.equal(whole.first_token_ms, null);
});

test("while it goes on it costs what came before and what it has cost so far", () => {
  const live = part("b", { status: "streaming", total_cost: null, cost_so_far: 0.25, cost_state: "pending", text: "t" });
  const whole = joined(part("a", { text: "" }), live);
  assert.deepEqual([whole.total_cost, whole.cost_so_far, whole.cost_state], [null, 0.75, "pending"]);
});

test("a cost that is not known stays so", () => {
  assert.equal(joined(part("a", { total_cost: null, cost_state: "unknown" }), part("b")).cost_state, "unknown");
  assert.equal(joined(part("a", { total_cost: null, cost_state: "unknown" }), part("b")).total_cost, null);
});

test("a chain is one turn, and what follows its end follows it", () => {
  const streams = [
    part("a"),
    part("b", { continues: "a" }),
    part("c", { continues: "b" }),
    part("d", { parent_id: "c" }),
    part("e", { parent_id: "a" }),
  ];
  assert.deepEqual(shapes(streams), [["a", null, "a b c"], ["d", "a", undefined], ["e", "a", undefined]]);
  assert.deepEqual([turnsOf(streams)[0].tip, turnsOf(streams)[0].total_cost], ["c", 1.5]);
  assert.equal(streams[0].total_cost, 0.5, "what was given is left alone");
});

test("of two that go on from the same place the newer is shown, and both cost", () => {
  const [turn] = turnsOf([part("a"), part("b", { continues: "a" }), part("c", { continues: "a" })]);
  assert.deepEqual([turn.parts.join(" "), turn.total_cost], ["a c", 1.5]);
});

test("what goes on from something that is not here stands for itself", () => {
  assert.deepEqual(shapes([part("b", { continues: "a" })]), [["b", null, undefined]]);
});
