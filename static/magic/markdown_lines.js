/**
 * @typedef {object} Reader what takes the lines
 * @property {(text: string) => void} take
 * @property {() => "text" | "list" | "code"} within in what the line that begins now would be
 * @property {(indent: number) => boolean} resume after blank lines: whether a line with so many blanks in front still
 *   belongs to the list, and is taken to it
 * @property {() => boolean} openQuote whether a line that begins with the mark of a quote is taken for one
 * @property {(text: string) => void} takeQuoted
 * @property {() => void} closeQuote
 */

const FENCE = 3;
/** Longer than any that is likely within. */
const LONG_FENCE = "`".repeat(7);

/**
 * Looks at how lines begin, before the parser does: it ends a list at its first blank line, whatever is indented below
 * it, knows no fences of tildes, and loses its way where there are lists or code in a quote.
 */
export class MarkdownLines {
  #reader;
  /** What was seen of the line, while that is only blanks and tildes; null: it has begun.
   * @type {string | null} */
  #lead = "";
  #afterBlank = false;
  #inTildes = false;
  /** @type {"no" | "mark" | "line"} */
  #quoted = "no";

  /** @param {Reader} reader */
  constructor(reader) {
    this.#reader = reader;
  }

  /** @param {string} text */
  write(text) {
    let at = 0;
    while (at < text.length) {
      if (this.#lead !== null || this.#quoted === "mark") {
        this.#begin(text.charAt(at));
        at += 1;
      } else {
        const end = text.indexOf("\n", at) + 1 || text.length;
        this.#goOn(text.slice(at, end));
        at = end;
      }
    }
  }

  /** Nothing more will come. */
  end() {
    if (this.#lead) this.#start(this.#lead);
    this.#reader.closeQuote();
  }

  /** @param {string} char of a line that shows nothing yet */
  #begin(char) {
    if (this.#quoted === "mark") {
      this.#quoted = "line";
      if (char !== " ") this.#goOn(char);
      return;
    }
    const lead = this.#lead ?? "";
    const tildes = lead.trimStart().length;
    if (char === "\n" && tildes === 0) this.#endBlank(lead);
    else if (char === ">" && this.#isQuote(lead)) this.#quote();
    else if (char === "~" && tildes === FENCE - 1 && this.#isFence()) this.#fence(lead.slice(0, -tildes));
    else if (char === "~" && tildes < FENCE) this.#lead = lead + char;
    else if ((char === " " || char === "\t") && tildes === 0) this.#lead = lead + char;
    else {
      this.#start(lead);
      this.#goOn(char);
    }
  }

  /** @param {string} lead */
  #endBlank(lead) {
    this.#reader.closeQuote();
    if (this.#reader.within() === "list") this.#afterBlank = true;
    else this.#reader.take(`${lead}\n`);
    this.#lead = "";
  }

  /** @param {string} lead */
  #isQuote(lead) {
    const within = this.#reader.within();
    const endsList = within === "list" && this.#afterBlank && lead.length < 2;
    return lead.length < 4 && lead.trim() === "" && (within === "text" || endsList) && this.#reader.openQuote();
  }

  #quote() {
    this.#lead = null;
    this.#afterBlank = false;
    this.#quoted = "mark";
  }

  #isFence() {
    return this.#inTildes || this.#reader.within() !== "code";
  }

  /** @param {string} indent of a fence of tildes */
  #fence(indent) {
    this.#inTildes = !this.#inTildes;
    this.#start(indent + LONG_FENCE);
  }

  /** @param {string} lead of a line that has something in it */
  #start(lead) {
    this.#reader.closeQuote();
    if (this.#afterBlank && !this.#reader.resume(widthOf(lead))) this.#reader.take("\n");
    this.#afterBlank = false;
    this.#lead = null;
    this.#reader.take(lead);
  }

  /** @param {string} text of one line that has begun */
  #goOn(text) {
    if (this.#quoted === "line") this.#reader.takeQuoted(text);
    else this.#reader.take(text);
    if (!text.endsWith("\n")) return;
    this.#lead = "";
    this.#quoted = "no";
  }
}

/** @param {string} lead */
function widthOf(lead) {
  return [...lead].reduce((width, char) => width + (char === "\t" ? 4 : Number(char === " ")), 0);
}
