const ALLOWED = /^(?:https?:\/\/|mailto:)[^\s\u0000-\u0020]+$/i;

/**
 * The address of a link that a model wrote; null where nobody may be sent there. Only whole addresses of a few kinds
 * pass: no script, no data, nothing relative to this page.
 *
 * @param {string} written
 * @returns {string | null}
 */
export function safeUrl(written) {
  const url = written.trim();
  if (!ALLOWED.test(url)) return null;
  try {
    return new URL(url).href;
  } catch {
    return null;
  }
}

/**
 * An address in Markdown's brackets, apart from its title and its angle brackets.
 *
 * @param {string} written
 */
export function withoutTitle(written) {
  const address = written.trim().replace(/\s+(?:"[^"]*"|'[^']*')$/, "");
  return /^<.*>$/.test(address) ? address.slice(1, -1) : address;
}
