/** Longer blocks would hold up the page for longer than a frame, and nobody reads them for their colours. */
const MOST_CHARS = 20_000;

/** @typedef {import("./libraries.js").Scope} Scope */

/** Colours blocks of code when the page has nothing else to do. The text stays the same, letter for letter. */
export class Highlighter {
  #libraries;

  /** @param {import("./libraries.js").Libraries} libraries */
  constructor(libraries) {
    this.#libraries = libraries;
  }

  /**
   * @param {Element} code a block that is complete
   * @param {string} language as the model named it
   */
  async highlight(code, language) {
    const text = code.textContent ?? "";
    if (text.length > MOST_CHARS || !/^[\w+#.-]+$/.test(language) || language === "text") return;
    const library = await this.#libraries.highlighting();
    if (library === null || !library.getLanguage(language)) return;
    await idle();
    const { _emitter: tree } = library.highlight(text, { language, ignoreIllegals: true });
    if (tree?.rootNode === undefined || code.textContent !== text) return;
    const nodes = tree.rootNode.children.map((child) => coloured(child, code.ownerDocument));
    if (nodes.map((node) => node.textContent).join("") === text) code.replaceChildren(...nodes);
  }
}

/**
 * @param {Scope | string} scope
 * @param {Document} document
 * @returns {Node}
 */
function coloured(scope, document) {
  if (typeof scope === "string") return document.createTextNode(scope);
  const element = document.createElement("span");
  const [name = ""] = (scope.scope ?? "").split(".");
  if (name !== "") element.setAttribute("class", `code-${name}`);
  element.append(...scope.children.map((child) => coloured(child, document)));
  return element;
}

/** @returns {Promise<unknown>} */
function idle() {
  return new Promise((resolve) => {
    if ("requestIdleCallback" in globalThis) requestIdleCallback(resolve, { timeout: 1000 });
    else setTimeout(resolve, 50);
  });
}
