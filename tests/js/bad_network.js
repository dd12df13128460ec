const EVENT_MS = 100;

/** A server with one stream, and a network between it and the client that does its worst, by seed. */
export class BadNetwork {
  /** @type {string[]} */
  #log;
  #clock;
  #random;
  #faults;
  #connections = new Set();
  /** By how much the log is behind, because the server lost its end. */
  #lostMs = 0;
  opened = 0;

  /**
   * @param {number} events of the log, terminal event included
   * @param {object} faults shares from 0 to 1, per event or per connection
   */
  constructor(events, { clock, random, faults }) {
    this.#clock = clock;
    this.#random = random;
    this.#faults = { loss: 0, duplicates: 0, reorder: 0, cut: 0, silent: 0, refused: 0, unreadable: 0, rollback: 0, ...faults };
    this.#log = Array.from({ length: events - 1 }, (_, id) => (id % 7 === 5 ? null : `${id} `));
    const network = this;
    this.EventSource = class extends EventTarget {
      onopen = null;
      onerror = null;

      constructor(url) {
        super();
        network.opened += 1;
        network.#connections.add(this);
        network.#serve(this, Number(new URL(url, "http://test").searchParams.get("last_event_id") ?? -1));
      }

      close() {
        network.#connections.delete(this);
      }
    };
  }

  get text() {
    return this.#log.join("");
  }

  get open() {
    return this.#connections.size;
  }

  /** How much of the log there is by now: it grows at a steady pace. */
  get end() {
    return Math.min(this.#log.length, Math.floor((this.#clock.now() - this.#lostMs) / EVENT_MS));
  }

  fetch = async () => {
    if (this.#chance("refused")) throw new TypeError("network");
    // What was terminal stays; before that, a server may lose the end of its log and write it again.
    if (this.end < this.#log.length && this.#chance("rollback")) {
      this.#lostMs += EVENT_MS * Math.min(this.end, Math.ceil(this.#random() * 20));
      for (let id = this.end; id < this.#log.length; id += 1) this.#log[id] = this.#log[id] && `${this.#log[id]}anew `;
    }
    const end = this.end;
    const closed = end === this.#log.length;
    const last_event_id = closed ? end : end - 1;
    return Response.json({ status: closed ? "done" : "streaming", last_event_id, text: this.#log.slice(0, end).join("") });
  };

  #serve(source, after) {
    if (this.#chance("refused")) return this.#later(source, 10, () => source.onerror?.(new Event("error")));
    if (this.#chance("silent")) return undefined;
    return this.#later(source, 10, () => {
      source.onopen?.(new Event("open"));
      this.#send(source, after + 1, []);
    });
  }

  /** Sends event `id` when it is there, and what was held back until now. */
  #send(source, id, held) {
    if (!this.#connections.has(source)) return;
    // A reader behind whose place the log's end has fallen is disconnected.
    if (id > this.end + 1) return void source.onerror?.(new Event("error"));
    if (id > this.end || (id === this.end && this.end < this.#log.length)) {
      this.#later(source, EVENT_MS, () => this.#send(source, id, held));
      return;
    }
    if (this.#chance("cut")) return void source.onerror?.(new Event("error"));
    const times = this.#chance("loss") ? 0 : this.#chance("duplicates") ? 2 : 1;
    if (times > 0 && this.#chance("reorder")) held.push({ id, after: id + 1 + Math.floor(this.#random() * 5) });
    else for (let time = 0; time < times; time += 1) this.#dispatch(source, id);
    for (const each of held.filter(({ after }) => after <= id)) this.#dispatch(source, each.id);
    const waiting = held.filter(({ after }) => after > id);
    if (id < this.#log.length) return void this.#later(source, 0, () => this.#send(source, id + 1, waiting));
    for (const each of waiting) this.#dispatch(source, each.id);
    this.#later(source, 5, () => source.onerror?.(new Event("error")));
  }

  #dispatch(source, id) {
    if (!this.#connections.has(source)) return;
    const content = this.#log[id];
    const type = id === this.#log.length ? "done" : content === null ? "heartbeat" : "message_chunk";
    const data = JSON.stringify(type === "message_chunk" ? { content, tokens: 1, cost_usd: 0 } : {});
    const cut = this.#chance("unreadable") ? data.slice(0, -1) : data;
    source.dispatchEvent(new MessageEvent(type, { data: cut, lastEventId: String(id) }));
  }

  #later(source, ms, act) {
    this.#clock.setTimeout(() => this.#connections.has(source) && act(), ms);
  }

  #chance(fault) {
    return this.#random() < this.#faults[fault];
  }
}
