/** Whatever arrives, a member neither throws nor breaks its own invariants (each call asserts them). */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { logIndex, nodeId, term } from "../../../src/core/base/ids.js";
import {
  type Entry,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  message,
} from "../../../src/core/raft/raft.js";
import { Cluster } from "./cluster.js";

const TYPES: readonly Message["type"][] = [
  "MsgApp",
  "MsgAppResp",
  "MsgVote",
  "MsgVoteResp",
  "MsgPreVote",
  "MsgPreVoteResp",
  "MsgHeartbeat",
  "MsgHeartbeatResp",
  "MsgSnap",
  "MsgTimeoutNow",
  "MsgTransferLeader",
  "MsgReadIndex",
  "MsgReadIndexResp",
  "MsgForgetLeader",
  "MsgProp",
  "MsgStorageAppend",
  "MsgStorageAppendResp",
  "MsgStorageApply",
  "MsgStorageApplyResp",
];
const odd = fc.constantFrom(-1, 0.5, Number.NaN, 2 ** 60, Number.MAX_SAFE_INTEGER);
const small = fc.oneof({ weight: 30, arbitrary: fc.nat(6) }, { weight: 1, arbitrary: odd });
const members = fc.oneof(
  { weight: 20, arbitrary: fc.nat(4).map((id) => nodeId(id)) },
  { weight: 1, arbitrary: fc.constantFrom(LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD) },
);
const entries = fc.array(
  fc.record({
    type: fc.constantFrom<Entry["type"]>("EntryNormal", "EntryConfChangeV2"),
    term: small.map((n) => n as Entry["term"]),
    index: small.map((n) => n as Entry["index"]),
    data: fc.uint8Array({ maxLength: 3 }),
  }),
  { maxLength: 3 },
);
/** Mostly entries that follow the message's index, else few would pass the border. */
const messages = fc
  .record({
    type: fc.constantFrom(...TYPES),
    from: members,
    to: fc.oneof({ weight: 20, arbitrary: fc.constant(nodeId(1)) }, { weight: 1, arbitrary: members }),
    term: small.map((n) => n as Message["term"]),
    logTerm: small.map((n) => n as Message["logTerm"]),
    index: small.map((n) => n as Message["index"]),
    commit: small.map((n) => n as Message["commit"]),
    rejectHint: small.map((n) => n as Message["rejectHint"]),
    reject: fc.boolean(),
    recovering: fc.boolean(),
    context: fc.uint8Array({ maxLength: 9 }),
    entries,
    inOrder: fc.boolean(),
  })
  .map(({ inOrder, ...m }) =>
    message(
      inOrder
        ? {
            ...m,
            entries: m.entries.map((e, i) => ({
              ...e,
              index: (m.index + 1 + i) as Entry["index"],
              term: m.term,
            })),
          }
        : m,
    ),
  );

test("no message at all makes a member throw, in any role", () => {
  const steps = fc.array(
    fc.oneof({ weight: 6, arbitrary: messages }, { weight: 1, arbitrary: fc.constantFrom("tick", "work") }),
    {
      maxLength: 60,
      size: "max",
    },
  );
  fc.assert(
    fc.property(
      fc.constantFrom(1, 2, 3),
      fc.boolean(),
      fc.boolean(),
      steps,
      (leader, preVote, checkQuorum, list) => {
        const cluster = new Cluster(3, { preVote, checkQuorum, electionTick: 3 });
        cluster.campaign(leader);
        cluster.propose(leader, "a");
        cluster.settle();
        for (const item of list) {
          if (item === "tick") cluster.tick(1, 1);
          else if (item === "work") {
            cluster.takeReady(1);
            cluster.writeOne(1);
            cluster.applyOne(1);
          } else cluster.node(1).step(item);
        }
      },
    ),
    { seed: 5, numRuns: 1500, includeErrorInReport: true },
  );
});

test("each way of being wrong has its name", () => {
  const node = new Cluster(3).node(1);
  const m = (fields: Partial<Message> & Pick<Message, "type">) =>
    node.step(message({ from: nodeId(2), to: nodeId(1), ...fields }));
  assert.equal(m({ type: "MsgHeartbeat", term: term(1), to: nodeId(3) }), "foreign");
  assert.equal(m({ type: "MsgHeartbeat", term: term(1), from: nodeId(1) }), "foreign");
  assert.equal(m({ type: "MsgHeartbeat" }), "malformed");
  assert.equal(m({ type: "MsgHeartbeat", term: (2 ** 50) as Message["term"] }), "malformed");
  assert.equal(m({ type: "MsgVoteResp", term: term(1), from: nodeId(7) }), "peer_not_found");
  assert.equal(m({ type: "MsgStorageAppendResp", term: term(1), index: logIndex(1) }), "stray_local_message");
  assert.equal(m({ type: "MsgProp", entries: [] }), "malformed");
  const entry: Entry = { type: "EntryNormal", term: term(0), index: logIndex(0), data: new Uint8Array(1) };
  assert.equal(m({ type: "MsgProp", entries: [entry] }), "proposal_dropped");
  const gap = [{ ...entry, term: term(1), index: logIndex(2) }];
  assert.equal(m({ type: "MsgApp", term: term(1), entries: gap }), "malformed");
  assert.equal(node.status().anomalyCount, 4);
});

test("a log whose end is missing is not started in silence", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.settle();
  cluster.crash(2);
  cluster.host(2).disk.entries.splice(1);
  assert.throws(() => cluster.restart(2), /storage did not say so/);
});

test("ready cannot be called twice without advance, nor advance with another Ready", () => {
  const cluster = new Cluster(1, { asyncStorageWrites: false });
  const node = cluster.node(1);
  node.campaign();
  const ready = node.ready();
  assert.throws(() => node.ready(), /without advance/);
  assert.throws(() => node.advance({ ...ready }), /last Ready/);
  node.advance(ready);
});

test("equal seeds and inputs give equal outputs", () => {
  const trace = () => {
    const cluster = new Cluster(5, { preVote: true, checkQuorum: true, seed: 77 });
    const sent: string[] = [];
    cluster.onSend = (m) => sent.push(JSON.stringify(m));
    for (let i = 0; i < 200; i++) {
      for (const { id } of cluster.hosts) cluster.tick(id, 1);
      cluster.propose(1 + (i % 5), `${i}`);
      cluster.settle((m) => (m.from * 7 + m.to * 3 + i) % 11 !== 0);
    }
    return sent;
  };
  const first = trace();
  assert.ok(first.length > 1000);
  assert.deepEqual(trace(), first);
});
