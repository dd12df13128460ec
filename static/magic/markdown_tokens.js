/** The numbers by which `streaming-markdown` names what it finds; a test compares them with the library's own. */

export const DOCUMENT = 1;
export const PARAGRAPH = 2;
export const HEADING_1 = 3;
export const HEADING_6 = 8;
export const CODE_BLOCK = 9;
export const CODE_FENCE = 10;
export const CODE_INLINE = 11;
export const ITALIC_AST = 12;
export const ITALIC_UND = 13;
export const STRONG_AST = 14;
export const STRONG_UND = 15;
export const STRIKE = 16;
export const LINK = 17;
export const RAW_URL = 18;
export const IMAGE = 19;
export const BLOCKQUOTE = 20;
export const LINE_BREAK = 21;
export const LIST_UNORDERED = 23;
export const LIST_ORDERED = 24;
export const LIST_ITEM = 25;
export const CHECKBOX = 26;
export const TABLE = 27;
export const TABLE_ROW = 28;
export const TABLE_CELL = 29;
export const EQUATION_INLINE = 31;
/** States of the parser that are no construct. */
export const MAYBE_EQUATION = 105;

export const HREF = 1;
export const SRC = 2;
export const LANG = 4;
export const CHECKED = 8;
export const START = 16;

/** @type {Record<number, string>} */
export const ELEMENTS = {
  [PARAGRAPH]: "p",
  [CODE_INLINE]: "code",
  [ITALIC_AST]: "em",
  [ITALIC_UND]: "em",
  [STRONG_AST]: "strong",
  [STRONG_UND]: "strong",
  [STRIKE]: "s",
  [LINK]: "a",
  [RAW_URL]: "a",
  [IMAGE]: "a",
  [BLOCKQUOTE]: "blockquote",
  [LINE_BREAK]: "br",
  22: "hr",
  [LIST_UNORDERED]: "ul",
  [LIST_ORDERED]: "ol",
  [LIST_ITEM]: "li",
};

/** How a construct is written that may turn out to be none.
 * @type {Record<number, string>} */
export const MARKS = {
  [CODE_INLINE]: "`",
  [ITALIC_AST]: "*",
  [ITALIC_UND]: "_",
  [STRONG_AST]: "**",
  [STRONG_UND]: "__",
  [STRIKE]: "~~",
};
