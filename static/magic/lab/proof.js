/**
 * @typedef {object} Proof whether two copies of a text are the same, as far as both go
 * @property {boolean} same
 * @property {boolean} whole whether neither goes further
 * @property {number} chars how far they were compared
 * @property {string | null} here SHA-256, in hex; null where the browser gives none (a page without HTTPS)
 * @property {string | null} there
 */

/**
 * @param {string} here
 * @param {string} there
 * @returns {Promise<Proof>}
 */
export async function compare(here, there) {
  const chars = Math.min(here.length, there.length);
  const [ours, theirs] = [here.slice(0, chars), there.slice(0, chars)];
  const [hereHash, thereHash] = await Promise.all([sha256(ours), sha256(theirs)]);
  return { same: ours === theirs, whole: here.length === there.length, chars, here: hereHash, there: thereHash };
}

/**
 * @param {string} text
 * @returns {Promise<string | null>}
 */
async function sha256(text) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
