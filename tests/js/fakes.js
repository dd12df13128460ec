/** A clock that moves only when told to. */
export class FakeClock {
  #now = 0;
  #next = 1;
  #timers = new Map();

  now = () => this.#now;

  setTimeout = (callback, ms) => {
    const handle = this.#next++;
    this.#timers.set(handle, { callback, at: this.#now + ms });
    return handle;
  };

  clearTimeout = (handle) => {
    this.#timers.delete(handle);
  };

  get pending() {
    return this.#timers.size;
  }

  /** Moves on to the next timer and runs it. */
  step() {
    this.advance(Math.min(...[...this.#timers.values()].map(({ at }) => at)) - this.#now);
  }

  advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.#now = due[1].at;
      due[1].callback();
    }
    this.#now = end;
  }
}

/** An EventSource whose server is the test. */
export class FakeEventSource extends EventTarget {
  static opened = [];

  onopen = null;
  onerror = null;
  closed = false;

  constructor(url) {
    super();
    this.url = new URL(url, "http://test");
    FakeEventSource.opened.push(this);
  }

  static get last() {
    return FakeEventSource.opened.at(-1);
  }

  get lastEventId() {
    return this.url.searchParams.get("last_event_id");
  }

  open() {
    this.onopen?.(new Event("open"));
  }

  send(type, id, data) {
    const event = new MessageEvent(type, { data: JSON.stringify(data), lastEventId: String(id) });
    if (type === "error") this.onerror?.(event);
    this.dispatchEvent(event);
  }

  chunks(...ids) {
    for (const id of ids) this.send("message_chunk", id, { content: `${id} `, tokens: 1, cost_usd: 0 });
  }

  /** The connection is lost, or was refused: an EventSource tells these apart for nobody. */
  lose() {
    this.onerror?.(new Event("error"));
  }

  close() {
    this.closed = true;
  }
}

/** A `fetch` that gives the answers it was handed, the last of them again and again. */
export class FakeFetch {
  calls = [];

  constructor(...answers) {
    this.answers = answers;
  }

  fetch = async (url, init) => {
    this.calls.push({ url: String(url), ...init });
    const answer = this.answers.length > 1 ? this.answers.shift() : this.answers[0];
    if (answer === undefined) throw new TypeError("network");
    const { status = 200, body = {}, headers = {} } = answer;
    return new Response(JSON.stringify(body), { status, headers });
  };
}

/** Lets every promise that can settle do so. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

/** mulberry32: the same seed, the same numbers. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Web Locks, exclusive, in the order of asking. */
export class FakeLocks {
  #queues = new Map();
  held = 0;

  request = (name, { signal }, work) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const queue = this.#queues.get(name) ?? [];
      this.#queues.set(name, queue);
      const entry = { granted: false, run: async () => {
        entry.granted = true;
        this.held += 1;
        resolve(await work({ name }));
        this.held -= 1;
        queue.shift();
        queue[0]?.run();
      } };
      signal.addEventListener("abort", () => {
        if (entry.granted) return;
        queue.splice(queue.indexOf(entry), 1);
        reject(signal.reason);
      });
      queue.push(entry);
      queueMicrotask(() => queue[0] === entry && !entry.granted && entry.run());
    });
}
