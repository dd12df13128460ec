/**
 * A new stream id. Made by the client, so that a start whose answer got lost can be repeated without a second bill.
 *
 * @returns {string}
 */
export function newStreamId() {
  return `stream_${random()}`;
}

/** @returns {string} */
export function newConversationId() {
  return `conversation_${random()}`;
}

function random() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
