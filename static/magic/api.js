/**
 * What the server says of a stream (`GET /api/v1/streams/{id}`); a listing has no `text`.
 *
 * @typedef {object} Snapshot
 * @property {string} stream_id
 * @property {"queued" | "streaming" | "done" | "error" | "cancelled"} status
 * @property {string | null} conversation_id
 * @property {string | null} parent_id
 * @property {string | null} [continues] the stream whose answer it goes on with
 * @property {string} model
 * @property {string} message
 * @property {string} text
 * @property {number} last_event_id
 * @property {number | null} prompt_tokens
 * @property {number | null} completion_tokens
 * @property {number | null} total_tokens
 * @property {number | null} total_cost
 * @property {number | null} [cost_so_far] what its chunks cost by our count, while it is live
 * @property {"pending" | "provider" | "estimated" | "unknown"} cost_state
 * @property {number | null} latency_ms
 * @property {number | null} first_token_ms
 * @property {string | null} [finish_reason]
 * @property {string | null} error_type
 * @property {string | null} error
 * @property {string | null} [pruned_at] when its text was removed
 *
 * @typedef {object} Model
 * @property {string} id
 * @property {string} provider
 * @property {{ input: number, output: number } | null} prices USD per million tokens
 * @property {number | null} context_window
 *
 * @typedef {{ name: string, reason: string }} BadParameter
 * @typedef {{ detail?: string, title?: string, error_type?: string, errors?: BadParameter[] }} Problem
 * @typedef {object} StartRequest
 * @property {string} stream_id
 * @property {string} [message]
 * @property {string} [continues] the stream to go on with, in place of a message
 * @property {string} [model]
 * @property {string} [conversation_id]
 * @property {string} [parent_id]
 * @property {boolean} [from_start] the message follows nothing, also in a conversation that has streams
 * @property {string} [system]
 * @property {number} [temperature]
 * @property {number} [max_tokens]
 * @property {string} [template] what the message was made from, as `name@version`
 *
 * @typedef {{ method?: string, body?: unknown, signal?: AbortSignal }} Call
 */

/** @param {Snapshot} snapshot */
export function isLive(snapshot) {
  return snapshot.status === "queued" || snapshot.status === "streaming";
}

/** The server did not do what was asked. `status` is 0 where no answer came at all. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {Problem} [problem]
   * @param {number | null} [retryAfterMs]
   */
  constructor(status, problem = {}, retryAfterMs = null) {
    const fallback = status === 0 ? "The server can't be reached." : `The server answered ${status}.`;
    super(problem.detail || problem.title || fallback);
    this.name = "ApiError";
    this.status = status;
    this.errorType = problem.error_type ?? "";
    this.errors = problem.errors ?? [];
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the server asked who we are. With open access the question comes as a missing `user_id`. */
  get asksWho() {
    const names = this.errors.map(({ name }) => name);
    return this.status === 401 || (this.status === 400 && names.length === 1 && names[0] === "user_id");
  }

  /** Whether the call may have been carried out all the same: no answer, or only a proxy's. */
  get unknown() {
    return this.status === 0 || (this.status >= 500 && this.errorType === "");
  }

  /** Whether the same call may succeed later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The JSON side of the API. Gets itself an anonymous identity when the server first asks for one. */
export class Api {
  #base;
  #fetch;
  /** @type {Promise<void> | null} */
  #identifying = null;

  /**
   * @param {string} [base]
   * @param {typeof globalThis.fetch} [fetch]
   */
  constructor(base = "/api/v1", fetch = (input, init) => globalThis.fetch(input, init)) {
    this.#base = base;
    this.#fetch = fetch;
  }

  get streamUrl() {
    return `${this.#base}/stream`;
  }

  get telemetryUrl() {
    return `${this.#base}/telemetry`;
  }

  /** @returns {Promise<Model[]>} */
  async models() {
    return (await this.#identified("/models")).models;
  }

  /**
   * Something of one's own. A visitor without an identity has nothing, and needs none yet.
   *
   * @param {string} path
   * @returns {Promise<any>} null for such a visitor
   */
  async own(path) {
    try {
      return await this.call(path);
    } catch (error) {
      if (error instanceof ApiError && error.asksWho) return null;
      throw error;
    }
  }

  /**
   * @param {string} streamId
   * @returns {Promise<Snapshot>}
   */
  snapshot(streamId) {
    return this.call(`/streams/${encodeURIComponent(streamId)}`);
  }

  /**
   * @param {StartRequest} request
   * @returns {Promise<Snapshot>}
   */
  start(request) {
    return this.#identified("/stream", { method: "POST", body: request });
  }

  /**
   * @param {string} streamId
   * @returns {Promise<Snapshot>}
   */
  cancel(streamId) {
    return this.call(`/stream/${encodeURIComponent(streamId)}`, { method: "DELETE" });
  }

  /**
   * @param {string} path
   * @param {Call} [call]
   */
  async #identified(path, call) {
    try {
      return await this.call(path, call);
    } catch (error) {
      if (!(error instanceof ApiError && error.asksWho)) throw error;
    }
    this.#identifying ??= this.#identify().finally(() => (this.#identifying = null));
    await this.#identifying;
    return this.call(path, call);
  }

  /** Two tabs must not get two identities: the second cookie would hide the first tab's streams. */
  async #identify() {
    const alone = (/** @type {() => Promise<void>} */ work) =>
      globalThis.navigator?.locks ? navigator.locks.request("magic-identity", work) : work();
    await alone(async () => {
      try {
        await this.call("/streams?limit=1");
      } catch (error) {
        if (!(error instanceof ApiError && error.asksWho)) throw error;
        await this.call("/anon_session", { method: "POST" });
      }
    });
  }

  /**
   * @param {string} path below the base
   * @param {Call} [call]
   * @returns {Promise<any>} null where the answer has no body
   * @throws {ApiError}
   */
  async call(path, { method = "GET", body, signal } = {}) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await this.#fetch(this.#base + path, {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        credentials: "same-origin",
        cache: "no-store",
        signal: signal ?? AbortSignal.timeout(20_000),
      });
    } catch {
      throw new ApiError(0);
    }
    return readAnswer(response);
  }
}

/**
 * @param {Response} response
 * @returns {Promise<any>} the JSON of a success
 * @throws {ApiError} for anything else
 */
export async function readAnswer(response) {
  const empty = response.status === 204 || response.headers.get("Content-Length") === "0";
  const answer = empty ? null : await response.json().catch(() => undefined);
  if (response.ok && answer !== undefined) return answer;
  // A success that can't be read was cut on its way: as good as no answer.
  throw new ApiError(response.ok ? 0 : response.status, answer ?? {}, retryAfter(response));
}

/**
 * `Retry-After` in milliseconds, as it may be written: seconds, or a date.
 *
 * @param {Response} response
 */
function retryAfter(response) {
  const text = response.headers.get("Retry-After") ?? "";
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const ms = Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}
