import { MarkdownLines } from "./markdown_lines.js";
import { MarkdownNodes } from "./markdown_nodes.js";
import * as token from "./markdown_tokens.js";

/**
 * @typedef {typeof import("streaming-markdown")} Library
 * @typedef {import("streaming-markdown").Parser} Parser
 */

const MOST_OPEN = 2000;
const MOST_QUOTES = 16;
const LONGEST_PENDING = 2000;
const SLICE = 1024;
/** Where the library and Markdown as models write it part ways. */
const SPECIAL = /[$_\n]/g;
const WORD = /[\p{L}\p{N}]/u;
const CODE = new Set([token.CODE_BLOCK, token.CODE_FENCE, token.CODE_INLINE]);

/**
 * Writes Markdown into an element as it arrives. However it is cut into pieces, the nodes are the same in the end.
 *
 * The parser is `streaming-markdown`'s; what it would take for a construct and models don't mean is escaped before it
 * gets there: a dollar sign is no formula, an underscore within a word no emphasis, an address that is not closed in
 * its line no link.
 */
export class Markdown {
  #library;
  #root;
  #onCode;
  #depth;
  #nodes;
  #lines;
  /** @type {Parser | null} null: the rest is plain text */
  #parser;
  #last = "";
  #half = "";
  /** An underscore after a word: what it is shows with the next character. */
  #held = false;
  /** A construct is being closed that was not closed in the text. */
  #forced = false;
  /** What is in the quote that is open: Markdown of its own.
   * @type {Markdown | null} */
  #quote = null;

  /**
   * @param {Element} root
   * @param {Library} library
   * @param {import("./markdown_nodes.js").OnCode} onCode
   * @param {number} [depth] in how many quotes this is
   */
  constructor(root, library, onCode, depth = 0) {
    this.#library = library;
    this.#root = root;
    this.#onCode = onCode;
    this.#depth = depth;
    this.#nodes = new MarkdownNodes(root, onCode);
    this.#parser = this.#newParser();
    this.#lines = new MarkdownLines({
      take: (text) => this.#take(text),
      within: () => this.#within(),
      resume: (indent) => this.#resume(indent),
      openQuote: () => this.#openQuote(),
      takeQuoted: (text) => this.#quote?.write(text),
      closeQuote: () => this.#closeQuote(),
    });
  }

  /** @param {string} piece */
  write(piece) {
    this.#lines.write(this.#withoutHalf(this.#half + piece));
  }

  /** @param {string} text */
  #take(text) {
    let from = 0;
    for (const match of text.matchAll(SPECIAL)) {
      this.#plain(text.slice(from, match.index));
      this.#special(match[0]);
      from = match.index + 1;
    }
    this.#plain(text.slice(from));
  }

  /** Nothing more will come. */
  end() {
    this.#lines.end();
    this.#release("");
    if (this.#parser?.pending) this.#special("\n");
    this.#parser = null;
    while (this.#nodes.depth > 0) this.#nodes.close(false);
  }

  /**
   * A character that is cut in two waits for its other half.
   *
   * @param {string} text
   */
  #withoutHalf(text) {
    const last = text.charCodeAt(text.length - 1);
    this.#half = last >= 0xd800 && last <= 0xdbff ? text.slice(-1) : "";
    return this.#half === "" ? text : text.slice(0, -1);
  }

  #newParser() {
    const nodes = this.#nodes;
    const parser = this.#library.parser({
      data: undefined,
      add_token: (_, kind) => nodes.open(kind),
      end_token: () => nodes.close(!this.#forced && this.#isWhole()),
      add_text: (_, text) => nodes.text(text),
      set_attr: (_, name, value) => this.#attribute(name, value),
    });
    // Its own arrays hold 24 and are silent about more.
    parser.tokens = new Uint32Array(MOST_OPEN + SLICE + 8);
    parser.tokens[0] = token.DOCUMENT;
    parser.spaces = /** @type {any} */ (new Uint32Array(MOST_OPEN + SLICE + 8));
    return parser;
  }

  /**
   * @param {number} name
   * @param {string} value
   */
  #attribute(name, value) {
    if (name === token.HREF || name === token.SRC) this.#nodes.setAddress(value);
    else if (name === token.LANG) this.#nodes.setLanguage(value);
    else if (name === token.START) this.#nodes.setStart(value);
    else if (name === token.CHECKED) this.#nodes.setChecked();
  }

  /** Whether what ends now ends with its own mark, which is then what the parser has at hand. */
  #isWhole() {
    const { pending, fence_start: ticks } = /** @type {Parser} */ (this.#parser);
    const { kind } = this.#nodes;
    if (kind === token.CODE_INLINE) return ticks > 0 && /^ ?`*$/.test(pending);
    if (kind === token.LINK || kind === token.IMAGE) return pending.startsWith("]");
    if (kind === token.EQUATION_INLINE) return pending === "\\" || pending === "$";
    return token.MARKS[kind] === undefined || pending.startsWith(token.MARKS[kind].charAt(0));
  }

  /** @param {string} text without special characters */
  #plain(text) {
    if (text === "") return;
    this.#release(String.fromCodePoint(text.codePointAt(0) ?? 0));
    for (let from = 0; from < text.length; from += SLICE) this.#feed(text.slice(from, from + SLICE));
    this.#last = lastOf(text);
  }

  /** @param {string} char */
  #special(char) {
    this.#release(char);
    if (char === "\n") this.#endLine();
    else if (char === "$") this.#feed(this.#isLiteral() ? "$" : "\\$");
    else if (WORD.test(this.#last) && !this.#isLiteral()) this.#held = true;
    else this.#feed("_");
    this.#last = char;
  }

  /**
   * Lets an underscore go that was held.
   *
   * @param {string} next the character after it
   */
  #release(next) {
    if (!this.#held) return;
    this.#held = false;
    const opened = this.#nodes.kind === token.ITALIC_UND || this.#nodes.kind === token.STRONG_UND;
    this.#feed(opened && !WORD.test(next) ? "_" : "\\_");
  }

  #within() {
    const parser = this.#parser;
    if (parser === null) return "text";
    const open = parser.tokens.subarray(0, parser.len + 1);
    if (open.includes(token.CODE_FENCE)) return "code";
    return open.includes(token.LIST_ITEM) ? "list" : "text";
  }

  /**
   * Goes on in the innermost item of a list that so deep a line belongs to.
   *
   * @param {number} indent
   */
  #resume(indent) {
    const parser = this.#parser;
    if (parser === null) return false;
    let item = parser.len;
    const isOuter = () => Number(parser.tokens[item]) !== token.LIST_ITEM || (parser.spaces[item] ?? 0) > indent;
    while (item > 0 && isOuter()) item -= 1;
    if (item === 0) return false;
    this.#closeTo(item, token.LIST_ITEM);
    this.#nodes.gap();
    return true;
  }

  #openQuote() {
    if (this.#quote !== null) return true;
    const parser = this.#parser;
    if (parser === null || this.#depth >= MOST_QUOTES) return false;
    this.#special("\n");
    this.#closeTo(0, token.DOCUMENT);
    Object.assign(parser, { pending: "", indent: "", indent_len: 0, fence_start: 0, table_state: 0 });
    const quote = this.#root.ownerDocument.createElement("blockquote");
    quote.setAttribute("dir", "auto");
    this.#nodes.place(quote);
    this.#quote = new Markdown(quote, this.#library, this.#onCode, this.#depth + 1);
    return true;
  }

  #closeQuote() {
    this.#quote?.end();
    this.#quote = null;
  }

  /**
   * @param {number} length what stays open
   * @param {number} kind of the innermost of that
   */
  #closeTo(length, kind) {
    const parser = /** @type {Parser} */ (this.#parser);
    while (parser.len > length) {
      parser.len -= 1;
      this.#nodes.close(false);
    }
    parser.token = /** @type {import("streaming-markdown").Token} */ (kind);
  }

  /** Some constructs would swallow all the lines that follow. */
  #endLine() {
    const parser = this.#parser;
    if (parser === null) return this.#feed("\n");
    if (parser.pending.startsWith("](")) this.#force(")");
    else if (this.#nodes.kind === token.IMAGE) this.#force(parser.pending === "]" ? " " : "] ");
    else if (this.#nodes.kind === token.EQUATION_INLINE) this.#force("\\)");
    else if (Number(parser.token) === token.MAYBE_EQUATION) this.#feed(" ");
    this.#feed("\n");
  }

  /** @param {string} text */
  #force(text) {
    this.#forced = true;
    this.#feed(text);
    this.#forced = false;
  }

  /** Whether the next character is taken as it is: in code, in an address, after a backslash. */
  #isLiteral() {
    const parser = this.#parser;
    if (parser === null) return true;
    const { pending } = parser;
    const kind = Number(parser.tokens[parser.len]);
    if (kind === token.CODE_BLOCK && pending.startsWith("\n")) return /^\n(?: {4}|\t)/.test(pending);
    if (CODE.has(kind) || kind === token.RAW_URL || kind === token.IMAGE || kind === token.EQUATION_INLINE) return true;
    return pending.startsWith("`") || pending.startsWith("\\") || pending.startsWith("](");
  }

  /** @param {string} text */
  #feed(text) {
    const parser = this.#parser;
    if (parser === null) return this.#nodes.text(text);
    this.#library.parser_write(parser, text);
    if (parser.pending.length > LONGEST_PENDING) {
      if (parser.pending.startsWith("](")) this.#force(")");
      else if (parser.pending.startsWith("`")) this.#library.parser_write(parser, "\n");
    }
    if (parser.len <= MOST_OPEN) return;
    // Nobody writes like this; what follows is shown as text.
    this.#library.parser_write(parser, "\n");
    this.#parser = null;
    while (this.#nodes.depth > 0) this.#nodes.close(false);
  }
}

/** @param {string} text */
function lastOf(text) {
  const low = text.charCodeAt(text.length - 1);
  return low >= 0xdc00 && low <= 0xdfff ? text.slice(-2) : text.slice(-1);
}
