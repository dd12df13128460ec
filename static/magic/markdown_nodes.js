import { makeCodeBlock } from "./code_block.js";
import { safeUrl, withoutTitle } from "./links.js";
import { closeAddress, countOf, direct, putBack } from "./markdown_links.js";
import * as token from "./markdown_tokens.js";

/** Deeper than anybody writes: a hostile text must not make a tower of elements. */
const MOST_DEPTH = 48;
const LONGEST_LANGUAGE = 30;
/** One word more lays out its block anew: none is to be longer. */
const LONG_BLOCK = 4000;
/** One block more looks at all its siblings: none is to have more. */
const MOST_SIBLINGS = 64;
/** What has a side on which it begins: its marks stand there. */
const DIRECTED = new Set([token.LIST_ITEM, token.BLOCKQUOTE, token.TABLE]);
/** Where a long block is cut.
 * @type {Record<number, string>} */
const END_OF_BLOCK = { [token.PARAGRAPH]: " ", [token.CODE_FENCE]: "\n", [token.CODE_BLOCK]: "\n" };

/**
 * @typedef {object} Place a construct that is open
 * @property {number} kind
 * @property {Element} element what stands for it
 * @property {Element} node where its content goes
 * @property {Element} tail the last block of a text that is cut into several
 * @property {number} chars in the tail
 * @property {Element | null} label of a code block
 * @property {string | null} address of a link or an image, as written
 *
 * @typedef {(code: Element, language: string) => void} OnCode told of each code block that is complete
 */

/**
 * Builds the nodes of an answer as its Markdown is read.
 *
 * Elements and text nodes only, never markup, so nothing that a model writes can become a script. Links go where
 * `safeUrl` lets them, images are links, and what turns out to be no construct is put back as it was written.
 */
export class MarkdownNodes {
  /** @type {Place[]} */
  #open;
  #document;
  #onCode;
  #heading = 1;
  /** A link whose address had an open bracket: a closing one right after it still belongs to it.
   * @type {Place | null} */
  #unbalanced = null;

  /**
   * @param {Element} root
   * @param {OnCode} onCode
   */
  constructor(root, onCode) {
    this.#open = [newPlace(token.DOCUMENT, { element: root, node: root })];
    this.#document = root.ownerDocument;
    this.#onCode = onCode;
  }

  get depth() {
    return this.#open.length - 1;
  }

  get kind() {
    return this.#place.kind;
  }

  get #place() {
    return /** @type {Place} */ (this.#open.at(-1));
  }

  /** @param {number} kind */
  open(kind) {
    this.#unbalanced = null;
    if (this.depth === 0) this.#makeRoom();
    const parent = this.#place;
    if (this.depth >= MOST_DEPTH) this.#open.push({ ...parent, kind: token.DOCUMENT });
    else if (kind === token.LINE_BREAK && isLong(parent)) this.#open.push(newPlace(kind, this.#cut(parent)));
    else this.#open.push(newPlace(kind, this.#make(kind, parent)));
  }

  /**
   * @param {boolean} whole whether the construct ends as it is written, and is not cut off by what follows
   */
  close(whole) {
    this.#unbalanced = null;
    const place = /** @type {Place} */ (this.#open.pop());
    const mark = token.MARKS[place.kind];
    if (place.kind === token.LINK || place.kind === token.IMAGE) this.#closeLink(place, whole);
    else if (place.kind === token.RAW_URL) closeAddress(place.element);
    else if (place.kind === token.EQUATION_INLINE) putBack(place.element, "\\(", whole ? "\\)" : "");
    else if (mark !== undefined && !whole) putBack(place.element, mark, "");
    else if (place.label !== null) this.#onCode(place.node, place.label.textContent ?? "");
  }

  /**
   * A block of its own, which is written elsewhere.
   *
   * @param {Element} block
   */
  place(block) {
    this.#makeRoom();
    this.#place.node.append(block);
  }

  /** The blocks of a long text are laid out in parts. */
  #makeRoom() {
    const place = this.#place;
    if (place.node.childElementCount < MOST_SIBLINGS) return;
    const part = this.#document.createElement("div");
    part.setAttribute("class", "part");
    place.element.append(part);
    Object.assign(place, { node: part, tail: part });
  }

  /** @param {string} text */
  text(text) {
    const rest = this.#unbalanced === null ? text : this.#balance(this.#unbalanced, text);
    if (rest !== "") this.#append(this.#place, rest);
  }

  /** Sets what follows apart from what was, within the same construct. */
  gap() {
    const gap = this.#document.createElement("span");
    gap.setAttribute("class", "gap");
    this.#place.node.append(gap);
  }

  /** @param {string} address of a link or an image, as written */
  setAddress(address) {
    this.#place.address = address;
  }

  /** @param {string} language */
  setLanguage(language) {
    const name = language.trim();
    const { label } = this.#place;
    if (name.length > LONGEST_LANGUAGE) this.text(`${name}\n`);
    else if (label !== null && name !== "") label.textContent = name;
  }

  /** @param {string} first the number that an ordered list begins with */
  setStart(first) {
    if (first.length < 10 && this.#place.kind === token.LIST_ORDERED) {
      this.#place.element.setAttribute("start", String(Number(first)));
    }
  }

  setChecked() {
    if (this.#place.kind === token.CHECKBOX) this.#place.element.textContent = "☑";
  }

  /**
   * @param {Place} place
   * @param {string} text
   */
  #append(place, text) {
    const end = END_OF_BLOCK[place.kind];
    const room = Math.max(0, LONG_BLOCK - place.chars - 1);
    const cut = end === undefined ? 0 : text.indexOf(end, room) + 1;
    const piece = cut === 0 ? text : text.slice(0, cut);
    appendText(place.tail, piece);
    place.chars += piece.length;
    if (cut === 0) return;
    this.#cut(place);
    if (cut < text.length) this.#append(place, text.slice(cut));
  }

  /**
   * Goes on in a new block.
   *
   * @param {Place} place of a paragraph or of code
   */
  #cut(place) {
    const isParagraph = place.kind === token.PARAGRAPH;
    const tail = this.#document.createElement(isParagraph ? "p" : "span");
    tail.setAttribute("class", "goes-on");
    if (isParagraph) place.element.setAttribute("class", `${place.element.getAttribute("class") ?? ""} cut`.trim());
    if (isParagraph) place.element.parentElement?.append(tail);
    else place.node.append(tail);
    Object.assign(place, { tail, chars: 0 }, isParagraph && { element: tail, node: tail });
    return { element: tail, node: tail };
  }

  /**
   * @param {number} kind
   * @param {Place} parent
   * @returns {{ element: Element, node: Element, label?: Element }}
   */
  #make(kind, parent) {
    if (kind === token.CODE_BLOCK || kind === token.CODE_FENCE) {
      const { element, code, label } = makeCodeBlock(this.#document);
      parent.node.append(element);
      return { element, node: code, label };
    }
    const element = this.#document.createElement(this.#nameOf(kind, parent));
    if (isHeading(kind)) element.setAttribute("class", `level-${kind - token.HEADING_1 + 1}`);
    if (DIRECTED.has(kind)) element.setAttribute("dir", "auto");
    if (kind === token.CHECKBOX) {
      element.setAttribute("class", "task");
      element.textContent = "☐";
      parent.element.setAttribute("class", "todo");
    }
    if (kind === token.TABLE) return { element: this.#frame(parent.node, element), node: element };
    (kind === token.TABLE_ROW ? this.#partOf(parent.node) : parent.node).append(element);
    return { element, node: element };
  }

  /**
   * @param {number} kind
   * @param {Place} parent
   */
  #nameOf(kind, parent) {
    if (isHeading(kind)) return this.#headingOf(kind);
    if (kind === token.TABLE) return "table";
    if (kind === token.TABLE_ROW) return "tr";
    if (kind === token.TABLE_CELL) return parent.node.parentElement?.localName === "thead" ? "th" : "td";
    const inLink = this.#open.some((place) => place.kind === token.LINK);
    return kind === token.IMAGE && inLink ? "span" : (token.ELEMENTS[kind] ?? "span");
  }

  /**
   * The page has the first heading, and none is more than one below the one before it: some read by them.
   *
   * @param {number} kind
   */
  #headingOf(kind) {
    this.#heading = Math.min(kind - token.HEADING_1 + 2, this.#heading + 1, 6);
    return `h${this.#heading}`;
  }

  /**
   * A wide table is scrolled in a frame of its own.
   *
   * @param {Element} parent
   * @param {Element} table
   */
  #frame(parent, table) {
    const frame = this.#document.createElement("div");
    frame.setAttribute("class", "table");
    frame.setAttribute("tabindex", "0");
    frame.append(table);
    parent.append(frame);
    return frame;
  }

  /** @param {Element} table */
  #partOf(table) {
    const rows = table.children.length;
    if (rows > 1) return /** @type {Element} */ (table.children[1]);
    const part = this.#document.createElement(rows === 0 ? "thead" : "tbody");
    table.append(part);
    return part;
  }

  /**
   * @param {Place} place
   * @param {boolean} whole
   */
  #closeLink(place, whole) {
    const { kind, element, address } = place;
    const begin = kind === token.IMAGE ? "![" : "[";
    if (address === null) return putBack(element, begin, whole ? "]" : "");
    const url = safeUrl(withoutTitle(address));
    if (url === null) return putBack(element, begin, `](${address}${whole ? ")" : ""}`);
    if (element.textContent === "") element.textContent = withoutTitle(address);
    if (kind === token.IMAGE) element.setAttribute("class", "image");
    if (element.localName === "a") direct(element, url);
    if (countOf(address, "(") > countOf(address, ")")) this.#unbalanced = place;
  }

  /**
   * @param {Place} place
   * @param {string} text what comes right after it
   */
  #balance({ element, address }, text) {
    this.#unbalanced = null;
    if (!text.startsWith(")")) return text;
    const url = safeUrl(`${withoutTitle(address ?? "")})`);
    if (url !== null && element.localName === "a") direct(element, url);
    return text.slice(1);
  }
}

/**
 * @param {number} kind
 * @param {{ element: Element, node: Element, label?: Element }} made
 * @returns {Place}
 */
function newPlace(kind, { element, node, label }) {
  return { kind, element, node, tail: node, chars: 0, label: label ?? null, address: null };
}

/** @param {Place} place */
function isLong({ kind, chars }) {
  return kind === token.PARAGRAPH && chars >= LONG_BLOCK;
}

/** @param {number} kind */
function isHeading(kind) {
  return kind >= token.HEADING_1 && kind <= token.HEADING_6;
}

/**
 * @param {Element} node
 * @param {string} text
 */
function appendText(node, text) {
  const last = node.lastChild;
  if (last?.nodeType === 3) /** @type {Text} */ (last).appendData(text);
  else node.append(node.ownerDocument.createTextNode(text));
}
