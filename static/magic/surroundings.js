import { systemClock } from "./clock.js";

/** @typedef {import("./types.js").Surroundings} Surroundings */

/**
 * What the page gives a connection, but for what the caller gives. `EventSource` and `fetch` are looked up at every use,
 * so that they can be changed under a connection that lives.
 *
 * @param {Partial<Surroundings>} given
 * @returns {Surroundings}
 */
export function surroundings(given) {
  return {
    clock: systemClock,
    random: () => Math.random(),
    window: globalThis.window ?? null,
    document: globalThis.document ?? null,
    ...given,
    get EventSource() {
      return given.EventSource ?? globalThis.EventSource;
    },
    get fetch() {
      return given.fetch ?? globalThis.fetch;
    },
  };
}
