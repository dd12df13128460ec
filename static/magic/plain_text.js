const BLOCK_CHARS = 4000;

/**
 * Writes text as it is, where Markdown cannot be had. A long text is cut into blocks at line ends, so that one more
 * word never lays out the whole answer again. `textContent` stays the text.
 */
export class PlainText {
  #root;
  /** @type {Text | null} */
  #tail = null;

  /** @param {Element} root */
  constructor(root) {
    this.#root = root;
  }

  /** @param {string} text */
  write(text) {
    let rest = text;
    while (rest !== "") {
      const tail = (this.#tail ??= this.#newBlock());
      const cut = rest.indexOf("\n", Math.max(0, BLOCK_CHARS - tail.length)) + 1;
      const piece = cut === 0 ? rest : rest.slice(0, cut);
      tail.appendData(piece);
      rest = rest.slice(piece.length);
      if (cut > 0) this.#tail = null;
    }
  }

  end() {
    this.#tail = null;
  }

  #newBlock() {
    const block = this.#root.ownerDocument.createElement("div");
    block.setAttribute("class", "as-is");
    const text = this.#root.ownerDocument.createTextNode("");
    block.append(text);
    this.#root.append(block);
    return text;
  }
}
