import assert from "node:assert/strict";
import { test } from "node:test";

import { ResilientSSEConnection } from "../../static/magic/connection.js";
import { BadNetwork } from "./bad_network.js";
import { FakeClock, seeded, settled } from "./fakes.js";

const SEEDS = Number(process.env.SEEDS ?? 150);
const FAULTS = ["loss", "duplicates", "reorder", "cut", "silent", "refused", "unreadable", "rollback"];
const WORST = {
  ...{ loss: 0.2, duplicates: 0.3, reorder: 0.3, cut: 0.03 },
  ...{ silent: 0.2, refused: 0.3, unreadable: 0.05, rollback: 0.2 },
};

/** What a reader has after one answer over this network. */
async function read(network, clock, random) {
  const got = { text: "", ids: [], ends: 0, tally: {} };
  const connection = new ResilientSSEConnection("/api/v1/stream", {
    params: { stream_id: "s" },
    handlers: {
      onChunk: (chunk, id) => ((got.text += chunk.content), got.ids.push(id)),
      onHeartbeat: (id) => got.ids.push(id),
      onDone: () => (got.ends += 1),
      onError: () => assert.fail("the log has no error"),
      onFresh: (snapshot) => {
        got.text = snapshot.text;
        got.ids = [];
      },
      onEnd: () => (got.ends += 1),
      onRefused: (error) => assert.fail(String(error)),
    },
    env: { EventSource: network.EventSource, fetch: network.fetch, clock, random, window: null, document: null },
  });
  connection.connect();
  for (let steps = 0; connection.state !== "closed"; steps += 1) {
    assert.ok(steps < 100_000, "it never ends");
    clock.step();
    if (connection.state === "asking") await settled();
    assert.ok(connection.waiting <= Math.max(0, network.end - connection.lastEventId), "it holds what can't be early");
  }
  got.tally = connection.tally;
  return got;
}

test(`any mix of loss, repetition, disorder, cuts, silence and refusals gives the text once (${SEEDS} seeds)`, async () => {
  const happened = { reconnects: 0, duplicates: 0, stalls: 0, gaps: 0, freshCopies: 0, recovered: 0 };
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const random = seeded(seed);
    const clock = new FakeClock();
    const faults = Object.fromEntries(FAULTS.map((name) => [name, random() < 0.5 ? 0 : random() * WORST[name]]));
    const network = new BadNetwork(20 + Math.floor(random() * 400), { clock, random, faults });
    const got = await read(network, clock, random);
    const which = `seed ${seed}: ${JSON.stringify(faults)}`;
    assert.equal(got.text, network.text, which);
    assert.equal(got.ends, 1, which);
    assert.ok(got.ids.every((id, at) => at === 0 || id > got.ids[at - 1]), which);
    assert.equal(network.open, 0, which);
    clock.advance(3_600_000);
    assert.equal(clock.pending, 0, which);
    for (const name of Object.keys(happened)) happened[name] += got.tally[name];
  }
  for (const [name, times] of Object.entries(happened)) assert.ok(times > SEEDS / 10, `${name}: ${times}`);
});

test("a network without faults needs one connection", async () => {
  const clock = new FakeClock();
  const network = new BadNetwork(300, { clock, random: seeded(1), faults: {} });
  const got = await read(network, clock, () => 0.5);
  assert.equal(got.text, network.text);
  assert.equal(network.opened, 1);
});
