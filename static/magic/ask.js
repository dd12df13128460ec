import { ApiError, readAnswer } from "./api.js";

/** @typedef {import("./api.js").Snapshot} Snapshot */

const SNAPSHOT_TIMEOUT_MS = 10_000;
const START_TIMEOUT_MS = 20_000;

/** Asks the server one thing at a time: who asks anew, or drops the question, hears no older answer. */
export class Inquiry {
  #env;
  /** @type {AbortController | null} */
  #current = null;

  /** @param {Pick<import("./types.js").Surroundings, "fetch" | "clock">} env */
  constructor(env) {
    this.#env = env;
  }

  /**
   * @param {string} url
   * @returns {Promise<Snapshot | ApiError | null>} null: dropped
   */
  snapshot(url) {
    return this.#hear((signal) => this.#ask(url, { signal }), SNAPSHOT_TIMEOUT_MS);
  }

  /**
   * @param {string} url
   * @param {Record<string, unknown>} request
   * @returns {Promise<Snapshot | ApiError | null>} null: dropped
   */
  start(url, request) {
    const headers = { Accept: "application/json", "Content-Type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify(request) };
    return this.#hear((signal) => this.#ask(url, { ...init, signal }), START_TIMEOUT_MS);
  }

  /**
   * @param {() => Promise<Snapshot>} question asked by other means
   * @returns {Promise<Snapshot | ApiError | null>} null: dropped
   */
  other(question) {
    return this.#hear(question, START_TIMEOUT_MS);
  }

  drop() {
    const current = this.#current;
    this.#current = null;
    current?.abort();
  }

  /**
   * @param {string} url
   * @param {RequestInit} init
   */
  async #ask(url, init) {
    const { fetch } = this.#env;
    return readAnswer(await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store", ...init }));
  }

  /**
   * @param {(signal: AbortSignal) => Promise<Snapshot>} question
   * @param {number} timeoutMs
   * @returns {Promise<Snapshot | ApiError | null>}
   */
  async #hear(question, timeoutMs) {
    this.drop();
    const current = new AbortController();
    this.#current = current;
    const timer = this.#env.clock.setTimeout(() => current.abort(), timeoutMs);
    const given = new Promise((_, reject) => current.signal.addEventListener("abort", reject));
    /** @type {Snapshot | ApiError} */
    let answer;
    try {
      answer = /** @type {Snapshot} */ (await Promise.race([question(current.signal), given]));
    } catch (error) {
      answer = error instanceof ApiError ? error : new ApiError(0);
    } finally {
      this.#env.clock.clearTimeout(timer);
    }
    if (this.#current !== current) return null;
    this.#current = null;
    return answer;
  }
}
