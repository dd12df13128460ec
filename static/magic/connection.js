import { ApiError, isLive } from "./api.js";
import { Inquiry } from "./ask.js";
import { newStreamId } from "./ids.js";
import { Link } from "./link.js";
import { Pause } from "./pause.js";
import { Seat } from "./places.js";
import { MessageSequencer } from "./sequencer.js";
import { StreamUrls } from "./stream_urls.js";
import { surroundings } from "./surroundings.js";
import { Tally } from "./tally.js";
import { mayStartLater, Verdict } from "./verdict.js";
import { Wakeups } from "./wakeups.js";

/**
 * @typedef {import("./types.js").Snapshot} Snapshot
 * @typedef {import("./source.js").Message} Message
 * @typedef {import("./types.js").Chunk} Chunk
 * @typedef {import("./types.js").Terminal} Terminal
 * @typedef {"idle" | "starting" | "polling" | "connecting" | "open" | "asking" | "waiting" | "suspended" | "closed"} State
 */

const FIRST_POLL_MS = 250;
const POLL_MS = 1000;
/** A heartbeat is due every 10 s: a connection that was silent for longer than this is not trusted on return. */
const TRUSTED_SILENCE_MS = 12_000;

/**
 * Follows one stream to its end, through lost connections, sleeping tabs and restarted servers.
 *
 * An EventSource shows neither status nor body and closes for good on some refusals. So none is allowed to retry by
 * itself: on any error it is dropped, the snapshot is asked what is true, and then this class decides.
 */
export class ResilientSSEConnection {
  #url;
  #urls;
  #question;
  #handlers;
  #options;
  #env;
  #pause;
  #seat;
  #wakeups;
  #inquiry;
  #verdict = new Verdict();
  /** @type {MessageSequencer<Message>} */
  #sequencer;
  /** @type {Link | null} */
  #link = null;
  #wasOpened = false;
  #state = /** @type {State} */ ("idle");
  /** What this connection has been through. */
  tally = new Tally();

  /**
   * @param {string} url of `/api/v1/stream`
   * @param {import("./types.js").Options} [options]
   */
  constructor(url, options = {}) {
    const { params = {}, start = null, retry = {}, handlers = {}, places = null, env = {} } = options;
    const { stream_id, last_event_id, ...rest } = params;
    this.#url = url;
    this.streamId = stream_id === undefined || stream_id === null ? newStreamId() : String(stream_id);
    this.#urls = new StreamUrls(url, this.streamId, rest);
    this.#question = start;
    this.#handlers = handlers;
    this.#options = options;
    this.#env = surroundings(env);
    this.#pause = new Pause(retry, this.#env);
    this.#inquiry = new Inquiry(this.#env);
    this.#sequencer = this.#newSequencer(Number(last_event_id ?? -1) + 1);
    this.#seat = new Seat(places, () => this.#env.document?.visibilityState !== "hidden", {
      onTaken: () => this.#seated(),
      onGivenUp: () => this.#unseated(),
    });
    this.#wakeups = new Wakeups(this.#env.window, this.#env.document, {
      onNetwork: () => this.#wake(),
      onVisible: () => this.#trusts() || this.#wake(),
      onHide: () => this.#suspend(),
      onReturn: (fromCache) => void ((this.#state === "suspended" || (fromCache && !this.#trusts())) && this.#wake()),
    });
  }

  /** The last event that was delivered; -1 before the first. */
  get lastEventId() {
    return this.#sequencer.nextId - 1;
  }

  /** How many events are known to be missing: later ones are here and wait for them. */
  get missing() {
    return this.#sequencer.missing;
  }

  /** How many events are here and wait for one that is missing. */
  get waiting() {
    return this.#sequencer.pending;
  }

  get reconnects() {
    return this.tally.reconnects;
  }

  get state() {
    return this.#state;
  }

  /** Begins to follow the stream; a second call does nothing. */
  connect() {
    if (this.#state !== "idle") return;
    this.#wakeups.start();
    this.#go();
  }

  /** Takes the stream up again now, whatever was being waited for. */
  reconnect() {
    if (this.#state === "idle" || this.#state === "closed") return;
    this.#drop();
    this.#go();
  }

  /** Ends for good: nothing is called, sent or waited for afterwards. */
  close() {
    this.#state = "closed";
    this.#drop();
    this.#seat.leave();
    this.#wakeups.stop();
  }

  #go() {
    if (this.#question !== null) return void this.#start(this.#question);
    this.#seat.seek();
    if (this.#seat.held) this.#open();
    else this.#pollAfter(FIRST_POLL_MS);
  }

  /** @param {Record<string, unknown>} question */
  async #start(question) {
    this.#state = "starting";
    const request = { stream_id: this.streamId, ...question };
    const { post } = this.#options;
    const answer = await (post ? this.#inquiry.other(() => post(request)) : this.#inquiry.start(this.#url, request));
    if (answer === null) return;
    if (answer instanceof ApiError) {
      if (mayStartLater(answer)) this.#wait(answer.retryAfterMs ?? 0);
      else this.#refuse(answer);
      return;
    }
    this.#question = null;
    this.#pause.succeeded();
    this.#handlers.onStarted?.(answer);
    if (!isLive(answer)) return this.#endWith(answer);
    if (answer.last_event_id >= 0) this.#goOnFrom(answer);
    if (this.#state === "starting") this.#go();
  }

  #seated() {
    if (this.#state !== "polling") return;
    this.#drop();
    this.#open();
  }

  /** What goes on without a connection: what it was about to do, else to follow by the snapshot. */
  #unseated() {
    if (this.#link === null) return;
    this.#drop();
    this.#go();
  }

  /** @param {number} delayMs */
  #pollAfter(delayMs) {
    this.#state = "polling";
    this.#pause.after(delayMs, () => void this.#poll());
  }

  async #poll() {
    const answer = await this.#inquiry.snapshot(this.#urls.snapshot());
    if (answer === null) return;
    if (answer instanceof ApiError) return this.#decideRefused(answer);
    if (!isLive(answer)) return this.#endWith(answer);
    this.#pause.succeeded();
    if (answer.last_event_id !== this.lastEventId) this.#goOnFrom(answer);
    if (this.#state !== "polling") return;
    this.#seat.press();
    this.#pollAfter(POLL_MS);
  }

  #open() {
    this.#state = "connecting";
    if (this.#wasOpened) this.tally.reconnects += 1;
    this.#wasOpened = true;
    const on = {
      onOpen: () => this.#opened(),
      onMessage: (/** @type {Message} */ message) => this.#received(message),
      onLost: () => void this.#lost(),
      onUnreadable: () => void this.#lost({ holeBehind: this.lastEventId }),
      onSilence: () => void this.#silent(),
    };
    this.#link = new Link(this.#urls.events(this.lastEventId), on, this.#env, this.#options.stallMs);
  }

  #opened() {
    this.#state = "open";
    this.tally.opened += 1;
    this.#handlers.onOpen?.();
  }

  /** @param {Message} message */
  #received(message) {
    this.#state = "open";
    const duplicates = this.#sequencer.duplicates;
    const next = this.#sequencer.process(message.id, message);
    this.tally.duplicates += this.#sequencer.duplicates - duplicates;
    if (next === null) return;
    this.#pause.succeeded();
    this.tally.recovers(this.#env.clock.now());
    this.#deliver(next);
    for (const waiting of this.#sequencer.flushBuffer()) this.#deliver(waiting);
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

  /**
   * Nothing came for too long, which alone proves nothing: of a stream that still waits for its turn come only comments,
   * and an EventSource tells nobody of those. The connection goes on being used until the server says that it has more.
   */
  async #silent() {
    const silentSince = this.#link?.lastActivity;
    const neverStood = this.#state === "connecting";
    this.#state = "asking";
    const answer = await this.#inquiry.snapshot(this.#urls.snapshot());
    if (answer === null || this.#link?.lastActivity !== silentSince) return;
    if (!(answer instanceof ApiError) && isLive(answer) && answer.last_event_id === this.lastEventId) return this.#renew();
    this.tally.stalls += 1;
    this.tally.failed += Number(neverStood);
    this.#handlers.onStall?.();
    if (this.#lose()) this.#decideOn(answer);
  }

  /** Connects anew without a word: nothing was lost, and the old connection may be dead all the same. */
  #renew() {
    this.#drop();
    this.#wasOpened = false;
    this.#open();
  }

  /** @param {{ holeBehind?: number | null }} [how] */
  async #lost(how) {
    if (!this.#lose(how)) return;
    const answer = await this.#inquiry.snapshot(this.#urls.snapshot());
    if (answer !== null) this.#decideOn(answer);
  }

  /**
   * @param {{ holeBehind?: number | null }} [how]
   * @returns {boolean} whether it is to be decided how to go on
   */
  #lose({ holeBehind = null } = {}) {
    if (this.#state === "closed" || this.#state === "suspended") return false;
    if (this.#state === "connecting") this.tally.failed += 1;
    this.#drop();
    this.#state = "asking";
    if (holeBehind !== null) this.tally.gaps += 1;
    this.tally.loses(this.#env.clock.now());
    this.#verdict.lost(holeBehind);
    this.#handlers.onLost?.();
    return this.state === "asking";
  }

  /** @param {Snapshot | ApiError} answer */
  #decideOn(answer) {
    if (answer instanceof ApiError) this.#decideRefused(answer);
    else this.#decide(answer);
  }

  /** @param {Snapshot} snapshot */
  #decide(snapshot) {
    const what = this.#verdict.on(snapshot, this.lastEventId);
    if (what !== "resume") this.tally.freshCopies += 1;
    if (what === "end") return this.#endWith(snapshot);
    if (what === "fresh") this.#goOnFrom(snapshot);
    this.#wait(0);
  }

  /** @param {ApiError} error */
  #decideRefused(error) {
    // A start that never arrived is unknown to the server; the next attempt carries the question again.
    const neverStarted = error.status === 404 && this.lastEventId < 0 && this.#urls.asks;
    if (error.passes || neverStarted) this.#wait(error.retryAfterMs ?? 0);
    else this.#refuse(error);
  }

  /** @param {Snapshot} snapshot */
  #goOnFrom(snapshot) {
    this.#sequencer = this.#newSequencer(snapshot.last_event_id + 1);
    this.tally.recovers(this.#env.clock.now());
    this.#handlers.onFresh?.(snapshot);
  }

  /** @param {Snapshot} snapshot of a closed stream */
  #endWith(snapshot) {
    if (this.#state === "closed") return;
    this.#goOnFrom(snapshot);
    this.close();
    this.#handlers.onEnd?.(snapshot);
  }

  /** @param {ApiError} error */
  #refuse(error) {
    this.close();
    this.#handlers.onRefused?.(error);
  }

  /** @param {number} atLeastMs what the server asked for */
  #wait(atLeastMs) {
    if (this.#state === "closed") return;
    this.#state = "waiting";
    const delayMs = this.#pause.afterFailure(atLeastMs, () => this.reconnect());
    this.#handlers.onReconnecting?.({ attempt: this.#pause.attempts, delayMs, started: this.#question === null });
  }

  /**
   * Lets go of the connection and of whatever is under way; what was delivered stays known. What waited for an event
   * before it does not: the server may have lost it since, and what takes its place is something else.
   */
  #drop() {
    this.#sequencer.close();
    this.#link?.close();
    this.#link = null;
    this.#inquiry.drop();
    this.#pause.stop();
  }

  // A page with an open connection, or with a lock, is kept out of the back/forward cache.
  #suspend() {
    if (this.#state === "closed" || this.#state === "starting") return;
    this.#drop();
    this.#seat.leave();
    this.#state = "suspended";
  }

  /** Tries at once, unless the server wants to be left alone for longer. */
  #wake() {
    if (this.#state === "waiting" && !this.#pause.mayBeCut) return;
    if (this.#state !== "starting") this.reconnect();
  }

  /** Whether there is a connection that was heard of lately. */
  #trusts() {
    const silentMs = this.#env.clock.now() - (this.#link?.lastActivity ?? -Infinity);
    return silentMs <= TRUSTED_SILENCE_MS;
  }

  /** @param {number} first */
  #newSequencer(first) {
    const onGap = () => void this.#lost({ holeBehind: this.lastEventId });
    return new MessageSequencer(first, { onGap, clock: this.#env.clock });
  }
}
