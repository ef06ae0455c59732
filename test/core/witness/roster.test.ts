/**
 * Whose word counts: witness, node and disk must belong together, as far as the own state can know.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type NodeId, nodeId, siteId, witnessId } from "../../../src/core/base/ids.js";
import type { Member } from "../../../src/core/model/members.js";
import { EMPTY_STATE, type State } from "../../../src/core/model/state.js";
import { Roster } from "../../../src/core/witness/roster.js";

const [A, B] = [witnessId("w-a"), witnessId("w-b")];

function member(node: number, disk: string | null): Member {
  const witness = node === 1 ? A : B;
  return {
    witness,
    node: nodeId(node),
    site: siteId("a"),
    peers: [`192.0.2.${node}:7400`],
    admin: `192.0.2.${node}:7401`,
    dns: null,
    role: "voter",
    disk,
    replaces: null,
    inDocument: true,
    sinceMs: 0,
  };
}

const STATE: State = {
  ...EMPTY_STATE,
  members: [member(1, "disk-a"), member(2, "disk-b")],
  nextNode: nodeId(3),
};
const VOTERS: readonly NodeId[] = [nodeId(1), nodeId(2)];

/** What a roster of node `own` says to w-a, which claims to be `node` on `disk`. */
function judged(
  node: number,
  disk: string,
  rest: { own?: number; leads?: boolean; to?: number } = {},
): string {
  const { own = 2, leads = true, to = own } = rest;
  const roster = new Roster([A, B]);
  roster.follow(STATE);
  const sender = { witness: A, disk, node: nodeId(node), leads, own: nodeId(own), addsUs: leads && to > own };
  return roster.admit(STATE, sender, VOTERS).kind;
}

test("a member counts on its disk, and on no other", () => {
  assert.equal(judged(1, "disk-a"), "take");
  assert.equal(judged(1, "emptied"), "refuse");
  assert.equal(judged(2, "disk-a"), "drop", "that node is another witness");
});

test("a node that is given out later than this state knows is taken on trust", () => {
  assert.equal(judged(7, "disk-a"), "take");
});

test("a leader that adds this disk anew is heard although the old state knows its disk otherwise", () => {
  assert.equal(judged(1, "recovered", { to: 105 }), "take");
  assert.equal(judged(1, "recovered", { own: 105 }), "take", "also later, until the state has come");
  assert.equal(judged(1, "recovered", { own: 105, leads: false }), "refuse", "a vote counts as ever");
});
