import { ApiError, isLive } from "./api.js";
import { count, duration } from "./format.js";
import { ending, failure, gone, refusal } from "./sentences.js";

/**
 * @typedef {import("./api.js").Snapshot} Snapshot
 * @typedef {import("./connection.js").Terminal} Terminal
 */

/** One answer, in one stream or several: started or found, followed to its end, told to its view. */
export class Answer {
  #api;
  #view;
  #announce;
  #following;
  #model = "";
  #text = "";
  /** Where the text of its stream begins. */
  #start = 0;
  #whole = (/** @type {any} */ told) => told;
  /** @type {import("./following.js").Line | null} */
  #line = null;
  #tokensIn = /** @type {number | null} */ (null);
  #tokensOut = /** @type {number | null} */ (null);
  #cost = /** @type {number | null} */ (null);

  /** What is known of the start: a refused one left nothing behind, one without an answer may have arrived.
   * @type {"unknown" | "refused" | "started"} */
  outcome = "unknown";

  /**
   * @param {string} streamId
   * @param {object} parts
   * @param {import("./api.js").Api} parts.api
   * @param {import("./answer_view.js").AnswerView} parts.view
   * @param {import("./following.js").Following} parts.following
   * @param {(sentence: string, where?: { noted: boolean }) => void} parts.announce
   */
  constructor(streamId, { api, view, following, announce }) {
    this.streamId = streamId;
    this.#api = api;
    this.#view = view;
    this.#following = following;
    this.#announce = announce;
  }

  /**
   * Asks for the answer. May be called again after a failure: the id is the same, so nothing is paid twice.
   *
   * @param {Omit<import("./api.js").StartRequest, "stream_id">} request without a model: the server's default
   */
  start(request) {
    this.#model = request.model ?? this.#model;
    this.#view.setNote("");
    this.#view.setState("sending");
    this.#announce("Sending…");
    this.#follow({ start: { ...request }, post: (whole) => this.#api.start(whole) });
  }

  /**
   * Goes on in another stream, which is to be started or shown.
   *
   * @param {string} streamId
   * @param {number} start of its text
   * @param {(told: any) => any} whole makes what is told of it that of the answer
   */
  goOn(streamId, start, whole) {
    this.leave();
    this.streamId = streamId;
    this.outcome = "unknown";
    this.#start = start;
    this.#whole = whole;
  }

  /**
   * Shows the snapshot of its stream, and follows it from there if it goes on.
   *
   * @param {Snapshot} part
   */
  show(part) {
    const snapshot = this.#whole(part);
    this.#copy(snapshot.text);
    this.#started(snapshot);
    if (!isLive(snapshot)) return this.#close(snapshot);
    this.#follow({ params: { last_event_id: snapshot.last_event_id } });
  }

  /** The page no longer shows this answer, which goes on at the server. */
  leave() {
    if (this.#line) this.#following.end(this.#line);
  }

  /** The answer is on the server and can't be had now. */
  unavailable() {
    this.#view.setState("error");
    this.#view.setNote("This answer can't be loaded now. It is safe on the server: reload the page to see it.");
  }

  /** Stops the answer, on this page and at the provider. */
  async stop() {
    this.#announce("Stopping…");
    try {
      await this.#api.cancel(this.streamId);
    } catch (error) {
      if (this.outcome !== "started") return this.#giveUp();
      this.#view.allowStop();
      this.#announce(error instanceof ApiError ? `Not stopped. ${error.message}` : "Not stopped.");
    }
  }

  /** The question is sent no more, and nobody heard whether it arrived. */
  #giveUp() {
    this.leave();
    this.#view.allowStop();
    this.#fail("Not sent, as far as we know. Try again to send it: what has arrived is not asked or paid twice.");
  }

  /** @param {import("./types.js").Options} how */
  #follow({ params = {}, ...how }) {
    const handlers = {
      onStarted: (/** @type {Snapshot} */ part) => this.#started(this.#whole(part)),
      onOpen: () => this.#opened(),
      onChunk: (/** @type {import("./types.js").Chunk} */ chunk) => this.#grow(chunk),
      onHeartbeat: () => this.#goesOn(),
      onDone: (/** @type {Terminal} */ done) => this.#done(done),
      onError: (/** @type {Terminal} */ error) => this.#failed(error),
      onLost: () => this.#lost(),
      onReconnecting: (/** @type {import("./types.js").Wait} */ wait) => this.#reconnecting(wait),
      onFresh: (/** @type {Snapshot} */ part) => this.#fresh(this.#whole(part)),
      onEnd: (/** @type {Snapshot} */ part) => {
        const snapshot = this.#whole(part);
        this.#close(snapshot);
        this.#announceEnd(snapshot);
      },
      onRefused: (/** @type {ApiError} */ error) => this.#refused(error),
    };
    const options = { ...how, params: { ...params, stream_id: this.streamId }, handlers };
    this.#line = this.#following.begin(options, () => this.#text.slice(this.#start));
  }

  /** @param {Snapshot} snapshot */
  #started(snapshot) {
    this.outcome = "started";
    this.#take(snapshot);
    if (!isLive(snapshot)) return;
    this.#view.setState(snapshot.text === "" ? "waiting" : "writing");
    this.#announce(snapshot.text === "" ? "Waiting for the first word…" : "Writing…");
  }

  #opened() {
    if (!this.#line?.connection.reconnects) return;
    this.#goesOn();
    this.#announce(this.#text === "" ? "Connected again. Waiting for the first word…" : "Connected again. Writing…");
    this.#showFacts();
  }

  #goesOn() {
    this.#view.setState(this.#text === "" ? "waiting" : "writing");
  }

  /**
   * Goes on from the server's copy. What it only makes longer is not written anew.
   *
   * @param {string} text
   */
  #copy(text) {
    if (text.startsWith(this.#text)) this.#view.append(text.slice(this.#text.length));
    else this.#view.replace(text);
    this.#view.flush();
    this.#text = text;
  }

  /** @param {import("./connection.js").Chunk} chunk */
  #grow(chunk) {
    if (this.#text === "") this.#announce("Writing…");
    this.#text += chunk.content;
    this.#view.append(chunk.content);
    this.#view.setState("writing");
    this.#tokensOut = (this.#tokensOut ?? 0) + chunk.tokens;
    if (this.#cost !== null) this.#cost = chunk.cost_usd === null ? null : this.#cost + chunk.cost_usd;
    this.#showFacts();
  }

  #lost() {
    this.#view.flush();
    this.#view.setState("reconnecting");
    this.#announce("Connection lost. Reconnecting… The answer goes on meanwhile.");
  }

  /** @param {import("./types.js").Wait} wait */
  #reconnecting({ attempt, started }) {
    this.#view.setState("reconnecting");
    if (!started) return this.#announce(`No answer from the server. Sending again (${attempt})…`);
    this.#announce(
      navigator.onLine
        ? `Connection lost. Reconnecting (${attempt})… The answer goes on meanwhile.`
        : "You are offline. The answer goes on meanwhile and will be here when you're back.",
    );
  }

  /** @param {Snapshot} snapshot */
  #fresh(snapshot) {
    const changed = !snapshot.text.startsWith(this.#text);
    this.#copy(snapshot.text);
    this.#take(snapshot);
    if (isLive(snapshot)) this.#goesOn();
    if (changed) this.#view.setNote("The server lost part of this answer. This is what it still has.");
  }

  /** @param {ApiError} error */
  #refused(error) {
    if (this.outcome === "started") return this.#fail(gone(error));
    this.outcome = error.unknown ? "unknown" : "refused";
    this.#fail(refusal(error));
  }

  /** @param {Terminal} done */
  #done(done) {
    const reason = done["finish_reason"];
    this.#settle(done);
    this.#view.setState(reason === "cancelled" ? "cancelled" : "done");
    this.#view.setNote(ending(reason), reason === "cancelled", reason !== "content_filter");
    this.#announceFinish(reason, done["latency_ms"]);
    void this.#refresh();
  }

  /** @param {Terminal} error */
  #failed(error) {
    this.#settle(error);
    this.#fail(failure(error["error_type"], error["error"]), true);
    void this.#refresh();
  }

  /** @param {Snapshot} snapshot of a closed stream */
  #close(snapshot) {
    const { status, text, completion_tokens: tokens, finish_reason: reason } = snapshot;
    this.#view.setState(status === "error" || status === "cancelled" ? status : "done");
    if (status === "error") this.#view.setNote(failure(snapshot.error_type, snapshot.error), true, true);
    else if (ending(reason)) this.#view.setNote(ending(reason), status === "cancelled", reason !== "content_filter");
    else if (text === "" && tokens) this.#view.setNote("The text of this answer was removed. Its cost is kept.");
  }

  /** @param {Snapshot} snapshot of a closed stream */
  #announceEnd({ status, error_type: type, error, latency_ms: latency }) {
    if (status === "error") this.#announce(failure(type, error), { noted: true });
    else this.#announceFinish(status === "cancelled" ? status : "stop", latency);
  }

  /**
   * @param {string | null | undefined} reason
   * @param {number | null | undefined} latencyMs
   */
  #announceFinish(reason, latencyMs) {
    if (ending(reason)) return this.#announce(ending(reason), { noted: true });
    const words = this.#view.words;
    const time = latencyMs == null ? "" : ` in ${duration(latencyMs)}`;
    this.#announce(`Finished: ${count(words)} ${words === 1 ? "word" : "words"}${time}.`);
  }

  /**
   * @param {string} sentence
   * @param {boolean} [canContinue]
   */
  #fail(sentence, canContinue) {
    this.#view.flush();
    this.#view.setState("error");
    this.#view.setNote(sentence, true, canContinue);
    this.#announce(sentence, { noted: true });
  }

  /** The terminal event has no time to the first token; the snapshot has everything. */
  async #refresh() {
    const id = this.streamId;
    const snapshot = await this.#api.snapshot(id).catch(() => null);
    if (snapshot !== null && id === this.streamId) this.#take(this.#whole(snapshot));
  }

  /** @param {Snapshot} snapshot */
  #take(snapshot) {
    const live = isLive(snapshot);
    this.#model = snapshot.model;
    this.#tokensIn = snapshot.prompt_tokens;
    this.#tokensOut = snapshot.completion_tokens;
    this.#cost = snapshot.total_cost ?? snapshot.cost_so_far ?? null;
    this.#showFacts(live ? {} : { ...final(snapshot), firstTokenMs: snapshot.first_token_ms });
  }

  /** @param {Terminal} terminal */
  #settle(terminal) {
    const data = this.#whole(terminal);
    this.#view.flush();
    this.#tokensIn = data["prompt_tokens"] ?? null;
    this.#tokensOut = data["completion_tokens"] ?? null;
    this.#cost = data["total_cost"] ?? null;
    this.#showFacts(final(data));
  }

  /** @param {Partial<import("./answer_view.js").Facts>} [facts] */
  #showFacts(facts = {}) {
    this.#view.setFacts({
      model: this.#model,
      tokensIn: this.#tokensIn,
      tokensOut: this.#tokensOut,
      cost: this.#cost,
      estimated: true,
      firstTokenMs: null,
      latencyMs: null,
      reconnects: this.#line?.connection.reconnects ?? null,
      live: true,
      ...facts,
    });
  }
}

/** @param {Record<string, any>} data a closed snapshot or a terminal event */
function final(data) {
  return { live: false, estimated: data["cost_state"] === "estimated", latencyMs: data["latency_ms"] ?? null };
}
