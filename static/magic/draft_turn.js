/**
 * A turn that the server does not know yet.
 *
 * @param {string} id
 * @param {string} message
 * @param {string | null} parent
 * @param {string} conversation
 * @returns {import("./api.js").Snapshot}
 */
export function draftOf(id, message, parent, conversation) {
  return {
    stream_id: id,
    conversation_id: conversation,
    parent_id: parent,
    message,
    status: "queued",
    model: "",
    text: "",
    last_event_id: -1,
    prompt_tokens: null,
    completion_tokens: null,
    total_tokens: null,
    total_cost: null,
    cost_state: "pending",
    latency_ms: null,
    first_token_ms: null,
    error_type: null,
    error: null,
  };
}
