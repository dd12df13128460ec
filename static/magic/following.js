import { ResilientSSEConnection } from "./connection.js";
import { Places } from "./places.js";

/**
 * An answer that is being followed.
 *
 * @typedef {object} Line
 * @property {ResilientSSEConnection} connection
 * @property {() => string} text what the page has of it
 */

const ENDINGS = /** @type {const} */ (["onDone", "onError", "onEnd", "onRefused"]);

/**
 * What this tab follows. Telemetry and the Network lab look in here; the connections know of neither.
 *
 * Sends `begin` and `end`, each with its line as `detail`.
 */
export class Following extends EventTarget {
  /** What every connection takes from its page. Whoever puts an `EventSource` in here is asked for the next one.
   * @type {Partial<import("./types.js").Surroundings>} */
  surroundings = {};
  #url;
  #places;
  /** @type {Set<Line>} */
  #live = new Set();
  /** The line that began last, also after its end.
   * @type {Line | null} */
  newest = null;

  /**
   * @param {string} url of `/api/v1/stream`
   * @param {import("./types.js").Options["places"]} [places]
   */
  constructor(url, places = Places.ofBrowser()) {
    super();
    this.#url = url;
    this.#places = places;
  }

  get live() {
    return [...this.#live];
  }

  /**
   * Follows a stream to its end.
   *
   * @param {import("./types.js").Options} options
   * @param {() => string} text
   * @returns {Line}
   */
  begin({ handlers = {}, ...options }, text) {
    const told = { ...handlers };
    for (const name of ENDINGS) {
      told[name] = (/** @type {any[]} */ ...given) => {
        this.end(line);
        /** @type {((...given: any[]) => void) | undefined} */ (handlers[name])?.(...given);
      };
    }
    const given = { ...options, handlers: told, places: this.#places, env: this.surroundings };
    const line = { connection: new ResilientSSEConnection(this.#url, given), text };
    this.#live.add(line);
    this.newest = line;
    this.dispatchEvent(new CustomEvent("begin", { detail: line }));
    line.connection.connect();
    return line;
  }

  /**
   * Follows it no longer; a second call does nothing.
   *
   * @param {Line} line
   */
  end(line) {
    line.connection.close();
    if (this.#live.delete(line)) this.dispatchEvent(new CustomEvent("end", { detail: line }));
  }
}
