const PREFIX = "#c/";

/**
 * @param {string} id of a conversation; empty: a new one
 * @returns {string} the fragment under which the page shows it
 */
export function addressOf(id) {
  return id === "" ? "#new" : PREFIX + encodeURIComponent(id);
}

/**
 * @param {string} fragment
 * @returns {string | null} the id, empty for a new conversation; null where the fragment says nothing
 */
export function conversationAt(fragment) {
  if (fragment === "#new") return "";
  if (!fragment.startsWith(PREFIX)) return null;
  try {
    return decodeURIComponent(fragment.slice(PREFIX.length)) || null;
  } catch {
    return null;
  }
}
