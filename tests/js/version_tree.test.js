import assert from "node:assert/strict";
import { test } from "node:test";

import { VersionTree } from "../../static/magic/version_tree.js";

function treeOf(...turns) {
  const tree = new VersionTree();
  for (const [id, parent] of turns) tree.add({ stream_id: id, parent_id: parent ?? null });
  return tree;
}
const path = (tree) => tree.path.map((turn) => turn.stream_id).join(" ");

test("turns that follow one another are one path", () => {
  assert.equal(path(treeOf(["a"], ["b", "a"], ["c", "b"])), "a b c");
});

test("the newest version is shown, with what follows it", () => {
  const tree = treeOf(["a"], ["b", "a"], ["c", "b"], ["b2", "a"]);
  assert.equal(path(tree), "a b2");
  assert.deepEqual(tree.versions("b").map((turn) => turn.stream_id), ["b", "b2"]);
});

test("an earlier version is reached, with what followed that", () => {
  const tree = treeOf(["a"], ["b", "a"], ["c", "b"], ["b2", "a"]);
  tree.choose("b");
  assert.equal(path(tree), "a b c");
});

test("the first turn has versions too", () => {
  const tree = treeOf(["a"], ["b", "a"], ["a2"]);
  assert.equal(path(tree), "a2");
  tree.choose("a");
  assert.equal(path(tree), "a b");
});

test("a turn that is told again keeps its place and the choice", () => {
  const tree = treeOf(["a"], ["b", "a"], ["b2", "a"]);
  tree.choose("b");
  tree.add({ stream_id: "b2", parent_id: "a", status: "done" });
  assert.equal(path(tree), "a b");
});

test("a turn that came to nothing leaves the version before it", () => {
  const tree = treeOf(["a"], ["b", "a"], ["b2", "a"]);
  tree.remove("b2");
  assert.equal(path(tree), "a b");
  tree.remove("b");
  assert.equal(path(tree), "a");
  tree.remove("never");
});

test("a turn whose parent is not known stands at the beginning", () => {
  assert.equal(path(treeOf(["b", "gone"], ["c", "b"])), "b c");
});
