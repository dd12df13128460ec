
/**
 * @typedef {import("./api.js").Snapshot} Snapshot
 *
 * @typedef {object} Listed a conversation as the server lists it
 * @property {string} conversation_id
 * @property {string} title
 * @property {string} updated_at ISO 8601
 * @property {number} streams
 * @property {number | null} total_cost USD
 *
 * @typedef {object} Usage
 * @property {number | null} total_cost USD
 * @property {number} estimated how many streams have an estimated cost
 * @property {number} unknown how many have none that is known
 */

const PAGE = 100;
/** A conversation that is longer is shown from its newest turns on. */
const MOST_PAGES = 10;

/** The calls on conversations. */
export class ConversationsApi {
  #api;

  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.#api = api;
  }

  /**
   * @param {string} query
   * @param {string | null} [before]
   * @returns {Promise<{ conversations: Listed[], next: string | null }>}
   */
  async list(query, before = null) {
    const asked = new URLSearchParams({ limit: "30", q: query.slice(0, 200), ...(before && { before }) });
    return (await this.#api.own(`/conversations?${asked}`)) ?? { conversations: [], next: null };
  }

  /**
   * @param {string} id
   * @returns {Promise<Snapshot[]>} without their texts, the oldest first
   */
  async streams(id) {
    /** @type {Snapshot[]} */
    const found = [];
    /** @type {string | null} */
    let before = null;
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const asked = new URLSearchParams({ conversation_id: id, limit: String(PAGE), ...(before && { before }) });
      /** @type {{ streams: Snapshot[], next: string | null } | null} */
      const answer = await this.#api.own(`/streams?${asked}`);
      found.push(...(answer?.streams ?? []));
      before = answer?.next ?? null;
      if (before === null) break;
    }
    return found.reverse();
  }

  /**
   * @param {string} id
   * @param {string} title
   * @returns {Promise<Listed>}
   */
  rename(id, title) {
    return this.#api.call(`/conversations/${encodeURIComponent(id)}`, { method: "PATCH", body: { title } });
  }

  /** @param {string} id */
  forget(id) {
    return this.#api.call(`/conversations/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  /**
   * @param {Date} since
   * @returns {Promise<Usage | null>} null for a visitor who has no identity yet
   */
  usage(since) {
    return this.#api.own(`/usage?${new URLSearchParams({ since: since.toISOString() })}`);
  }
}

