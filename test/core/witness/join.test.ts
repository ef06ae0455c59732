/**
 * Joined messages mean what the separate ones meant, and nothing is joined that does not belong together.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, nodeId, term } from "../../../src/core/base/ids.js";
import { message } from "../../../src/core/raft/raft.js";
import type { Entry, Message } from "../../../src/core/raft/types.js";
import { joinAcknowledgements, joinAppends } from "../../../src/core/witness/join.js";

const [A, B, C] = [nodeId(1), nodeId(2), nodeId(3)];

function entry(index: number, inTerm = 2, bytes = 10): Entry {
  return { index: logIndex(index), term: term(inTerm), type: "EntryNormal", data: new Uint8Array(bytes) };
}

/** An append to `to` after `index` of term 2. */
function append(to: typeof A, index: number, entries: readonly Entry[], commit = 0): Message {
  const place = { index: logIndex(index), logTerm: term(2), commit: logIndex(commit) };
  return message({ type: "MsgApp", from: A, to, term: term(2), ...place, entries });
}

function ack(to: typeof A, index: number, fields: Partial<Message> = {}): Message {
  return message({ type: "MsgAppResp", from: B, to, term: term(2), index: logIndex(index), ...fields });
}

test("appends that continue one another are one append for each peer, with the newest commit", () => {
  const joined = joinAppends(
    [
      append(B, 5, [entry(6)], 4),
      append(C, 5, [entry(6)], 4),
      append(B, 6, [entry(7), entry(8)], 5),
      append(C, 6, [entry(7), entry(8)], 5),
      append(B, 8, [], 6),
    ],
    1000,
  );
  assert.deepEqual(joined, [
    append(B, 5, [entry(6), entry(7), entry(8)], 6),
    append(C, 5, [entry(6), entry(7), entry(8)], 5),
  ]);
});

test("appends with a gap, of another term, too large together, or parted by another message stay apart", () => {
  const heartbeat = message({ type: "MsgHeartbeat", from: A, to: B, term: term(2) });
  for (const apart of [
    [append(B, 5, [entry(6)]), append(B, 7, [entry(8)])],
    [append(B, 5, [entry(6, 1)]), append(B, 6, [entry(7)])],
    [append(B, 5, [entry(6)]), { ...append(B, 6, [entry(7)]), term: term(3) }],
    [append(B, 5, [entry(6, 2, 600)]), append(B, 6, [entry(7, 2, 600)])],
    [append(B, 5, [entry(6)]), heartbeat, append(B, 6, [entry(7)])],
  ]) {
    assert.deepEqual(joinAppends(apart, 1000), apart);
  }
});

test("of acknowledgements to one member the highest speaks for all, and a rejection is never swallowed", () => {
  assert.deepEqual(joinAcknowledgements([ack(A, 3), ack(C, 3), ack(A, 4), ack(A, 6)]), [
    ack(A, 6),
    ack(C, 3),
  ]);
  for (const apart of [
    [ack(A, 6), ack(A, 4)],
    [ack(A, 3), ack(A, 4, { reject: true })],
    [ack(A, 3, { reject: true }), ack(A, 4)],
    [ack(A, 3, { recovering: true }), ack(A, 4)],
    [ack(A, 3), ack(A, 4, { term: term(3) })],
  ]) {
    assert.deepEqual(joinAcknowledgements(apart), apart);
  }
});
