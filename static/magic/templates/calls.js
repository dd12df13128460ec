import { ApiError, readAnswer } from "../api.js";

/**
 * @typedef {"string" | "text" | "int" | "float" | "bool" | "date" | "enum" | "multi-enum" | "email" | "url"} InputType
 *
 * @typedef {object} Input
 * @property {string} id
 * @property {string} label
 * @property {InputType} type
 * @property {boolean} required
 * @property {unknown} default
 * @property {string} help
 * @property {string[] | null} enum
 * @property {{ min?: number | string, max?: number | string, max_length?: number }} validators
 *
 * @typedef {{ name: string, version: number, title: string, description: string, inputs: Input[] }} Template
 * @typedef {{ prompt: string, version: number, estimated_tokens: number, estimated_cost: Record<string, number | null> }} Rendered
 * @typedef {{ content: string, subject?: string, from_email?: string, artifact_id: string }} Message
 *
 * @typedef {object} Verdict
 * @property {string} category
 * @property {string} priority
 * @property {string} summary
 * @property {string[]} action_items
 * @property {string | null} suggested_template
 * @property {Record<string, unknown>} inputs
 */

/** A model may think for a while. */
const TRIAGE_MS = 120_000;

/** What the server says of templates. */
export class TemplateCalls {
  #base;

  /** @param {string} [base] */
  constructor(base = "/api") {
    this.#base = base;
  }

  /** @returns {Promise<Template[]>} */
  async list() {
    return (await this.#call("/templates")).templates;
  }

  /**
   * @param {string} name
   * @param {Record<string, unknown>} inputs
   * @returns {Promise<Rendered>}
   */
  render(name, inputs) {
    return this.#call("/render", { template_name: name, inputs, output_format: "text" });
  }

  /**
   * @param {Message} message
   * @returns {Promise<Verdict>}
   */
  async triage(message) {
    try {
      return await this.#call("/triage", message, TRIAGE_MS);
    } catch (error) {
      if (!(error instanceof ApiError && error.asksWho)) throw error;
    }
    await this.#call("/v1/anon_session", {});
    return this.#call("/triage", message, TRIAGE_MS);
  }

  /**
   * @param {string} path
   * @param {unknown} [body]
   * @param {number} [ms]
   * @returns {Promise<any>}
   */
  async #call(path, body, ms = 20_000) {
    let response;
    try {
      response = await fetch(this.#base + path, {
        method: body === undefined ? "GET" : "POST",
        headers: { Accept: "application/json", "Content-Type": "application/json" },
        body: body === undefined ? null : JSON.stringify(body),
        credentials: "same-origin",
        cache: "no-store",
        signal: AbortSignal.timeout(ms),
      });
    } catch {
      throw new ApiError(0);
    }
    return readAnswer(response);
  }
}
