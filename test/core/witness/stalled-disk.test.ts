/**
 * A disk that is slow with a whole state is no stalled disk; one that is slow with what follows it is.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, NO_NODE, nodeId, term, witnessId } from "../../../src/core/base/ids.js";
import { EMPTY_STATE } from "../../../src/core/model/state.js";
import { message } from "../../../src/core/raft/raft.js";
import type { Effect } from "../../../src/core/witness/contract.js";
import { Replica } from "../../../src/core/witness/replica.js";

const ELECTION_TICK = 10;
const [A, B, C] = [nodeId(1), nodeId(2), nodeId(3)];
const fromLeader = { from: A, to: C, term: term(2) };

function blank(): Replica {
  const document = ["w-a", "w-b", "w-c"].map((id) => witnessId(id));
  return new Replica(
    {
      self: witnessId("w-c"),
      document,
      electionTick: ELECTION_TICK,
      heartbeatTick: 1,
      seed: 1,
      snapshotBytes: 1e6,
      keepEntries: 10,
    },
    {
      kind: "restored",
      monoMs: 0,
      hardState: { term: term(0), vote: NO_NODE, commit: logIndex(0) },
      base: { index: logIndex(0), term: term(0) },
      entries: [],
      snapshot: null,
      adopted: null,
      disk: "disk",
      recovering: null,
    },
  );
}

/** The writes that were handed out. */
function writes(replica: Replica): Extract<Effect, { kind: "persist" }>[] {
  return replica.drain().effects.filter((effect) => effect.kind === "persist");
}

/** Time passes, in which the leader is heard. */
function pass(replica: Replica, ticks: number): void {
  for (let i = 0; i < ticks; i++) {
    replica.onMessage(message({ type: "MsgHeartbeat", ...fromLeader }));
    replica.tick();
    replica.drain();
  }
}

test("appends that wait behind a received state are not held against the disk before that is written", () => {
  const replica = blank();
  const index = logIndex(100);
  const data = { ...EMPTY_STATE, appliedIndex: index, appliedTerm: term(2) };
  const confState = {
    voters: [A, B, C],
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  const snapshot = { index, term: term(2), confState, data };
  replica.onMessage(message({ type: "MsgSnap", ...fromLeader, snapshot }));
  const state = writes(replica).find((write) => write.snapshot !== null);
  assert.ok(state, "the state is to be written");
  const entry = {
    index: logIndex(101),
    term: term(2),
    type: "EntryNormal" as const,
    data: new Uint8Array(1),
  };
  const place = { index, logTerm: term(2), commit: index };
  replica.onMessage(message({ type: "MsgApp", ...fromLeader, ...place, entries: [entry] }));
  const [behind] = writes(replica);
  assert.equal(behind?.entries.length, 1);

  pass(replica, 3 * ELECTION_TICK);
  assert.equal(replica.storageStalledTicks, null);
  for (let write = 1; write <= state.write; write++) replica.onPersisted(write);
  pass(replica, ELECTION_TICK);
  assert.equal(replica.storageStalledTicks, null, "its time begins when the state is written");
  pass(replica, 2);
  assert.notEqual(replica.storageStalledTicks, null);
  replica.onPersisted(behind?.write ?? 0);
});
