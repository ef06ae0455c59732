/**
 * Replays our own scenario files. `UPDATE=1 npm test -- scenario` rewrites what they expect; the diff is
 * then the review.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { compare } from "./compare.js";
import { GrammarError, parse, rewrite } from "./datadriven.js";
import { outputsOf, runScenario } from "./run.js";

const folder = fileURLToPath(new URL("../../../test/scenario", import.meta.url));
const update = process.env["UPDATE"] === "1";

for (const name of readdirSync(folder).filter((file) => file.endsWith(".txt"))) {
  test(`scenario ${name} plays as it is written`, () => {
    const path = join(folder, name);
    const text = readFileSync(path, "utf8");
    assert.match(text, /^# .*\n# /, "a scenario begins with what it shows and why it matters");
    const report = runScenario(text);
    const rewritten = rewrite(text, outputsOf(report));
    if (update) writeFileSync(path, rewritten);
    else assert.equal(rewritten, text);
  });
}

test("a directive may go over several lines, hold lists with blanks, and fence output with empty lines", () => {
  const text = [
    "# A comment.",
    "add-nodes 3 voters=(1, 2 ,3) \\",
    "  index=10",
    "first input",
    "second input",
    "----",
    "----",
    "one",
    "",
    "two",
    "----",
    "----",
    "",
    "raft-state",
    "----",
    "ok",
    "",
  ].join("\n");
  const [first, second] = parse(text);
  assert.deepEqual(first?.args, [
    { key: "3", values: [] },
    { key: "voters", values: ["1", "2", "3"] },
    { key: "index", values: ["10"] },
  ]);
  assert.equal(first?.input, "first input\nsecond input");
  assert.equal(first?.expected, "one\n\ntwo");
  assert.equal(second?.command, "raft-state");
  assert.equal(second?.line, 14);
  assert.equal(rewrite(text, ["one\n\ntwo", "ok"]), text);
  assert.match(rewrite(text, ["three", "ok"]), /input\n----\nthree\n\nraft-state/);
});

test("a directive without ---- and an open fence are refused with their line", () => {
  assert.throws(
    () => parse("ok\n----\n\nraft-state\n"),
    new GrammarError('line 4: no ---- after "raft-state"'),
  );
  assert.throws(() => parse("raft-state\n----\n----\nnever closed\n"), GrammarError);
});

test("prose and the order of messages do not make a difference, any field of a message does", () => {
  const a =
    "INFO 1 became leader\n> 1 handling Ready\n  Ready MustSync=true:\n  Messages:\n  1->2 MsgApp Term:1\n  1->3 MsgApp Term:1";
  const reordered =
    "> 1 handling Ready\n  Ready MustSync=true:\n  Messages:\n  1->3 MsgApp Term:1\n  1->2 MsgApp Term:1";
  assert.deepEqual(compare(a, a.replace("INFO 1 became leader\n", "")), { kind: "literal" });
  assert.equal(compare(a, reordered).kind, "semantic");
  assert.deepEqual(compare(a, a.replace("1->3 MsgApp Term:1", "1->3 MsgApp Term:2")), {
    kind: "differs",
    what: ["Messages of node 1"],
  });
  assert.equal(compare(a, `${a}\n  1->3 MsgApp Term:1`).kind, "differs", "messages are counted");
});

test("a lost commit, another role and a leader's bookkeeping are told apart", () => {
  const hard = "Ready MustSync=false:\nHardState Term:1 Vote:1 Commit:3";
  assert.equal(compare(hard, hard.replace("Commit:3", "Commit:2")).kind, "differs");
  assert.equal(compare(hard, hard.replace("false", "true")).kind, "semantic");
  const state = "1: StateLeader (Voter) Term:1 Lead:1";
  assert.equal(compare(state, state.replace("Leader", "Follower")).kind, "differs");
  const progress = "2: StateProbe match=11 next=12";
  assert.equal(compare(progress, "2: StateReplicate match=11 next=12").kind, "semantic");
});
