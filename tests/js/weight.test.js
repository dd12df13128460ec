import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const ROOT = new URL("../../", import.meta.url);
const MOST_BYTES = 60_000;

/** A module with all that it imports. */
function* modules(path, seen = new Set()) {
  if (seen.has(path.href)) return;
  seen.add(path.href);
  const source = readFileSync(path, "utf8");
  yield source;
  for (const [, name] of source.matchAll(/^(?:import|export) [^;]*?from "(\.[^"]+)";/gm)) yield* modules(new URL(name, path), seen);
}

test("all script before the first message is under 60 KB gzipped", () => {
  const sources = [
    readFileSync(new URL("static/magic/theme.js", ROOT), "utf8"),
    ...modules(new URL("static/magic/magic.js", ROOT)),
    readFileSync(new URL("node_modules/streaming-markdown/smd.min.js", ROOT), "utf8"),
  ];
  assert.ok(sources.length > 30);
  const bytes = sources.reduce((sum, source) => sum + gzipSync(source).length, 0);
  assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
  console.log(`# script before the first message: ${bytes} bytes gzipped in ${sources.length} files`);
});

test("no module of ours writes markup", () => {
  for (const source of modules(new URL("static/magic/magic.js", ROOT))) {
    const code = source.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
    assert.doesNotMatch(code, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser/);
  }
});
