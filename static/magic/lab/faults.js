/**
 * What is wrong with the wire now. Shares are from 0 to 1.
 *
 * @typedef {object} Faults
 * @property {boolean} stalled nothing passes, and the connection stays open
 * @property {boolean} offline nothing is connected, and nothing can be
 * @property {number} delayMs before each event
 * @property {number} duplicates share of events that come twice
 * @property {number} reorder share of events that come later than those behind them
 * @property {number} loss share of events that never come
 */

/** @type {Readonly<Faults>} */
export const NO_FAULTS = Object.freeze({
  stalled: false,
  offline: false,
  delayMs: 0,
  duplicates: 0,
  reorder: 0,
  loss: 0,
});

const LATEST_MS = 400;

/**
 * When one event is handed over: once, twice, or never.
 *
 * @param {Faults} faults
 * @param {() => number} random
 * @returns {number[]} milliseconds from now
 */
export function arrivals({ delayMs, duplicates, reorder, loss }, random) {
  if (random() < loss) return [];
  const late = random() < reorder ? Math.ceil(random() * LATEST_MS) : 0;
  const first = delayMs + late;
  return random() < duplicates ? [first, first + Math.ceil(random() * LATEST_MS)] : [first];
}
