import { addressOf, conversationAt } from "./addresses.js";
import { Conversation } from "./conversation.js";
import { midnight } from "./days.js";

const NEW_DRAFT = "new";
const TITLE = "Magic";

/**
 * @typedef {object} Env
 * @property {import("./api.js").Api} api
 * @property {import("./following.js").Following} following
 * @property {import("./conversations_api.js").ConversationsApi} conversations
 * @property {import("./composer.js").Composer} composer
 * @property {import("./drafts.js").Drafts} drafts
 * @property {import("./transcript.js").Transcript} transcript
 * @property {import("./cost_pill.js").CostPill} pill
 * @property {import("./sidebar.js").Sidebar} sidebar
 * @property {{ empty: HTMLElement, cut: HTMLElement, status: HTMLElement, title: HTMLElement, template: HTMLTemplateElement }} parts
 * @property {(element: HTMLElement) => import("./text_flow.js").Writer} newWriter
 * @property {() => import("./conversation.js").Asked} options
 */

/** What is open: one conversation at a time, named by the address. */
export class Page {
  #env;
  /** @type {Conversation} */
  #conversation;
  /** Tells other tabs that the history has changed, and is told by them. */
  #others = new BroadcastChannel("magic-history");

  /** @param {Env} env */
  constructor(env) {
    this.#env = env;
    this.#conversation = this.#make("");
    window.addEventListener("hashchange", () => void this.#follow());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") void this.#lookAgain();
    });
    this.#others.onmessage = () => void this.#lookAgain();
    for (const example of env.parts.empty.querySelectorAll("button")) {
      example.addEventListener("click", () => this.#try(example));
    }
    env.parts.cut.addEventListener("click", () => env.parts.cut.classList.remove("offered"));
  }

  /** Shows what the address names, else the newest conversation: what was left is there again. */
  async open() {
    const named = conversationAt(location.hash);
    if (named === "") this.#show(this.#conversation);
    else if (named !== null) await this.#open(named);
    else await this.#openNewest();
    await Promise.all([this.#env.sidebar.refresh(), this.#countDay()]);
    this.#retitle();
  }

  startNew() {
    if (location.hash === addressOf("")) this.#show(this.#make(""));
    else location.hash = addressOf("");
  }

  /**
   * @param {string} message
   * @param {string} template what it was made from; empty: nothing
   */
  ask(message, template) {
    this.#env.parts.empty.hidden = true;
    this.#conversation.ask(message, template);
  }

  /** @returns {boolean} whether there was something to stop */
  stop() {
    const can = this.#conversation.canStop;
    if (can) void this.#conversation.stop();
    return can;
  }

  editLast() {
    this.#conversation.editLast();
  }

  showEarlier() {
    this.#conversation.showEarlier();
  }

  /** @param {string} text */
  keepDraft(text) {
    this.#env.drafts.keep(this.#draft, text);
  }

  /** Markdown can be shown from now on. */
  rewrite() {
    this.#conversation.forEachView((view) => view.rewrite());
  }

  /** @param {string} id of a conversation that was deleted */
  forgotten(id) {
    this.#env.drafts.keep(id, "");
    if (id === this.#conversation.id) this.startNew();
  }

  /** The history was changed here. */
  changed() {
    this.#others.postMessage("changed");
    this.#retitle();
  }

  /**
   * Asks what an example asks. The one that is there to be cut makes the button stand out, which comes with the first word.
   *
   * @param {HTMLElement} example
   */
  #try({ dataset }) {
    this.#env.parts.cut.classList.toggle("offered", "trial" in dataset);
    this.#env.composer.send(dataset["message"] ?? "");
  }

  get #draft() {
    return this.#conversation.isNew ? NEW_DRAFT : this.#conversation.id;
  }

  /** @param {string} id */
  #make(id) {
    const { api, following, conversations, transcript, newWriter, options, parts } = this.#env;
    return new Conversation(id, {
      api,
      following,
      conversations,
      transcript,
      newWriter,
      options,
      template: parts.template,
      announce: (sentence, where) => this.#announce(sentence, where),
      onChange: (conversation) => conversation === this.#conversation && this.#changed(),
      onStarted: (conversation) => this.#started(conversation),
    });
  }

  async #follow() {
    const named = conversationAt(location.hash);
    if (named === null || named === this.#conversation.id) return;
    if (named === "") this.#show(this.#make(""));
    else await this.#open(named);
    this.#retitle();
  }

  async #openNewest() {
    try {
      const { conversations } = await this.#env.conversations.list("");
      const newest = conversations[0];
      if (location.hash !== "" || !this.#conversation.isEmpty) return;
      if (newest === undefined) return this.#show(this.#conversation);
      history.replaceState(null, "", addressOf(newest.conversation_id));
      await this.#open(newest.conversation_id);
    } catch {
      this.#show(this.#conversation);
      this.#announce("Earlier answers can't be loaded. They are safe on the server: reload to see them.");
    }
  }

  /** @param {string} id */
  async #open(id) {
    const conversation = this.#make(id);
    this.#show(conversation);
    try {
      await conversation.load();
    } catch {
      this.#announce("This conversation can't be loaded now. It is safe on the server: reload to see it.");
    }
    this.#changed();
    this.#env.transcript.follow();
  }

  /** @param {Conversation} conversation */
  #show(conversation) {
    if (conversation !== this.#conversation) {
      this.#conversation.close();
      this.#env.transcript.show([], { earlier: false });
      this.#announce("");
    }
    this.#conversation = conversation;
    this.#env.sidebar.setCurrent(conversation.isNew ? "" : conversation.id);
    this.#env.composer.fill(this.#env.drafts.recall(this.#draft));
    this.#changed();
    this.#retitle();
    if (matchMedia("(hover: hover)").matches) this.#env.composer.focus();
  }

  #changed() {
    const conversation = this.#conversation;
    const { composer, parts, pill } = this.#env;
    parts.empty.hidden = !(conversation.isNew && conversation.isEmpty);
    composer.setBusy(conversation.isBusy);
    composer.allowStop(conversation.canStop);
    parts.cut.hidden = !conversation.canCut;
    pill.show(conversation.last?.view.facts ?? null);
    pill.setTotal("This chat", conversation.isEmpty ? null : conversation.total);
  }

  /** @param {Conversation} conversation */
  #started(conversation) {
    if (conversation === this.#conversation && location.hash !== addressOf(conversation.id)) {
      this.#env.drafts.keep(NEW_DRAFT, "");
      history.pushState(null, "", addressOf(conversation.id));
      this.#env.sidebar.setCurrent(conversation.id);
    }
    this.#others.postMessage("changed");
    void this.#env.sidebar.refresh().then(() => this.#retitle());
  }

  async #lookAgain() {
    await Promise.all([
      this.#env.sidebar.refresh(),
      this.#countDay(),
      this.#conversation.isNew ? null : this.#conversation.load().catch(() => null),
    ]);
    this.#retitle();
  }

  /** What the day took, from the ledger: also in other conversations, on other devices. */
  async #countDay() {
    try {
      const usage = await this.#env.conversations.usage(midnight(new Date()));
      const total = { cost: usage?.total_cost ?? null, estimated: !!usage?.estimated, unknown: !!usage?.unknown };
      this.#env.pill.setTotal("Today", usage === null ? null : total);
    } catch {
      this.#env.pill.setTotal("Today", null);
    }
  }

  #retitle() {
    const title = this.#conversation.isNew ? "" : this.#env.sidebar.titleOf(this.#conversation.id);
    this.#env.parts.title.textContent = title || "New chat";
    document.title = title === "" ? TITLE : `${title} · ${TITLE}`;
  }

  /**
   * @param {string} sentence
   * @param {{ noted?: boolean }} [where] `noted`: the answer itself says so, only who can't see it need be told
   */
  #announce(sentence, { noted = false } = {}) {
    this.#env.parts.status.textContent = sentence;
    this.#env.parts.status.classList.toggle("unseen", noted);
    if (sentence.startsWith("Finished") || noted) void this.#countDay();
  }
}
