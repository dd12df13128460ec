import { Answer } from "./answer.js";
import { AnswerView } from "./answer_view.js";
import { totalOf } from "./cost_pill.js";
import { draftOf } from "./draft_turn.js";
import { newConversationId, newStreamId } from "./ids.js";
import { VersionTree } from "./version_tree.js";

/** So many turns are shown at once; the earlier ones when they are asked for. */
const SHOWN = 20;
const LOADED_AT_ONCE = 4;

/** For answers that go on where they were cut off, which few do. */
const joining = () => import("./joining.js");
const tipOf = (/** @type {Turn} */ turn) => turn.tip ?? turn.stream_id;

/**
 * @typedef {import("./joining.js").Turn} Turn
 * @typedef {Omit<import("./api.js").StartRequest, "stream_id" | "message">} Asked
 *
 * @typedef {object} Shown a turn on the page
 * @property {AnswerView} view
 * @property {Answer} answer
 * @property {boolean} told whether the page was told that the server has it
 * @property {() => void} send asks, again and under the same id
 *
 * @typedef {object} Surroundings
 * @property {import("./api.js").Api} api
 * @property {import("./following.js").Following} following
 * @property {import("./conversations_api.js").ConversationsApi} conversations
 * @property {HTMLTemplateElement} template
 * @property {import("./transcript.js").Transcript} transcript
 * @property {(element: HTMLElement) => import("./text_flow.js").Writer} newWriter
 * @property {(sentence: string, where?: { noted?: boolean }) => void} announce
 * @property {() => Pick<Asked, "model" | "system" | "temperature" | "max_tokens">} options how to ask now
 * @property {(conversation: Conversation) => void} onChange something of what the getters tell has changed
 * @property {(conversation: Conversation) => void} onStarted the server has a new answer of it
 */

/** One conversation on the page: its versions, the turns that are shown, and what can be done with them. */
export class Conversation {
  #env;
  /** @type {VersionTree<Turn>} */
  #tree = new VersionTree();
  /** @type {Map<string, Shown>} */
  #shown = new Map();
  #limit = SHOWN;
  #closed = false;

  /**
   * @param {string} id empty: a new one, whose id is made with its first message
   * @param {Surroundings} env
   */
  constructor(id, env) {
    this.#env = env;
    this.id = id || newConversationId();
    this.isNew = id === "";
  }

  /** The turn at the end of what is shown. */
  get last() {
    const end = this.#tree.path.at(-1);
    return end === undefined ? undefined : this.#shown.get(end.stream_id);
  }

  /** Whether the answer at the end is still being written, or on its way. */
  get isBusy() {
    const state = this.last?.view.state;
    return state !== undefined && !["done", "cancelled", "error"].includes(state);
  }

  get isEmpty() {
    return this.#tree.path.length === 0;
  }

  /** What is still being written counts with what it took so far. */
  get total() {
    const facts = this.last?.view.facts;
    if (!facts?.live || facts.cost === null) return totalOf(this.#tree.turns);
    const end = this.#tree.path.at(-1);
    const others = this.#tree.turns.filter((turn) => turn !== end);
    return totalOf([...others, { total_cost: facts.cost, cost_state: "estimated" }]);
  }

  /** Looks what the server has of it. Called again it takes in what other tabs have added. */
  async load() {
    const streams = await this.#env.conversations.streams(this.id);
    if (this.#closed) return;
    const known = this.#tree.turns.length;
    const joins = streams.some(({ continues }) => continues);
    /** @type {Turn[]} */
    const turns = joins ? (await joining()).turnsOf(streams) : streams;
    for (const turn of turns) {
      turn.tip ??= this.#tree.get(turn.stream_id)?.tip;
      this.#tree.add(turn);
      const shown = this.#shown.get(turn.stream_id);
      // Another tab went on with it.
      if (shown && shown.answer.streamId !== tipOf(turn) && !this.isBusy) void this.#loadText(turn);
    }
    if (this.#tree.turns.length > known || known === 0) this.#render();
    this.#env.onChange(this);
  }

  /** Leaves the page. The answers go on at the server. */
  close() {
    this.#closed = true;
    for (const { answer } of this.#shown.values()) answer.leave();
  }

  /**
   * @param {string} message
   * @param {string} template what it was made from; empty: nothing
   */
  ask(message, template) {
    const parent = this.#tree.path.at(-1);
    this.#start(message, parent?.stream_id ?? null, template);
    this.#env.transcript.follow();
  }

  /** Whether there is an answer to stop that was not stopped yet. */
  get canStop() {
    return this.isBusy && this.last?.view.isStopping === false;
  }

  /** Whether there is a connection that can be cut. */
  get canCut() {
    return this.last?.view.state === "writing";
  }

  async stop() {
    const { last } = this;
    if (last === undefined || !this.canStop) return;
    last.view.isStopping = true;
    this.#env.onChange(this);
    await last.answer.stop();
  }

  /** Opens the last question for other words. */
  editLast() {
    if (!this.isBusy) this.last?.view.edit();
  }

  showEarlier() {
    this.#limit += SHOWN;
    this.#render();
  }

  /** @param {(view: AnswerView) => void} act */
  forEachView(act) {
    for (const { view } of this.#shown.values()) act(view);
  }

  /**
   * @param {string} message
   * @param {string | null} parent
   * @param {string} [template]
   */
  #start(message, parent, template = "") {
    const beginning = this.#tree.turns.length > 0 ? { from_start: true } : {};
    const position = parent === null ? beginning : { parent_id: this.#tree.get(parent)?.tip ?? parent };
    const origin = template === "" ? {} : { template };
    const request = { message, conversation_id: this.id, ...position, ...origin, ...this.#env.options() };
    const id = newStreamId();
    this.#tree.add(draftOf(id, message, parent, this.id));
    const shown = this.#place(id, message);
    this.#render();
    shown.send = () => shown.answer.start(request);
    shown.send();
  }

  /**
   * Asks a turn's question once more.
   *
   * @param {string} id of the turn
   * @param {string} message
   */
  #askAgain(id, message) {
    if (this.isBusy) return this.#env.announce("An answer is still being written. Stop it first (Esc).");
    const turn = this.#tree.get(id);
    if (turn !== undefined) this.#start(message, turn.parent_id);
  }

  /** @param {string} id of a turn that was cut off */
  async #continue(id) {
    const turn = this.#tree.get(id);
    if (turn === undefined || this.isBusy) return;
    try {
      (await joining()).goOn(this.#shown.get(id), tipOf(turn));
    } catch {
      this.#env.announce("The server can't be reached. Try again.");
    }
  }

  /** @param {string} id of a turn that failed */
  #retry(id) {
    const turn = this.#tree.get(id);
    const shown = this.#shown.get(id);
    if (turn === undefined || shown === undefined) return;
    // Where no answer came the start may have arrived: repeated under its own id it is not paid twice.
    const { outcome, streamId } = shown.answer;
    if (outcome === "unknown" || (outcome === "refused" && tipOf(turn) !== streamId)) return shown.send();
    if (outcome === "refused") {
      this.#tree.remove(id);
      this.#shown.delete(id);
    }
    this.#start(turn.message, turn.parent_id);
  }

  /**
   * @param {string} id
   * @param {1 | -1} step
   */
  #choose(id, step) {
    const versions = this.#tree.versions(id);
    const index = versions.findIndex((turn) => turn.stream_id === id) + step;
    const wanted = versions[index];
    if (wanted === undefined) return;
    this.#tree.choose(wanted.stream_id);
    this.#render();
    this.#env.announce(`Version ${index + 1} of ${versions.length}`);
    this.#env.onChange(this);
  }

  /** Shows the turns of the path. */
  #render() {
    const path = this.#tree.path;
    const first = Math.max(0, path.length - this.#limit);
    const turns = path.slice(first);
    const unseen = turns.filter(({ stream_id: id }) => !this.#shown.has(id));
    const elements = turns.map((turn) => {
      const { view } = this.#shown.get(turn.stream_id) ?? this.#place(turn.stream_id, turn.message);
      const versions = this.#tree.versions(turn.stream_id);
      view.setVersion(versions.findIndex(({ stream_id: id }) => id === turn.stream_id) + 1, versions.length);
      return view.element;
    });
    this.#env.transcript.show(elements, { earlier: first > 0 });
    void this.#loadTexts(unseen.reverse());
    this.#env.onChange(this);
  }

  /** @param {Turn[]} waiting the one to load first in front */
  async #loadTexts(waiting) {
    const worker = async () => {
      for (let turn = waiting.shift(); turn !== undefined; turn = waiting.shift()) await this.#loadText(turn);
    };
    await Promise.all(Array.from({ length: LOADED_AT_ONCE }, worker));
  }

  /** @param {Turn} turn */
  async #loadText(turn) {
    const answer = this.#shown.get(turn.stream_id)?.answer;
    try {
      const snapshot = await this.#env.api.snapshot(tipOf(turn));
      if (answer && turn.parts) await (await joining()).rejoin(answer, turn.parts, this.#env.api);
      if (!this.#closed) answer?.show(snapshot);
    } catch {
      answer?.unavailable();
    }
  }

  /**
   * @param {string} id
   * @param {string} message
   */
  #place(id, message) {
    const view = new AnswerView(this.#env.template, {
      message,
      newWriter: this.#env.newWriter,
      onGrow: () => this.#env.transcript.grown(),
      onRetry: () => this.#retry(id),
      onContinue: () => this.#continue(id),
      onRegenerate: () => this.#askAgain(id, message),
      onEdit: (words) => this.#askAgain(id, words),
      onVersion: (step) => this.#choose(id, step),
      onState: () => this.#settle(id),
      onFacts: () => this.#env.onChange(this),
    });
    const { api, following, announce } = this.#env;
    const answer = new Answer(id, { api, view, following, announce });
    const shown = { view, answer, send: () => {}, told: false };
    this.#shown.set(id, shown);
    return shown;
  }

  /**
   * The server has a turn now, or more of it.
   *
   * @param {Shown} shown
   * @param {Turn | undefined} turn
   */
  #tell(shown, turn) {
    shown.told = true;
    const { streamId } = shown.answer;
    const isMore = turn !== undefined && tipOf(turn) !== streamId;
    if (isMore) turn.tip = streamId;
    const isNews = this.isNew || isMore || shown.view.text === "";
    this.isNew = false;
    if (isNews) this.#env.onStarted(this);
  }

  /**
   * The tree keeps what the totals are made of.
   *
   * @param {string} id
   */
  #settle(id) {
    const turn = this.#tree.get(id);
    const shown = this.#shown.get(id);
    const facts = shown?.view.facts;
    if (shown?.answer.outcome === "started" && !shown.told) this.#tell(shown, turn);
    if (turn !== undefined && facts && !facts.live) {
      const state = facts.cost === null ? "unknown" : facts.estimated ? "estimated" : "provider";
      this.#tree.add({ ...turn, total_cost: facts.cost, cost_state: state });
    }
    this.#env.onChange(this);
  }
}
