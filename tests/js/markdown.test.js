import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { parseHTML } from "linkedom";
import * as library from "streaming-markdown";

import { Markdown } from "../../static/magic/markdown.js";
import * as token from "../../static/magic/markdown_tokens.js";
import { seeded } from "./fakes.js";

const { document } = parseHTML("<!doctype html><html><body></body></html>");
/** What the demo model answers to `/markdown`. */
const PAGES = readFileSync(new URL("../../streaming/providers/demo_pages.py", import.meta.url), "utf8");
const PAGE = /^MARKDOWN = r"""([^]*?)"""/m.exec(PAGES)[1];
const HOSTILE = readFileSync(new URL("./hostile.md", import.meta.url), "utf8").split("\n%%\n");

/** The nodes of a text that comes in pieces. */
function build(text, pieces = [text]) {
  const root = document.createElement("div");
  const codes = [];
  const markdown = new Markdown(root, library, (code, language) => codes.push([language, code.textContent]));
  for (const piece of pieces) markdown.write(piece);
  markdown.end();
  return { root, codes };
}

const html = (text, pieces) => build(text, pieces).root.innerHTML;
const plain = (text) => html(text).replace(/ (dir|tabindex|class|rel|target)="[^"]*"/g, "");
const inPieces = (text, size) => text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];

function atRandom(text, random) {
  const pieces = [];
  for (let at = 0; at < text.length; ) {
    const size = 1 + Math.floor(random() * 12);
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  return pieces;
}

test("the numbers are the library's", () => {
  const { Token, Attr } = library;
  const ours = { DOCUMENT: Token.Document, LINK: Token.Link, IMAGE: Token.Image, RAW_URL: Token.Raw_URL };
  Object.assign(ours, { CODE_FENCE: Token.Code_Fence, CODE_BLOCK: Token.Code_Block, CODE_INLINE: Token.Code_Inline });
  Object.assign(ours, { LIST_ITEM: Token.List_Item, TABLE: Token.Table, CHECKBOX: Token.Checkbox });
  Object.assign(ours, { HREF: Attr.Href, SRC: Attr.Src, LANG: Attr.Lang, START: Attr.Start, CHECKED: Attr.Checked });
  for (const [name, number] of Object.entries(ours)) assert.equal(token[name], number, name);
});

test("a page with every construct has the same nodes however it is cut", () => {
  const whole = html(PAGE);
  for (const size of [1, 2, 3, 5, 8, 13, 64]) assert.equal(html(PAGE, inPieces(PAGE, size)), whole, `pieces of ${size}`);
  for (let seed = 1; seed <= 20; seed += 1) assert.equal(html(PAGE, atRandom(PAGE, seeded(seed))), whole, `seed ${seed}`);
});

test("any mix of marks has the same nodes however it is cut, and throws nothing", () => {
  const marks = ["*", "**", "_", "__", "`", "``", "```", "\n", "\n\n", "> ", "- ", "1. ", "  ", "    ", "[", "]", "(", ")"];
  marks.push("](", "![", "http://a.b", "https://x.y/z", "<br>", "<", "$", "$$", "\\", "\\[", "\\(", "|", "|---|", "#", " ");
  marks.push("a", "word", "x_y", "~~", "~~~", "😀", "é", "[x] ", "&", "\t", "---", "===", ":", "\ud83d", "javascript:");
  for (let seed = 1; seed <= 600; seed += 1) {
    const random = seeded(seed);
    const length = 5 + Math.floor(random() * 60);
    const text = Array.from({ length }, () => marks[Math.floor(random() * marks.length)]).join("");
    assert.equal(html(text, inPieces(text, 1)), html(text), JSON.stringify(text));
  }
});

test("a hostile text, cut at every boundary, makes no element that runs or loads", () => {
  const harmless = new Set("A BLOCKQUOTE BR BUTTON CODE DIV EM H2 H3 H4 H5 H6 HR LI OL P PRE S SPAN STRONG TABLE TBODY TD TH THEAD TR UL".split(" "));
  const attributes = new Set(["class", "dir", "tabindex", "type", "data-copy", "start", "href", "rel", "target"]);
  for (const text of HOSTILE) {
    for (let cut = 0; cut <= text.length; cut += 1) {
      const { root } = build(text, [text.slice(0, cut), text.slice(cut)]);
      for (const element of root.querySelectorAll("*")) {
        assert.ok(harmless.has(element.tagName), `<${element.tagName}> from ${JSON.stringify(text)}`);
        for (const { name } of element.attributes) assert.ok(attributes.has(name), `${name} from ${JSON.stringify(text)}`);
        const href = element.getAttribute("href");
        assert.ok(href === null || /^(https?:\/\/|mailto:)/.test(href), `${href} from ${JSON.stringify(text)}`);
      }
    }
  }
});

const CASES = {
  "emphasis, strong, struck, code": ["*a* **b** ~~c~~ `d`", "<p><em>a</em> <strong>b</strong> <s>c</s> <code>d</code></p>"],
  "an underscore within a word is none": ["a snake_case_name and _an em_", "<p>a snake_case_name and <em>an em</em></p>"],
  "a dollar is no formula": ["$5, $HOME\n\nnext", "<p>$5, $HOME</p><p>next</p>"],
  "what is not closed is put back": ["*args and **kwargs and `x\n\nnext", "<p>*args and **kwargs and `x</p><p>next</p>"],
  "brackets without an address stay": ["a[0] and [1]", "<p>a[0] and [1]</p>"],
  "an address may hold brackets": ["[a](https://x.org/a_(b)).", '<p><a href="https://x.org/a_(b)">a</a>.</p>'],
  "a title is left out": ['[a](https://x.org/ "t")', '<p><a href="https://x.org/">a</a></p>'],
  "a bare address ends before the full stop": ["see https://x.org/a.", '<p>see <a href="https://x.org/a">https://x.org/a</a>.</p>'],
  "an image is a link": ["![p](https://x.org/p.png)", '<p><a href="https://x.org/p.png">p</a></p>'],
  "an address of another kind is text": ["[x](javascript:alert(1)) [y](/admin/)", "<p>[x](javascript:alert(1)) [y](/admin/)</p>"],
  "an address that is not closed ends with its line": ["[a](b\nc\n\nd", "<p>[a](b<br>c</p><p>d</p>"],
  "lists in lists": ["- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"],
  "tasks": ["- [x] a\n- [ ] b", "<ul><li><span>☑</span> a</li><li><span>☐</span> b</li></ul>"],
  "a list and code in a quote": ["> - a\n>\n> b", "<blockquote><ul><li>a</li></ul><p>b</p></blockquote>"],
  "a quote in a quote": ["> a\n> > b\n\nc", "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote><p>c</p>"],
  "markup is text": ["<b onclick=x>a</b>", "<p>&lt;b onclick=x&gt;a&lt;/b&gt;</p>"],
};
for (const [name, [text, expected]] of Object.entries(CASES)) test(name, () => assert.equal(plain(text), expected));

test("each item of a list has a direction of its own, and its mark goes with it", () => {
  assert.equal(html("- \u05d0\n- b"), '<ul><li dir="auto">\u05d0</li><li dir="auto">b</li></ul>');
});

test("a long text is laid out in parts, and has the same nodes however it is cut", () => {
  const text = "# a\n\nb\n\n> c\n\n- d\n\n".repeat(100);
  const { root } = build(text);
  const parts = [...root.querySelectorAll(".part")];
  assert.deepEqual(parts.map(({ childElementCount }) => childElementCount), [64, 64, 64, 64, 64, 16]);
  assert.equal(root.childElementCount, 64 + parts.length);
  assert.equal(root.textContent, build(text.slice(0, text.length / 2)).root.textContent.repeat(2));
  assert.equal(html(text, atRandom(text, seeded(7))), html(text));
});

test("code is told when it is complete, with its language, letter for letter", () => {
  const { codes } = build("1. a\n\n   ```py\n   x = $1\n     _y_\n   ```\n\n~~~\n```\n~~~\n\n> ```js\n> z\n> ```\n\n```rust\nopen");
  assert.deepEqual(codes.slice(0, 1), [["py", "x = $1\n  _y_"]]);
  assert.deepEqual(codes.slice(-2), [["js", "z"], ["rust", "open"]]);
});

test("no depth of a hostile text makes a tower, and none of its length is a wait", () => {
  const started = performance.now();
  for (const text of ["> ".repeat(20_000), "**_".repeat(20_000), "- ".repeat(20_000), `[a](${"b".repeat(200_000)}`, `\`\`\`${"x".repeat(200_000)}`]) {
    const { root } = build(text);
    let depth = 0;
    for (let node = root; node !== null; node = node.lastElementChild) depth += 1;
    assert.ok(depth < 200, `${depth} deep`);
  }
  assert.ok(performance.now() - started < 20_000);
});

test("no letter of an ordinary text is lost", () => {
  const words = (text) => text.match(/[\p{L}\p{N}]/gu).join("");
  const text = "# A\n\nb *c* and d_e\n\n- f\n  - g\n\n  h\n\n+ i\n\n> j\n> k\n\n```\nl\n```\n\n$m$ \\(n\\) \\[o\\]";
  assert.equal(words(build(text).root.textContent.replace("textCopy code", "")), words(text));
});
