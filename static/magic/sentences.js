import { duration } from "./format.js";

/** What went wrong and what to do about it, by `error_type`.
 * @type {Record<string, string>} */
const ADVICE = {
  provider_error: "The model's provider failed. Try again in a moment.",
  provider_rate_limited: "The model's provider is too busy. Wait a minute, then try again.",
  provider_timeout: "The model's provider did not answer in time. Try again, or choose another model.",
  provider_auth: "The provider refused this server's key. Choose another model, or tell whoever runs this server.",
  invalid_request: "The provider refused this message. Change it, or choose another model.",
  interrupted: "Interrupted: the server stopped while writing. What was written is kept: continue it, or try again.",
  timeout: "The answer took longer than this server allows. What was written is kept. Continue it, or ask for something shorter.",
  internal: "Something went wrong on the server. Try again.",
};

/**
 * @param {string | null | undefined} errorType
 * @param {string | null | undefined} told the server's own sentence
 */
export function failure(errorType, told) {
  return ADVICE[errorType ?? ""] ?? told ?? "The answer could not be finished. Try again.";
}

/** @type {Record<string, string>} */
const ENDINGS = {
  length: "Stopped at the length limit.",
  content_filter: "The provider withheld the rest of this answer.",
  cancelled: "Stopped. What was written is kept.",
};

/**
 * @param {string | null | undefined} finishReason
 * @returns {string} empty for an ordinary end
 */
export function ending(finishReason) {
  return ENDINGS[finishReason ?? ""] ?? "";
}

/** @param {import("./api.js").ApiError} error of a start */
export function refusal(error) {
  const wait = error.retryAfterMs ? ` Try again in ${duration(error.retryAfterMs)}.` : "";
  if (error.unknown) return "The server can't be reached. Your message is kept here: try again when you're back.";
  if (error.status === 401) return "The server can't tell who you are. Allow cookies for this site, then try again.";
  if (error.errors.length > 0) return error.errors.map(({ name, reason }) => `${name}: ${reason}`).join(" ");
  return error.message + wait;
}

/** @param {import("./api.js").ApiError} error of a stream that was being followed */
export function gone(error) {
  if (error.status === 404) return "The server no longer knows this answer. Try again to get a new one.";
  if (error.status === 410) return "The text of this answer was removed from the server.";
  return refusal(error);
}
