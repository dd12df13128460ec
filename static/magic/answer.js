import { ApiError, isLive } from "./api.js";
import { Backoff } from "./backoff.js";
import { ResilientSSEConnection } from "./connection.js";
import { count, duration } from "./format.js";
import { ending, failure, gone, refusal } from "./sentences.js";

/**
 * @typedef {import("./api.js").Snapshot} Snapshot
 * @typedef {import("./connection.js").Terminal} Terminal
 */

const START_ATTEMPTS = 5;

/** One answer: started or found, followed to its end, told to its view. */
export class Answer {
  #api;
  #view;
  #announce;
  #model = "";
  /** @type {ResilientSSEConnection | null} */
  #connection = null;
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
   * @param {(sentence: string, where?: { noted: boolean }) => void} parts.announce
   */
  constructor(streamId, { api, view, announce }) {
    this.streamId = streamId;
    this.#api = api;
    this.#view = view;
    this.#announce = announce;
  }

  /**
   * Asks for the answer. May be called again after a failure: the id is the same, so nothing is paid twice.
   *
   * @param {string} message
   * @param {string} model empty: the server's default
   */
  async start(message, model) {
    this.#model = model;
    this.#view.setNote("");
    this.#view.setState("sending");
    this.#announce("Sending…");
    try {
      const snapshot = await this.#post({ stream_id: this.streamId, message, ...(model && { model }) });
      this.show(snapshot);
      if (!isLive(snapshot)) this.#announceEnd(snapshot);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.outcome = error.unknown ? "unknown" : "refused";
      this.#fail(refusal(error));
    }
  }

  /**
   * Shows a snapshot, and follows the stream from there if it goes on.
   *
   * @param {Snapshot} snapshot
   */
  show(snapshot) {
    this.outcome = "started";
    this.#view.replace(snapshot.text);
    this.#take(snapshot);
    if (!isLive(snapshot)) return this.#close(snapshot);
    this.#view.setState(snapshot.text === "" ? "waiting" : "writing");
    this.#announce(snapshot.text === "" ? "Waiting for the first word…" : "Writing…");
    this.#follow(snapshot.last_event_id);
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
      this.#view.allowStop();
      this.#announce(error instanceof ApiError ? `Not stopped. ${error.message}` : "Not stopped.");
    }
  }

  /** @param {import("./api.js").StartRequest} request */
  async #post(request) {
    const backoff = new Backoff();
    for (;;) {
      try {
        return await this.#api.start(request);
      } catch (error) {
        const unknown = error instanceof ApiError && error.unknown;
        if (!unknown || backoff.attempts + 1 >= START_ATTEMPTS) throw error;
        const delay = backoff.next();
        this.#announce(`No answer from the server. Sending again (${backoff.attempts})…`);
        await new Promise((resolve) => setTimeout(resolve, delay));
      }
    }
  }

  /** @param {number} lastEventId */
  #follow(lastEventId) {
    this.#connection = new ResilientSSEConnection(this.#api.streamUrl, {
      params: { stream_id: this.streamId, last_event_id: lastEventId < 0 ? null : lastEventId },
      handlers: {
        onOpen: () => this.#opened(),
        onChunk: (chunk) => this.#grow(chunk),
        onHeartbeat: () => this.#view.setState(this.#view.chars > 0 ? "writing" : "waiting"),
        onDone: (done) => this.#done(done),
        onError: (error) => this.#failed(error),
        onReconnecting: ({ attempt }) => this.#reconnecting(attempt),
        onFresh: (snapshot) => this.#fresh(snapshot),
        onEnd: (snapshot) => {
          this.#close(snapshot);
          this.#announceEnd(snapshot);
        },
        onRefused: (error) => this.#fail(gone(error)),
      },
    });
    this.#connection.connect();
  }

  #opened() {
    if ((this.#connection?.reconnects ?? 0) === 0) return;
    this.#view.setState(this.#view.chars > 0 ? "writing" : "waiting");
    this.#announce("Connected again. Writing…");
    this.#showFacts();
  }

  /** @param {import("./connection.js").Chunk} chunk */
  #grow(chunk) {
    if (this.#view.chars === 0) this.#announce("Writing…");
    this.#view.append(chunk.content);
    this.#view.setState("writing");
    this.#tokensOut = (this.#tokensOut ?? 0) + chunk.tokens;
    if (this.#cost !== null) this.#cost = chunk.cost_usd === null ? null : this.#cost + chunk.cost_usd;
    this.#showFacts();
  }

  /** @param {number} attempt */
  #reconnecting(attempt) {
    this.#view.flush();
    this.#view.setState("reconnecting");
    this.#announce(
      navigator.onLine
        ? `Connection lost. Reconnecting (${attempt})… The answer goes on meanwhile.`
        : "You are offline. The answer goes on meanwhile and will be here when you're back.",
    );
  }

  /** @param {Snapshot} snapshot */
  #fresh(snapshot) {
    const lost = snapshot.text.length < this.#view.chars;
    this.#view.replace(snapshot.text);
    this.#take(snapshot);
    if (lost) this.#view.setNote("The server lost part of this answer. This is what it still has.");
  }

  /** @param {Terminal} done */
  #done(done) {
    const reason = done["finish_reason"];
    this.#settle(done);
    this.#view.setState(reason === "cancelled" ? "cancelled" : "done");
    this.#view.setNote(ending(reason), reason === "cancelled");
    this.#announceFinish(reason, done["latency_ms"]);
    void this.#refresh();
  }

  /** @param {Terminal} error */
  #failed(error) {
    this.#settle(error);
    this.#fail(failure(error["error_type"], error["error"]));
    void this.#refresh();
  }

  /** @param {Snapshot} snapshot of a closed stream */
  #close(snapshot) {
    const { status, text, completion_tokens: tokens } = snapshot;
    this.#view.setState(status === "error" || status === "cancelled" ? status : "done");
    if (status === "error") this.#view.setNote(failure(snapshot.error_type, snapshot.error), true);
    else if (status === "cancelled") this.#view.setNote(ending("cancelled"), true);
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

  /** @param {string} sentence */
  #fail(sentence) {
    this.#view.flush();
    this.#view.setState("error");
    this.#view.setNote(sentence, true);
    this.#announce(sentence, { noted: true });
  }

  /** The terminal event has no time to the first token; the snapshot has everything. */
  async #refresh() {
    const snapshot = await this.#api.snapshot(this.streamId).catch(() => null);
    if (snapshot !== null) this.#take(snapshot);
  }

  /** @param {Snapshot} snapshot */
  #take(snapshot) {
    const live = isLive(snapshot);
    this.#model = snapshot.model;
    this.#tokensIn = snapshot.prompt_tokens;
    this.#tokensOut = snapshot.completion_tokens;
    // A cost that is still counted up can be shown only if its beginning is known.
    this.#cost = snapshot.total_cost ?? (live && snapshot.last_event_id < 0 ? 0 : null);
    this.#showFacts(live ? {} : { ...final(snapshot), firstTokenMs: snapshot.first_token_ms });
  }

  /** @param {Terminal} data */
  #settle(data) {
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
      reconnects: this.#connection?.reconnects ?? null,
      live: true,
      ...facts,
    });
  }
}

/** @param {Record<string, any>} data a closed snapshot or a terminal event */
function final(data) {
  return { live: false, estimated: data["cost_state"] === "estimated", latencyMs: data["latency_ms"] ?? null };
}
