import { ApiError, isLive, readAnswer } from "./api.js";
import { Backoff } from "./backoff.js";
import { systemClock } from "./clock.js";
import { newStreamId } from "./ids.js";
import { MessageSequencer } from "./sequencer.js";
import { StallDetector } from "./stall.js";

/**
 * @typedef {import("./api.js").Snapshot} Snapshot
 * @typedef {{ content: string, tokens: number, cost_usd: number | null }} Chunk
 * @typedef {Record<string, any>} Terminal the data of `done` or `error`
 * @typedef {{ type: string, data: any, id: number }} Message
 *
 * @typedef {object} Handlers every one optional; called in the order of the log
 * @property {() => void} [onOpen] a connection stands
 * @property {(chunk: Chunk, id: number) => void} [onChunk]
 * @property {(id: number) => void} [onHeartbeat]
 * @property {(data: Terminal, id: number) => void} [onDone] the answer is complete
 * @property {(data: Terminal, id: number) => void} [onError] the server ended the stream with its `error` event
 * @property {(state: { attempt: number, delayMs: number }) => void} [onReconnecting] the connection is lost
 * @property {() => void} [onStall] nothing came for too long; the connection is given up
 * @property {(snapshot: Snapshot) => void} [onFresh] what was delivered is void: this is the copy to go on from
 * @property {(snapshot: Snapshot) => void} [onEnd] the stream is closed, and the snapshot just given says how
 * @property {(error: ApiError) => void} [onRefused] the server refuses, and asking again would not change that
 *
 * @typedef {object} Surroundings what the connection takes from its page; tests pass their own
 * @property {new (url: string) => EventSource} EventSource
 * @property {typeof globalThis.fetch} fetch
 * @property {import("./clock.js").Clock} clock
 * @property {() => number} random
 * @property {EventTarget | null} window
 * @property {(EventTarget & { visibilityState: string }) | null} document
 */

const EVENT_TYPES = ["message_chunk", "heartbeat", "done"];
const SNAPSHOT_TIMEOUT_MS = 10_000;
const LONGEST_WAIT_MS = 60_000;
/** A heartbeat is due every 10 s: an open connection that was silent for longer than this is not trusted on return. */
const TRUSTED_SILENCE_MS = 12_000;

/**
 * Follows one stream to its end, through lost connections, sleeping tabs and restarted servers.
 *
 * An EventSource shows neither status nor body and closes for good on some refusals. So none is allowed to retry by
 * itself: on any error it is dropped, the snapshot is asked what is true, and then this class decides.
 */
export class ResilientSSEConnection {
  #url;
  #params;
  #handlers;
  #env;
  #backoff;
  #stallMs;
  #snapshotUrl;
  /** @type {MessageSequencer<Message>} */
  #sequencer;
  /** @type {EventSource | null} */
  #source = null;
  /** @type {StallDetector | null} */
  #stall = null;
  /** @type {AbortController | null} */
  #asking = null;
  /** @type {unknown} */
  #timer = null;
  #state = /** @type {"idle" | "connecting" | "open" | "asking" | "waiting" | "suspended" | "closed"} */ ("idle");
  /** What we had when a snapshot said that the stream is closed and has more; null while it is live.
   * @type {number | null} */
  #closedAt = null;
  /** How often the connection was lost and taken up again. */
  reconnects = 0;

  /**
   * @param {string} url of `/api/v1/stream`
   * @param {object} [options]
   * @param {Record<string, string | number | null | undefined>} [options.params] query parameters;
   *   `last_event_id` is the last event the caller has
   * @param {{ steps?: readonly number[], jitter?: number }} [options.retry]
   * @param {Handlers} [options.handlers]
   * @param {number} [options.stallMs]
   * @param {(streamId: string) => string} [options.snapshotUrl]
   * @param {Partial<Surroundings>} [options.env]
   */
  constructor(url, { params = {}, retry = {}, handlers = {}, stallMs = 30_000, snapshotUrl, env = {} } = {}) {
    const { stream_id, last_event_id, ...rest } = params;
    this.#url = url;
    this.streamId = stream_id === undefined || stream_id === null ? newStreamId() : String(stream_id);
    this.#params = rest;
    this.#handlers = handlers;
    this.#env = { ...surroundings(), ...env };
    this.#backoff = new Backoff({ ...retry, random: this.#env.random });
    this.#stallMs = stallMs;
    this.#snapshotUrl = snapshotUrl ?? ((id) => `${url}s/${encodeURIComponent(id)}${this.#userQuery()}`);
    this.#sequencer = this.#newSequencer(Number(last_event_id ?? -1) + 1);
  }

  /** The last event that was delivered; -1 before the first. */
  get lastEventId() {
    return this.#sequencer.nextId - 1;
  }

  get state() {
    return this.#state;
  }

  /** Begins to follow the stream; a second call does nothing. */
  connect() {
    if (this.#state !== "idle") return;
    this.#watchPage("addEventListener");
    this.#open();
  }

  /** Takes the stream up again now, whatever was being waited for. */
  reconnect() {
    if (this.#state === "idle" || this.#state === "closed") return;
    this.#drop();
    this.reconnects += 1;
    this.#open();
  }

  /** Ends for good: nothing is called, sent or waited for afterwards. */
  close() {
    this.#state = "closed";
    this.#drop();
    this.#sequencer.close();
    this.#watchPage("removeEventListener");
  }

  #open() {
    this.#state = "connecting";
    const source = new this.#env.EventSource(this.#streamUrl());
    this.#source = source;
    this.#stall = new StallDetector(this.#stallMs, { onStall: () => this.#stalled(), clock: this.#env.clock });
    source.onopen = () => source === this.#source && this.#opened();
    for (const type of EVENT_TYPES) {
      source.addEventListener(type, (event) => source === this.#source && this.#received(type, event));
    }
    source.onerror = (event) => {
      if (source !== this.#source) return;
      // The server's own `error` event and a lost connection arrive at the same place; only the first carries data.
      if (typeof (/** @type {MessageEvent} */ (event).data) === "string") this.#received("error", event);
      else this.#lost();
    };
  }

  #streamUrl() {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(this.#params)) {
      // Who has part of the answer has no need to ask again, and no prompt need stand in one more log.
      const answered = this.lastEventId >= 0 && name !== "user_id";
      if (value !== undefined && value !== null && !answered) query.set(name, String(value));
    }
    query.set("stream_id", this.streamId);
    if (this.lastEventId >= 0) query.set("last_event_id", String(this.lastEventId));
    return `${this.#url}?${query}`;
  }

  #userQuery() {
    const user = this.#params["user_id"];
    return user === undefined || user === null ? "" : `?user_id=${encodeURIComponent(String(user))}`;
  }

  #opened() {
    this.#state = "open";
    this.#stall?.recordActivity();
    this.#handlers.onOpen?.();
  }

  /**
   * @param {string} type
   * @param {Event} event
   */
  #received(type, event) {
    const { data, lastEventId } = /** @type {MessageEvent<string>} */ (event);
    const parsed = parse(data);
    if (!/^\d+$/.test(lastEventId) || parsed === undefined) return this.#lost();
    this.#state = "open";
    this.#stall?.recordActivity();
    const id = Number(lastEventId);
    const next = this.#sequencer.process(id, { type, data: parsed, id });
    if (next === null) return;
    this.#backoff.reset();
    this.#deliver(next);
    for (const message of this.#sequencer.flushBuffer()) this.#deliver(message);
  }

  /** @param {Message} message */
  #deliver({ type, data, id }) {
    if (this.#state === "closed") return;
    const { onChunk, onHeartbeat, onDone, onError } = this.#handlers;
    if (type === "message_chunk") return onChunk?.(data, id);
    if (type === "heartbeat") return onHeartbeat?.(id);
    this.close();
    if (type === "done") onDone?.(data, id);
    else onError?.(data, id);
  }

  #stalled() {
    this.#handlers.onStall?.();
    this.#lost();
  }

  async #lost() {
    if (this.#state === "closed") return;
    this.#drop();
    this.#state = "asking";
    const asking = new AbortController();
    this.#asking = asking;
    /** @type {Snapshot | ApiError} */
    let answer;
    try {
      answer = await this.#ask(asking);
    } catch (error) {
      answer = error instanceof ApiError ? error : new ApiError(0);
    }
    if (this.#asking !== asking) return;
    this.#asking = null;
    if (answer instanceof ApiError) this.#decideRefused(answer);
    else this.#decide(answer);
  }

  /**
   * @param {AbortController} asking
   * @returns {Promise<Snapshot>}
   */
  async #ask(asking) {
    const { clock, fetch } = this.#env;
    const timer = clock.setTimeout(() => asking.abort(), SNAPSHOT_TIMEOUT_MS);
    try {
      const headers = { Accept: "application/json" };
      const url = this.#snapshotUrl(this.streamId);
      return await readAnswer(await fetch(url, { headers, cache: "no-store", signal: asking.signal }));
    } finally {
      clock.clearTimeout(timer);
    }
  }

  /** @param {Snapshot} snapshot */
  #decide(snapshot) {
    const closed = !isLive(snapshot);
    const ahead = snapshot.last_event_id < this.lastEventId;
    const nothingLeft = snapshot.last_event_id === this.lastEventId;
    // A closed log that was asked for its last events and gave none has been pruned.
    const gaveNothing = this.#closedAt === this.lastEventId;
    if (closed && (ahead || nothingLeft || gaveNothing)) {
      this.close();
      this.#handlers.onFresh?.(snapshot);
      this.#handlers.onEnd?.(snapshot);
      return;
    }
    this.#closedAt = closed ? this.lastEventId : null;
    if (ahead) {
      this.#sequencer.close();
      this.#sequencer = this.#newSequencer(snapshot.last_event_id + 1);
      this.#handlers.onFresh?.(snapshot);
    }
    this.#wait(0);
  }

  /** @param {ApiError} error */
  #decideRefused(error) {
    // A start that never arrived is unknown to the server; the next attempt carries the question again.
    const neverStarted = error.status === 404 && this.lastEventId < 0 && Boolean(this.#params["message"]);
    if (error.passes || neverStarted) return this.#wait(error.retryAfterMs ?? 0);
    this.close();
    this.#handlers.onRefused?.(error);
  }

  /** @param {number} atLeastMs */
  #wait(atLeastMs) {
    if (this.#state === "closed") return;
    this.#state = "waiting";
    const delayMs = Math.min(Math.max(this.#backoff.next(), atLeastMs), LONGEST_WAIT_MS);
    this.#timer = this.#env.clock.setTimeout(() => this.reconnect(), delayMs);
    this.#handlers.onReconnecting?.({ attempt: this.#backoff.attempts, delayMs });
  }

  /** Lets go of the connection and of whatever is under way; what was delivered stays known. */
  #drop() {
    this.#source?.close();
    this.#source = null;
    this.#stall?.close();
    this.#stall = null;
    const asking = this.#asking;
    this.#asking = null;
    asking?.abort();
    this.#env.clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** @param {number} first */
  #newSequencer(first) {
    return new MessageSequencer(first, { onGap: () => this.#lost(), clock: this.#env.clock });
  }

  /** @param {"addEventListener" | "removeEventListener"} verb */
  #watchPage(verb) {
    const { window, document } = this.#env;
    window?.[verb]("online", this.#onOnline);
    window?.[verb]("pagehide", this.#onPageHide);
    window?.[verb]("pageshow", this.#onPageShow);
    document?.[verb]("visibilitychange", this.#onVisibility);
  }

  // Another network: a connection that still looks open belongs to the old one.
  #onOnline = () => this.reconnect();

  // A page with an open connection is kept out of the back/forward cache.
  #onPageHide = () => {
    if (this.#state === "closed" || this.#state === "idle") return;
    this.#drop();
    this.#state = "suspended";
  };

  #onPageShow = () => {
    if (this.#state === "suspended") this.reconnect();
  };

  #onVisibility = () => {
    if (this.#env.document?.visibilityState !== "visible") return;
    const silent = this.#env.clock.now() - (this.#stall?.lastActivity ?? 0) > TRUSTED_SILENCE_MS;
    if (this.#state === "waiting" || this.#state === "asking" || (this.#state === "open" && silent)) this.reconnect();
  };
}

/** @param {string} data */
function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

/** @returns {Surroundings} */
function surroundings() {
  return {
    EventSource: globalThis.EventSource,
    fetch: (input, init) => globalThis.fetch(input, init),
    clock: systemClock,
    random: Math.random,
    window: globalThis.window ?? null,
    document: globalThis.document ?? null,
  };
}
