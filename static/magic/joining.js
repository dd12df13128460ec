import { newStreamId } from "./ids.js";

const ENDS = ["done", "cancelled", "error"];

/**
 * @typedef {import("./api.js").Snapshot} Snapshot
 * @typedef {Snapshot & { parts?: string[], tip?: string | undefined }} Turn an answer with its question; `parts`: the streams that
 *   it is made of, where they are several, and `tip` the last
 */

/**
 * What an answer is made of, together with what it goes on with.
 *
 * @param {any} before a snapshot, or as much of it
 * @param {any} data a later snapshot, or its terminal event
 * @returns {any} the latter, as that of both
 */
export function joined(before, data) {
  const sum = (/** @type {string} */ name, from = name) =>
    before[from] == null || data[name] == null ? null : before[from] + data[name];
  return {
    ...data,
    text: (before.text ?? "") + (data.text ?? ""),
    prompt_tokens: sum("prompt_tokens"),
    completion_tokens: sum("completion_tokens"),
    total_cost: sum("total_cost"),
    cost_so_far: sum("cost_so_far", "total_cost"),
    cost_state: before.cost_state === "provider" ? data.cost_state : before.cost_state,
    latency_ms: sum("latency_ms"),
    // Over two calls it says nothing of the speed.
    first_token_ms: null,
  };
}

/**
 * Has an answer that was cut off go on in a new stream.
 *
 * @param {import("./conversation.js").Shown | undefined} shown
 * @param {string} continues the stream that was cut off
 */
export function goOn(shown, continues) {
  if (shown === undefined || !ENDS.includes(shown.view.state)) return;
  const { view, answer } = shown;
  const { text, facts } = view;
  const before = {
    text,
    prompt_tokens: facts?.tokensIn,
    completion_tokens: facts?.tokensOut,
    total_cost: facts?.cost,
    cost_state: facts?.estimated ? "estimated" : "provider",
    latency_ms: facts?.latencyMs,
  };
  answer.goOn(newStreamId(), text.length, (told) => joined(before, told));
  view.isStopping = shown.told = false;
  shown.send = () => answer.start({ continues });
  shown.send();
}

/**
 * Has an answer be that of several streams, the last of which is to be shown.
 *
 * @param {import("./answer.js").Answer} answer
 * @param {string[]} parts
 * @param {import("./api.js").Api} api
 */
export async function rejoin(answer, parts, api) {
  const snapshots = await Promise.all(parts.slice(0, -1).map((id) => api.snapshot(id)));
  const before = snapshots.reduce((whole, part) => joined(whole, part));
  answer.goOn(parts.at(-1) ?? "", before.text.length, (told) => joined(before, told));
}

/**
 * The turns of a conversation. Of two that go on from the same place the newer one is shown, and both cost.
 *
 * @param {Snapshot[]} streams the oldest first
 * @returns {Turn[]}
 */
export function turnsOf(streams) {
  /** @type {Map<string | null | undefined, Turn>} */
  const turns = new Map();
  for (const stream of streams) {
    const turn = turns.get(stream.continues);
    if (turn === undefined) {
      const parent = turns.get(stream.parent_id)?.stream_id ?? stream.parent_id;
      turns.set(stream.stream_id, { ...stream, parent_id: parent });
      continue;
    }
    const { stream_id, parent_id, parts = [stream_id] } = turn;
    const tip = stream.stream_id;
    const kept = parts.slice(0, parts.indexOf(stream.continues ?? "") + 1);
    Object.assign(turn, joined(turn, stream), { stream_id, parent_id, parts: [...kept, tip], tip });
    turns.set(tip, turn);
  }
  return [...new Set(turns.values())];
}
