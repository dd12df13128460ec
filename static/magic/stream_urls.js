/** Where one stream is found: its events, and its snapshot. */
export class StreamUrls {
  #url;
  #streamId;
  #userId;
  #question;

  /**
   * @param {string} url of `/api/v1/stream`
   * @param {string} streamId
   * @param {Record<string, string | number | null | undefined>} params further query parameters
   */
  constructor(url, streamId, { user_id: userId, ...question }) {
    this.#url = url;
    this.#streamId = streamId;
    this.#userId = userId ?? null;
    this.#question = Object.entries(question).filter(([, value]) => value !== undefined && value !== null);
  }

  /** Whether the address of the events carries the question itself. */
  get asks() {
    return this.#question.some(([name]) => name === "message");
  }

  /** @param {number} lastEventId -1 for none */
  events(lastEventId) {
    const query = new URLSearchParams();
    if (this.#userId !== null) query.set("user_id", String(this.#userId));
    query.set("stream_id", this.#streamId);
    // Who has part of the answer has no need to ask again, and no prompt need stand in one more log.
    if (lastEventId >= 0) query.set("last_event_id", String(lastEventId));
    else for (const [name, value] of this.#question) query.set(name, String(value));
    return `${this.#url}?${query}`;
  }

  snapshot() {
    const query = this.#userId === null ? "" : `?user_id=${encodeURIComponent(String(this.#userId))}`;
    return `${this.#url}s/${encodeURIComponent(this.#streamId)}${query}`;
  }
}
