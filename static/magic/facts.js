import { count, dollars, duration } from "./format.js";

/**
 * What an answer took.
 *
 * @typedef {object} Facts
 * @property {string} model
 * @property {number | null} tokensIn
 * @property {number | null} tokensOut
 * @property {number | null} cost USD; null while unknown
 * @property {boolean} estimated
 * @property {number | null} firstTokenMs
 * @property {number | null} latencyMs
 * @property {number | null} reconnects null where this page did not follow the answer
 * @property {boolean} live
 */

/**
 * @param {Facts} facts
 * @returns {string} the one line below an answer
 */
export function summaryOf(facts) {
  const time = facts.latencyMs === null ? "" : duration(facts.latencyMs);
  return [facts.model, costOf(facts), time].filter((part) => part !== "").join(" · ");
}

/**
 * @param {Facts} facts
 * @param {number | null} tokensPerSecond
 * @returns {string[]} all of it, part by part
 */
export function partsOf(facts, tokensPerSecond) {
  return [
    facts.tokensIn === null ? "" : `${count(facts.tokensIn)} in`,
    facts.tokensOut === null ? "" : `${count(facts.tokensOut)} out`,
    costOf(facts),
    facts.firstTokenMs === null ? "" : `first token ${duration(facts.firstTokenMs)}`,
    tokensPerSecond === null ? "" : `${count(Math.round(tokensPerSecond))} tokens/s`,
    facts.reconnects === null ? "" : `${facts.reconnects} ${facts.reconnects === 1 ? "reconnect" : "reconnects"}`,
  ].filter((part) => part !== "");
}

/** @param {Facts} facts */
export function costOf({ cost, estimated, live }) {
  if (cost === null) return live ? "" : "cost unknown";
  return (estimated ? "~" : "") + dollars(cost);
}

/**
 * @param {Facts} facts of a finished answer
 * @returns {number | null} tokens a second between the first and the last
 */
export function speedOf({ tokensOut, firstTokenMs, latencyMs }) {
  if (tokensOut === null || firstTokenMs === null || latencyMs === null) return null;
  return latencyMs > firstTokenMs ? (tokensOut * 1000) / (latencyMs - firstTokenMs) : null;
}
