/**
 * @typedef {{ type: string, data: any, id: number }} Message an event of the log; `data` is its JSON
 *
 * @typedef {object} SourceHandlers
 * @property {() => void} onOpen
 * @property {(message: Message) => void} onMessage
 * @property {() => void} onLost the connection is gone, or was refused: an EventSource tells these apart for nobody
 * @property {() => void} onUnreadable something came that is no event of ours
 */

const EVENT_TYPES = ["message_chunk", "heartbeat", "done"];

/** One EventSource, made to say what it means. It is never left to retry by itself. */
export class Source {
  #source;

  /**
   * @param {EventSource} source
   * @param {SourceHandlers} handlers
   */
  constructor(source, { onOpen, onMessage, onLost, onUnreadable }) {
    this.#source = source;
    /** @type {(type: string, event: Event) => void} */
    const received = (type, event) => {
      const message = read(type, /** @type {MessageEvent<string>} */ (event));
      if (message) onMessage(message);
      else onUnreadable();
    };
    source.onopen = () => onOpen();
    for (const type of EVENT_TYPES) source.addEventListener(type, (event) => received(type, event));
    source.onerror = (event) => {
      // The server's own `error` event and a lost connection arrive at the same place; only the first carries data.
      if (typeof (/** @type {MessageEvent} */ (event).data) === "string") received("error", event);
      else onLost();
    };
  }

  close() {
    this.#source.close();
  }
}

/**
 * @param {string} type
 * @param {MessageEvent<string>} event
 * @returns {Message | null}
 */
function read(type, { data, lastEventId }) {
  if (!/^\d+$/.test(lastEventId)) return null;
  try {
    return { type, data: JSON.parse(data), id: Number(lastEventId) };
  } catch {
    return null;
  }
}
