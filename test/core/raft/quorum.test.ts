/**
 * Quorums, compared with a dumb twin that counts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type LogIndex, logIndex, type NodeId, nodeId } from "../../../src/core/base/ids.js";
import {
  jointCommitted,
  jointIds,
  jointVote,
  majorityCommitted,
  majorityVote,
} from "../../../src/core/raft/quorum.js";

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }).map(nodeId), { maxLength: 7 });
const acks = fc.dictionary(fc.constantFrom("1", "2", "3", "4", "5", "6", "7", "8", "9"), fc.nat(9));

/** By definition: the largest index that more than half have reached. */
function dumbCommitted(voters: readonly NodeId[], acked: (id: NodeId) => number): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY;
  let best = 0;
  for (let index = 0; index <= 9; index++) {
    let count = 0;
    for (const id of voters) if (acked(id) >= index) count++;
    if (count > voters.length / 2) best = index;
  }
  return best;
}

/** By definition: won if the silent cannot change it to lost, and so on. */
function dumbVote(voters: readonly NodeId[], votes: ReadonlyMap<NodeId, boolean>): string {
  const outcome = (silent: boolean) =>
    voters.filter((id) => votes.get(id) ?? silent).length > voters.length / 2 || voters.length === 0;
  if (outcome(false)) return "VoteWon";
  return outcome(true) ? "VotePending" : "VoteLost";
}

test("the commit index is the largest that more than half have, in each half", () => {
  fc.assert(
    fc.property(ids, ids, acks, (incoming, outgoing, table) => {
      const acked = (id: NodeId): LogIndex | undefined => {
        const index = table[String(id)];
        return index === undefined ? undefined : logIndex(index);
      };
      const plain = (id: NodeId) => acked(id) ?? 0;
      assert.equal(majorityCommitted(incoming, acked), dumbCommitted(incoming, plain));
      assert.equal(
        jointCommitted({ incoming, outgoing }, acked),
        Math.min(dumbCommitted(incoming, plain), dumbCommitted(outgoing, plain)),
      );
    }),
    { numRuns: 2000 },
  );
});

test("a vote is decided exactly when the silent cannot change it any more", () => {
  const ballots = fc.dictionary(fc.constantFrom("1", "2", "3", "4", "5", "6", "7", "8", "9"), fc.boolean());
  fc.assert(
    fc.property(ids, ids, ballots, (incoming, outgoing, table) => {
      const votes = new Map(
        Object.entries(table).map(([id, vote]): [NodeId, boolean] => [nodeId(Number(id)), vote]),
      );
      const a = dumbVote(incoming, votes);
      const b = dumbVote(outgoing, votes);
      assert.equal(majorityVote(incoming, votes), a);
      const joint = a === b ? a : [a, b].includes("VoteLost") ? "VoteLost" : "VotePending";
      assert.equal(jointVote({ incoming, outgoing }, votes), joint);
    }),
    { numRuns: 2000 },
  );
});

test("any two deciding sets of one configuration, joint or not, have a member in common", () => {
  const side = fc.array(fc.boolean(), { minLength: 9, maxLength: 9 });
  const nonEmpty = ids.filter((list) => list.length > 0);
  fc.assert(
    fc.property(nonEmpty, ids, side, side, (incoming, outgoing, one, other) => {
      const decides = (members: boolean[]) => {
        const votes = new Map(members.map((yes, i): [NodeId, boolean] => [nodeId(i + 1), yes]));
        return jointVote({ incoming, outgoing }, votes) === "VoteWon";
      };
      if (decides(one) && decides(other))
        assert.ok(jointIds({ incoming, outgoing }).some((id) => one[id - 1] && other[id - 1]));
    }),
    { numRuns: 3000 },
  );
});
