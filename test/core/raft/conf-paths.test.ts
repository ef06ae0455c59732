/**
 * Changes of the configuration as algebra (paper, section 6; dissertation, sections 4.1 to 4.3): whichever way is
 * taken, the same members are there at the end, and nobody ever decides without the others' knowledge.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type NodeId, nodeId } from "../../../src/core/base/ids.js";
import { changed, decodeConfChange, encodeConfChange } from "../../../src/core/raft/conf-change.js";
import {
  type ConfChangeSingle,
  type Configuration,
  configurationOf,
  enterJoint,
  flawOf,
  fromConfState,
  isJoint,
  leaveJoint,
  memberIds,
  simple,
  toConfState,
} from "../../../src/core/raft/configuration.js";
import { jointVote } from "../../../src/core/raft/quorum.js";
import { Cluster } from "./cluster.js";

const single: fc.Arbitrary<ConfChangeSingle> = fc.record(
  {
    type: fc.constantFrom<ConfChangeSingle["type"]>(
      "ConfChangeAddNode",
      "ConfChangeAddNode",
      "ConfChangeAddLearnerNode",
      "ConfChangeAddLearnerNode",
      "ConfChangeRemoveNode",
      "ConfChangeUpdateNode",
    ),
    node: fc.nat(7).map(nodeId),
  },
  { noNullPrototype: true },
);
const singles = fc.array(single, { maxLength: 8 });
/** Reached from one voter by changes that were possible. */
const configurations = fc
  .array(single, { maxLength: 12 })
  .map((list) =>
    list.reduce((c, change) => orSame(c, simple(c, [change])), configurationOf([nodeId(1)], [])),
  );

function orSame(c: Configuration, result: ReturnType<typeof simple>): Configuration {
  return "error" in result ? c : result;
}

function must(result: ReturnType<typeof simple>): Configuration {
  assert.ok(!("error" in result), "error" in result ? result.error : "");
  return result;
}

/** What a set of members can do on its own. */
const decides = (c: Configuration, yes: (id: NodeId) => boolean): boolean =>
  jointVote(c, new Map(memberIds(c).map((id) => [id, yes(id)]))) === "VoteWon";

test("dissertation 4.3: a change through a joint configuration ends where the simple changes one by one end", () => {
  let compared = 0;
  fc.assert(
    fc.property(configurations, singles, fc.boolean(), (c, changes, autoLeave) => {
      let oneByOne = c;
      for (const change of changes) {
        const next = simple(oneByOne, [change]);
        // On the way there the last voter would have to go; the joint way does not see that.
        if ("error" in next) return;
        oneByOne = next;
      }
      const joint = must(enterJoint(c, changes, autoLeave));
      assert.deepEqual(must(leaveJoint(joint)), oneByOne);
      compared++;
    }),
    { numRuns: 3000 },
  );
  assert.ok(compared > 1500, `${compared} of 3000 compared`);
});

test("every configuration that a change leads to is sound: learners apart from voters, learners of tomorrow voting today", () => {
  fc.assert(
    fc.property(configurations, singles, fc.boolean(), (c, changes, autoLeave) => {
      const joint = enterJoint(c, changes, autoLeave);
      const left = "error" in joint ? joint : leaveJoint(joint);
      for (const result of [simple(c, changes), joint, left]) {
        if ("error" in result) continue;
        // Said here in other words than flawOf's, which is what is under test.
        const { incoming, outgoing, learners, learnersNext } = result;
        assert.ok(incoming.length > 0);
        assert.ok(learners.every((id) => !incoming.includes(id) && !outgoing.includes(id)));
        assert.ok(
          learnersNext.every(
            (id) => outgoing.includes(id) && !incoming.includes(id) && !learners.includes(id),
          ),
        );
        assert.ok(isJoint(result) || (learnersNext.length === 0 && !result.autoLeave));
        for (const list of [incoming, outgoing, learners, learnersNext])
          assert.deepEqual(
            list,
            [...new Set(list)].sort((a, b) => a - b),
          );
        assert.equal(flawOf(result), null);
        assert.deepEqual(fromConfState(toConfState(result)), result);
      }
    }),
    { numRuns: 3000 },
  );
});

test("dissertation 4.1, 4.3: no two sets of members can decide apart, one before and one after any single step of a change", () => {
  const sides = fc.array(fc.boolean(), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(configurations, singles, sides, sides, (c, changes, one, other) => {
      const joint = enterJoint(c, changes, false);
      const steps: (readonly [Configuration, Configuration])[] = [];
      for (const list of [changes, ...changes.map((change) => [change])]) {
        const next = simple(c, list);
        if (!("error" in next)) steps.push([c, next]);
      }
      if (!("error" in joint)) steps.push([c, joint], [joint, must(leaveJoint(joint))]);
      for (const [before, after] of steps) {
        if (!decides(before, (id) => one[id] ?? false) || !decides(after, (id) => other[id] ?? false))
          continue;
        assert.ok(
          [...memberIds(before), ...memberIds(after)].some((id) => one[id] && other[id]),
          `${JSON.stringify(before)} and ${JSON.stringify(after)} can decide apart`,
        );
      }
    }),
    { numRuns: 5000 },
  );
});

test("dissertation 4.2.1: learners are never asked: no vote of theirs decides anything", () => {
  fc.assert(
    fc.property(configurations, singles, (c, changes) => {
      const joint = enterJoint(c, changes, false);
      for (const result of [c, joint]) {
        if ("error" in result) continue;
        assert.ok(!decides(result, (id) => result.learners.includes(id)));
      }
    }),
    { numRuns: 1000 },
  );
});

test("a change keeps its meaning through its bytes, and any bytes at all are decoded or refused", () => {
  const transitions = fc.constantFrom(
    "ConfChangeTransitionAuto" as const,
    "ConfChangeTransitionJointImplicit" as const,
    "ConfChangeTransitionJointExplicit" as const,
  );
  const changes = fc.record({
    transition: transitions,
    changes: singles,
    context: fc.uint8Array({ maxLength: 300 }),
  });
  fc.assert(
    fc.property(changes, configurations, (cc, c) => {
      const type = "EntryConfChangeV2";
      const decoded = decodeConfChange({ type, data: encodeConfChange(type, cc) });
      assert.ok(!("error" in decoded));
      assert.deepEqual({ ...decoded, context: [...decoded.context] }, { ...cc, context: [...cc.context] });
      assert.deepEqual(changed(c, decoded), changed(c, cc));
    }),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(
      fc.constantFrom("EntryConfChange" as const, "EntryConfChangeV2" as const),
      fc.uint8Array({ maxLength: 40 }),
      (type, data) => {
        const decoded = decodeConfChange({ type, data });
        if (!("error" in decoded)) changed(configurationOf([nodeId(1)], []), decoded);
      },
    ),
    { numRuns: 3000 },
  );
});

test("a leader has progress of exactly the members of each configuration that it goes through", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(singles, fc.boolean()), { maxLength: 6 }), (list) => {
      const cluster = new Cluster(1);
      cluster.campaign(1);
      const node = cluster.node(1);
      for (const [changes, explicit] of list) {
        const transition = explicit ? "ConfChangeTransitionJointExplicit" : "ConfChangeTransitionAuto";
        const keep = changes.filter(({ node: id }) => id !== 1);
        const type = "EntryConfChangeV2";
        const cc = { transition, changes: keep, context: new Uint8Array() } as const;
        const confState = node.applyConfChange({ type, data: encodeConfChange(type, cc) });
        const ids = memberIds(fromConfState(confState));
        const { progress } = node.status();
        assert.deepEqual(
          progress.map(({ id }) => id),
          ids,
        );
        assert.deepEqual(
          progress.filter(({ isLearner }) => isLearner).map(({ id }) => id),
          confState.learners,
        );
        // A cluster of more than one cannot commit here, so the next change starts from what is in force.
        if (confState.votersOutgoing.length > 0) node.applyConfChange({ type, data: new Uint8Array() });
      }
    }),
    { numRuns: 500 },
  );
});
