/**
 * What a connection is given and what it tells. Types alone.
 *
 * @typedef {import("./api.js").Snapshot} Snapshot
 * @typedef {import("./api.js").ApiError} ApiError
 * @typedef {{ content: string, tokens: number, cost_usd: number | null }} Chunk
 * @typedef {Record<string, any>} Terminal the data of `done` or `error`
 * @typedef {{ attempt: number, delayMs: number, started: boolean }} Wait
 *   `started`: whether the server has the question; else it is sent again
 *
 * @typedef {object} Handlers every one optional; called in the order of the log
 * @property {(snapshot: Snapshot) => void} [onStarted] the server has taken the question
 * @property {() => void} [onOpen] a connection stands
 * @property {(chunk: Chunk, id: number) => void} [onChunk]
 * @property {(id: number) => void} [onHeartbeat]
 * @property {(data: Terminal, id: number) => void} [onDone] the answer is complete
 * @property {(data: Terminal, id: number) => void} [onError] the server ended the stream with its `error` event
 * @property {() => void} [onStall] nothing came for too long though the server has more; the connection is given up
 * @property {() => void} [onLost] the connection is lost, and the server is asked what is true
 * @property {(wait: Wait) => void} [onReconnecting] the next attempt comes after `delayMs`
 * @property {(snapshot: Snapshot) => void} [onFresh] this is the copy to go on from, in place of what was delivered
 * @property {(snapshot: Snapshot) => void} [onEnd] the stream is closed, and the snapshot just given says how
 * @property {(error: ApiError) => void} [onRefused] the server refuses, and asking again would not change that
 *
 * @typedef {object} Surroundings what a connection takes from its page; tests pass their own
 * @property {new (url: string) => EventSource} EventSource looked up anew for every connection
 * @property {typeof globalThis.fetch} fetch looked up anew for every call
 * @property {import("./clock.js").Clock} clock
 * @property {() => number} random
 * @property {EventTarget | null} window
 * @property {(EventTarget & { visibilityState: string }) | null} document
 *
 * @typedef {object} Options
 * @property {Record<string, string | number | null | undefined>} [params] query parameters; `last_event_id` is the last
 *   event that the caller has
 * @property {{ message?: string, continues?: string, [name: string]: unknown } | null} [start] what to ask: sent by POST under the
 *   `stream_id`, again and again until the server has it. Left out: the stream is only attached to
 * @property {(request: any) => Promise<Snapshot>} [post] how to start, in place of a plain `fetch`
 * @property {{ steps?: readonly number[], jitter?: number }} [retry] see `Backoff`
 * @property {Handlers} [handlers]
 * @property {number} [stallMs]
 * @property {(Pick<import("./places.js").Places, "take"> & Partial<import("./places.js").Places>) | null} [places] without a place the snapshot is polled;
 *   null: every connection has one
 * @property {Partial<Surroundings>} [env]
 */
export {};
