/**
 * @typedef {object} MarkdownParts
 * @property {typeof import("streaming-markdown")} library
 * @property {typeof import("./markdown.js").Markdown} Markdown
 *
 * @typedef {object} Highlighting highlight.js, as far as it is used here
 * @property {(name: string) => unknown} getLanguage
 * @property {(code: string, options: { language: string, ignoreIllegals: boolean }) => { _emitter?: { rootNode?: Scope } }} highlight
 *
 * @typedef {{ scope?: string, language?: string, children: (Scope | string)[] }} Scope
 */

/** The page's libraries, each loaded when it is first wanted; the page works before, and without. */
export class Libraries {
  #urls;
  /** @type {Promise<Highlighting | null> | null} */
  #highlighting = null;
  /** @type {MarkdownParts | null} null until it is loaded */
  markdown = null;

  /** @param {{ markdown: string, highlighting: string }} urls empty where one is not installed */
  constructor(urls) {
    this.#urls = urls;
  }

  /** @returns {Promise<boolean>} whether Markdown can be shown from now on */
  async loadMarkdown() {
    const [library, ours] = await Promise.all([
      load(this.#urls.markdown),
      import("./markdown.js").catch(() => null),
    ]);
    if (library === null || ours === null) return false;
    this.markdown = { library, Markdown: ours.Markdown };
    return true;
  }

  /** @returns {Promise<Highlighting | null>} */
  highlighting() {
    this.#highlighting ??= load(this.#urls.highlighting).then((module) => module?.default ?? null);
    return this.#highlighting;
  }
}

/**
 * @param {string} url
 * @returns {Promise<any>} null where it can't be had
 */
async function load(url) {
  if (url === "") return null;
  return import(url).catch(() => null);
}
