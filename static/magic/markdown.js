import { MarkdownNodes } from "./markdown_nodes.js";
import * as token from "./markdown_tokens.js";

/**
 * @typedef {typeof import("streaming-markdown")} Library
 * @typedef {import("streaming-markdown").Parser} Parser
 */

const MOST_OPEN = 2000;
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
  #nodes;
  /** @type {Parser | null} null: the rest is plain text */
  #parser;
  #last = "";
  #half = "";
  /** An underscore after a word: what it is shows with the next character. */
  #held = false;
  /** A construct is being closed that was not closed in the text. */
  #forced = false;
  /** The marks of quotes that a line of code may still begin with. */
  #quotes = 0;
  #afterMark = false;

  /**
   * @param {Element} root
   * @param {Library} library
   * @param {import("./markdown_nodes.js").OnCode} onCode
   */
  constructor(root, library, onCode) {
    this.#library = library;
    this.#nodes = new MarkdownNodes(root, onCode);
    this.#parser = this.#newParser();
  }

  /** @param {string} piece */
  write(piece) {
    const text = this.#withoutHalf(this.#half + piece);
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

  /** @param {string} written without special characters */
  #plain(written) {
    const text = this.#quotes > 0 || this.#afterMark ? this.#unquoted(written) : written;
    if (text === "") return;
    this.#release(String.fromCodePoint(text.codePointAt(0) ?? 0));
    for (let from = 0; from < text.length; from += SLICE) this.#feed(text.slice(from, from + SLICE));
    this.#last = lastOf(text);
  }

  /** @param {string} char */
  #special(char) {
    this.#quotes = 0;
    this.#afterMark = false;
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

  /** Some constructs would swallow all the lines that follow. */
  #endLine() {
    const parser = this.#parser;
    if (parser === null) return this.#feed("\n");
    if (parser.pending.startsWith("](")) this.#force(")");
    else if (this.#nodes.kind === token.IMAGE) this.#force(parser.pending === "]" ? " " : "] ");
    else if (this.#nodes.kind === token.EQUATION_INLINE) this.#force("\\)");
    else if (Number(parser.token) === token.MAYBE_EQUATION) this.#feed(" ");
    this.#feed("\n");
    if (this.#nodes.kind === token.CODE_FENCE) this.#quotes = this.#nodes.quotes;
  }

  /**
   * The library takes the marks of a quote around a block of code for code.
   *
   * @param {string} text the beginning of a line
   */
  #unquoted(text) {
    let at = 0;
    for (; at < text.length; at += 1) {
      if (text[at] === ">" && this.#quotes > 0) {
        this.#quotes -= 1;
        this.#afterMark = true;
      } else if (text[at] === " " && this.#afterMark) this.#afterMark = false;
      else break;
    }
    if (at < text.length) this.#quotes = 0;
    if (at < text.length) this.#afterMark = false;
    return text.slice(at);
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
