/**
 * Frames as bytes and back: what is sent is what arrives, and no bytes at all get past the checks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { epoch, isCount, logIndex, nodeId, siteId, term, witnessId } from "../../../src/core/base/ids.js";
import type { AdminResponse, WriteRequest } from "../../../src/core/model/admin.js";
import { REFUSAL_CODES, type RefusalCode } from "../../../src/core/model/code.js";
import type { View } from "../../../src/core/model/observation.js";
import type { Entry, Message } from "../../../src/core/raft/types.js";
import type { PeerMessage } from "../../../src/core/witness/contract.js";
import { TEXT_LIMIT } from "../../../src/drivers/transport/fields.js";
import { FIELD_LIMIT } from "../../../src/drivers/transport/flood.js";
import {
  decodeAck,
  decodeFrame,
  encodeAck,
  encodeFrame,
  type Frame,
  peekFrame,
} from "../../../src/drivers/transport/wire.js";
import { CONTEXT_LIMIT, NODE_LIMIT, WIRE_MESSAGE_TYPES } from "../../../src/drivers/transport/wire-raft.js";
import type { SnapshotOffer, SnapshotStatus } from "../../../src/drivers/transport/wire-snapshot.js";
import { raftMessage } from "./helpers.js";

const count = fc.oneof(fc.maxSafeNat(), fc.nat(100), fc.constantFrom(0, 2 ** 32, Number.MAX_SAFE_INTEGER));
const share = fc.option(fc.double({ min: 0, max: 1, noNaN: true }));
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there.
const unfit = /[\u0000-\u001f\u007f-\u009f\ufffd\p{Surrogate}]/u;
const text = fc.string({ unit: "grapheme", maxLength: 60 }).filter((value) => !unfit.test(value));
const name = text.filter((value) => value !== "");
const data = (maxLength: number) => fc.uint8Array({ maxLength }).map((bytes) => new Uint8Array(bytes));

/** Entries that follow `index` in terms from `logTerm` up to `last`. */
function entriesAfter(index: number, logTerm: number, last: number): fc.Arbitrary<Entry[]> {
  const one = fc.record({
    rise: fc.nat(2),
    type: fc.constantFrom("EntryNormal", "EntryConfChange", "EntryConfChangeV2"),
    data: data(40),
  });
  return fc.array(one, { maxLength: 6 }).map((list) => {
    let at = logTerm;
    return list.map(({ rise, type, data }, i) => {
      at = Math.min(last, at + rise);
      return { term: term(at), index: logIndex(index + 1 + i), type, data } as Entry;
    });
  });
}

const raft: fc.Arbitrary<Message> = fc
  .record({
    type: fc.constantFrom(...WIRE_MESSAGE_TYPES),
    from: fc.integer({ min: 0, max: NODE_LIMIT }).map(nodeId),
    to: fc.integer({ min: 0, max: NODE_LIMIT }).map(nodeId),
    terms: fc.tuple(count, count).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const),
    index: fc.maxSafeNat().map((value) => logIndex(Math.max(0, value - 10))),
    commit: count.map(logIndex),
    reject: fc.boolean(),
    rejectHint: count.map(logIndex),
    context: data(CONTEXT_LIMIT),
    recovering: fc.boolean(),
  })
  .chain(({ terms: [logTerm, last], ...rest }) =>
    (rest.type === "MsgApp" || rest.type === "MsgProp"
      ? entriesAfter(rest.index, logTerm, last)
      : fc.constant([])
    ).map((entries) => ({
      ...raftMessage(rest.type, 0, 0),
      ...rest,
      logTerm: term(logTerm),
      term: term(last),
      entries,
    })),
  );

const view: fc.Arbitrary<View> = fc.record({
  witness: name.map(witnessId),
  life: count,
  seq: count,
  abstaining: fc.boolean(),
  observations: fc.array(
    fc.record({
      target: name,
      opinion: fc.constantFrom("up", "down", "unknown"),
      evidence: fc.record({
        kind: fc.constantFrom("ok", "definite", "ambiguous", "stall", "start"),
        text,
        count,
        falseAlarm: share,
        rttMs: fc.option(fc.double({ min: 0, max: 86_400_000, noNaN: true })),
        loss: share,
      }),
    }),
    { maxLength: 5 },
  ),
});

const peers = fc.array(name, { maxLength: 3 });
const unnamed: fc.Arbitrary<WriteRequest> = fc.oneof(
  fc.record({ kind: fc.constant("switchover"), group: text, to: text.map(siteId), by: text, reason: text }),
  fc.record({ kind: fc.constant("hold"), group: text, by: text, reason: text }),
  fc.record({ kind: fc.constant("resume"), group: text, by: text }),
  fc.record({ kind: fc.constant("transfer"), to: text.map(witnessId) }),
  fc.record({
    kind: fc.constant("member_add"),
    witness: text.map(witnessId),
    site: fc.option(text.map(siteId)),
    peers,
    admin: text,
    dns: fc.option(text),
    by: text,
  }),
  fc.record({ kind: fc.constant("member_promote"), witness: text.map(witnessId), by: text }),
  fc.record({
    kind: fc.constant("member_remove"),
    witness: text.map(witnessId),
    force: fc.boolean(),
    by: text,
  }),
  fc.record({
    kind: fc.constant("member_replace"),
    witness: text.map(witnessId),
    successor: fc.option(text.map(witnessId)),
    site: fc.option(text.map(siteId)),
    peers,
    admin: fc.option(text),
    dns: fc.option(text),
    force: fc.boolean(),
    by: text,
  }),
);
const write: fc.Arbitrary<WriteRequest> = fc.oneof(
  unnamed,
  fc.tuple(unnamed, name, count).map(([bare, id, sequence]) => ({ ...bare, session: { id, sequence } })),
);
const response: fc.Arbitrary<AdminResponse> = fc.oneof(
  fc.record({
    kind: fc.constant("accepted"),
    index: count.map(logIndex),
    epoch: fc.option(count.map(epoch)),
    message: text,
  }),
  fc.record({
    kind: fc.constant("refused"),
    code: fc.constantFrom(...(Object.keys(REFUSAL_CODES) as RefusalCode[])),
    message: text,
    leader: fc.option(name.map(witnessId)),
  }),
);

const message: fc.Arbitrary<PeerMessage> = fc.oneof(
  fc.record({ kind: fc.constant("raft"), message: raft }),
  fc.record({ kind: fc.constant("view"), view }),
  fc.record({ kind: fc.constant("forward"), request: name, term: count.map(term), write }),
  fc.record({ kind: fc.constant("forwarded"), request: name, response }),
  fc.record({
    kind: fc.constant("refused"),
    code: fc.constantFrom("other_disk", "no_member"),
    message: text,
  }),
);
const members = fc
  .uniqueArray(fc.integer({ min: 1, max: NODE_LIMIT }), { maxLength: 5 })
  .map((ids) => ids.sort((a, b) => a - b).map(nodeId));
const offer: fc.Arbitrary<SnapshotOffer> = fc
  .record({
    transfer: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    from: fc.integer({ min: 1, max: NODE_LIMIT }).map(nodeId),
    index: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(logIndex),
    terms: fc.tuple(count, count).map(([a, b]) => [Math.min(a, b) || 1, Math.max(a, b, 1)] as const),
    voters: members.filter((ids) => ids.length > 0),
    learners: members,
    votersOutgoing: members,
    learnersNext: members,
    autoLeave: fc.boolean(),
  })
  .map(({ transfer, from, index, terms, ...confState }) => ({
    transfer,
    message: {
      ...raftMessage("MsgSnap", from, 2, { term: term(terms[1]) }),
      snapshot: { index, term: term(terms[0]), confState, data: null },
    },
  }));
const place = { life: count, transfer: count };
const status: fc.Arbitrary<SnapshotStatus> = fc.oneof(
  fc.record({ ...place, state: fc.constant("receiving"), offset: count }),
  fc.record({ ...place, state: fc.constantFrom("unknown", "done") }),
  fc.record({
    ...place,
    state: fc.constant("refused"),
    reason: fc.constantFrom("snapshot_checksum", "snapshot_too_large", "snapshot_undecodable"),
    message: text,
  }),
);
const sentMs = fc.double({ min: 0, max: Number.MAX_SAFE_INTEGER, noNaN: true });
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    sentMs,
    body: fc.record({ kind: fc.constant("message"), message }),
  }),
  fc.record({
    seq: fc.constant(0),
    sentMs,
    body: fc.record({
      kind: fc.constant("hello"),
      hello: fc.record({
        protocol: fc.integer({ min: 2, max: 9 }),
        cluster: name,
        from: name,
        to: name,
        life: count,
        disk: name,
      }),
    }),
  }),
  fc.record({ seq: fc.constant(0), sentMs, body: fc.record({ kind: fc.constant("ping") }) }),
  fc.record({
    seq: fc.constant(0),
    sentMs,
    body: fc.record({
      kind: fc.constant("chunk"),
      chunk: fc.record({
        transfer: count,
        offset: fc.nat(),
        data: fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => new Uint8Array(bytes)),
        checksum: fc.nat(0xffff_ffff),
        digest: fc.option(
          fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => new Uint8Array(bytes)),
        ),
      }),
    }),
  }),
  fc.record({
    seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    sentMs,
    body: fc.oneof(
      fc.record({ kind: fc.constant("offer"), offer }),
      fc.record({ kind: fc.constant("status"), status }),
    ),
  }),
);

/** fast-check's -0 is 0 on the wire and in every comparison that matters. */
const positiveZero = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, inner) => (inner instanceof Uint8Array ? [...inner] : inner)));

test("number and time of a frame are seen without decoding it, and never beyond its end", () => {
  fc.assert(
    fc.property(frame, fc.nat(30), (sent, cut) => {
      const bytes = encodeFrame(sent);
      const head = peekFrame(bytes);
      if (sent.seq > 0 && sent.seq < 2 ** 49) assert.ok(head !== null);
      if (head !== null) assert.deepEqual(head, { seq: sent.seq, sentMs: sent.sentMs });
      const short = peekFrame(bytes.subarray(0, cut));
      if (short !== null) assert.deepEqual(short, head);
    }),
    { numRuns: 500 },
  );
});

test("every message that can be sent arrives as it was", () => {
  fc.assert(
    fc.property(frame, (sent) => {
      const got = decodeFrame(encodeFrame(sent));
      assert.equal(got.kind, "ok", JSON.stringify(got));
      if (got.kind === "ok") assert.deepEqual(positiveZero(got.value), positiveZero(sent));
    }),
    { numRuns: 500 },
  );
});

test("mutated bytes never throw and never yield a number out of range, an unknown word or broken order", () => {
  const mutation = fc.record({
    at: fc.nat(),
    byte: fc.nat(255),
    how: fc.constantFrom("replace", "replace", "replace", "insert", "insert", "cut"),
  });
  fc.assert(
    fc.property(frame, fc.array(mutation, { minLength: 1, maxLength: 6 }), (sent, mutations) => {
      let bytes = [...encodeFrame(sent)];
      for (const { at, byte, how } of mutations) {
        const place = at % (bytes.length + 1);
        if (how === "cut") bytes = bytes.slice(0, place);
        else bytes.splice(place, how === "insert" ? 0 : 1, byte);
      }
      const got = decodeFrame(Uint8Array.from(bytes));
      if (got.kind === "ok") checkFrame(got.value);
    }),
    { numRuns: 5000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const got = decodeFrame(bytes);
      if (got.kind === "ok") checkFrame(got.value);
      decodeAck(bytes);
    }),
    { numRuns: 2000 },
  );
});

/** A field of a protobuf message that is one number: tag and varint. */
const varintField = (field: number, value: bigint): number[] => {
  const bytes: number[] = [];
  for (let rest of [BigInt(field) << 3n, value]) {
    for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
    bytes.push(Number(rest));
  }
  return bytes;
};

test("of mutated messages those survive, and only those, whose new number is in range", () => {
  // Protobuf takes the last value of a field that stands twice: a number written behind the body replaces the
  // honest one, and nothing else is touched. So it is known which mutations must survive, whatever is drawn.
  const unsigned = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: 0n, max: 1000n }),
    fc.constantFrom(2n ** 53n - 1n, 2n ** 53n, 10n ** 16n - 1n, 2n ** 63n, 2n ** 64n - 1n),
  );
  const isSafe = (value: bigint): boolean => value <= BigInt(Number.MAX_SAFE_INTEGER);
  fc.assert(
    fc.property(raft, unsigned, unsigned, (honest, seq, newTerm) => {
      const sent = { ...honest, entries: [] };
      const body = encodeRaftBytes({ ...sent, type: "MsgHeartbeat" }, varintField(4, newTerm));
      const got = decodeFrame(Uint8Array.from([...varintField(1, seq), ...body]));
      const mustSurvive = seq > 0n && isSafe(seq) && isSafe(newTerm);
      assert.equal(got.kind, mustSurvive ? "ok" : "refused", JSON.stringify(got));
      if (got.kind !== "ok") return;
      checkFrame(got.value);
      assert.deepEqual([got.value.seq, raftOf(got.value).term], [Number(seq), Number(newTerm)]);
      assert.deepEqual({ ...raftOf(got.value), term: sent.term }, { ...sent, type: "MsgHeartbeat" });
    }),
    { numRuns: 1000 },
  );
});

/** The raft field of a frame, with more bytes at the end of the message in it. */
function encodeRaftBytes(message: Message, more: readonly number[]): number[] {
  const frame = encodeFrame({
    seq: 1,
    sentMs: 0,
    body: { kind: "message", message: { kind: "raft", message } },
  });
  // Behind seq and sent_ms: tag, length, message.
  let at = frame.indexOf(0x2a) + 1;
  while ((frame[at] ?? 0) >= 128) at += 1;
  const inner = [...frame.subarray(at + 1), ...more];
  return [0x2a, ...varintField(0, BigInt(inner.length)).slice(1), ...inner];
}

/** The Raft message of a frame that must carry one. */
function raftOf({ body }: Frame): Message {
  assert.ok(body.kind === "message" && body.message.kind === "raft");
  return body.message.message;
}

/** Every value of an accepted frame is one that the types promise. */
function checkFrame({ seq, sentMs: at, body }: Frame): void {
  assert.ok(isCount(seq) && Number.isFinite(at) && at >= 0);
  if (body.kind === "offer") return checkOffer(body.offer);
  if (body.kind === "chunk") {
    const { offset, data, digest } = body.chunk;
    return assert.ok(
      isCount(offset + data.length) && data.length > 0 && (digest === null || digest.length === 32),
    );
  }
  if (body.kind === "status") return assert.ok(isCount(body.status.life) && isCount(body.status.transfer));
  if (body.kind !== "message") return;
  switch (body.message.kind) {
    case "raft":
      return checkRaft(body.message.message);
    case "view":
      return checkView(body.message.view);
    case "forward": {
      const { session, ...write } = body.message.write;
      assert.ok(body.message.request.length > 0 && isCount(body.message.term));
      if (session !== undefined) assert.ok(session.id.length > 0 && isCount(session.sequence));
      return checkStrings(write);
    }
    case "refused":
      assert.ok(["other_disk", "no_member"].includes(body.message.code));
      return checkStrings(body.message);
    case "forwarded": {
      const { response: answer } = body.message;
      assert.ok(answer.kind === "accepted" || answer.kind === "refused");
      if (answer.kind === "refused") assert.ok(Object.hasOwn(REFUSAL_CODES, answer.code));
      if (answer.kind === "accepted")
        assert.ok(isCount(answer.index) && (answer.epoch === null || isCount(answer.epoch)));
    }
  }
}

function checkOffer({ transfer, message }: SnapshotOffer): void {
  const { index, term: at, confState, data } = message.snapshot;
  assert.ok(transfer > 0 && isCount(transfer) && index > 0 && isCount(index) && at > 0 && at <= message.term);
  assert.equal(data, null);
  const { voters, learners, votersOutgoing, learnersNext } = confState;
  assert.ok(voters.length > 0);
  for (const ids of [voters, learners, votersOutgoing, learnersNext])
    for (const [i, id] of ids.entries()) assert.ok(isCount(id) && id <= NODE_LIMIT && id > (ids[i - 1] ?? 0));
}

function checkRaft(got: Message): void {
  assert.ok(WIRE_MESSAGE_TYPES.includes(got.type));
  for (const value of [got.term, got.logTerm, got.index, got.commit, got.rejectHint])
    assert.ok(isCount(value));
  for (const value of [got.from, got.to]) assert.ok(isCount(value) && value <= NODE_LIMIT);
  assert.ok(got.context instanceof Uint8Array && got.context.length <= CONTEXT_LIMIT);
  assert.equal(typeof got.reject, "boolean");
  assert.equal(typeof got.recovering, "boolean");
  for (const [i, entry] of got.entries.entries()) {
    assert.ok(isCount(entry.term) && isCount(entry.index) && entry.data instanceof Uint8Array);
    if (got.type === "MsgApp") assert.equal(entry.index, got.index + 1 + i);
  }
}

function checkView(got: View): void {
  assert.ok(isCount(got.life) && isCount(got.seq));
  for (const { target, opinion, evidence } of got.observations) {
    assert.ok(target.length > 0 && ["up", "down", "unknown"].includes(opinion));
    assert.ok(
      ["ok", "definite", "ambiguous", "stall", "start"].includes(evidence.kind) && isCount(evidence.count),
    );
    assert.ok(evidence.text.length <= TEXT_LIMIT);
    for (const part of [evidence.falseAlarm, evidence.loss])
      assert.ok(part === null || (part >= 0 && part <= 1));
    assert.ok(evidence.rttMs === null || (evidence.rttMs >= 0 && Number.isFinite(evidence.rttMs)));
  }
}

function checkStrings(value: object): void {
  for (const inner of Object.values(value).flat()) {
    if (typeof inner === "boolean" || inner === null) continue;
    assert.ok(typeof inner === "string" && inner.length <= TEXT_LIMIT);
  }
}

const heartbeatFrame = (more: Partial<Message>): Buffer =>
  encodeFrame({
    seq: 1,
    sentMs: 1,
    body: { kind: "message", message: { kind: "raft", message: raftMessage("MsgHeartbeat", 1, 2, more) } },
  });

/** The frame with `from` replaced by `to`, both hex, exactly once. */
function patched(bytes: Buffer, from: string, to: string): Buffer {
  const hex = bytes.toString("hex");
  assert.equal(hex.split(from).length, 2, `${from} in ${hex}`);
  return Buffer.from(hex.replace(from, to), "hex");
}

test("a term of 2^53 or 2^64 - 1 is refused, not rounded", () => {
  // Field 4 of the raft message, 2^53 - 1 as varint; one more is the first number that is not safe.
  const honest = heartbeatFrame({ term: term(Number.MAX_SAFE_INTEGER) });
  assert.equal(decodeFrame(honest).kind, "ok");
  const grown = decodeFrame(patched(honest, "20ffffffffffffff0f", "208080808080808010"));
  assert.deepEqual(grown, {
    kind: "refused",
    unreadable: false,
    reason: "field term is 9007199254740992, not an integer from 0 to 9007199254740991",
  });
  // Ten bytes instead of eight: the length of the raft message (field 5 of the frame) grows by two.
  const length = honest.length - honest.indexOf(Buffer.from("0801", "hex"), 11);
  const wider = Buffer.concat([
    honest.subarray(0, honest.length - length),
    Buffer.from(honest.subarray(honest.length - length)),
  ]);
  wider[wider.length - length - 1] = length + 2;
  const all = decodeFrame(patched(wider, "20ffffffffffffff0f", "20ffffffffffffffffff01"));
  assert.ok(all.kind === "refused" && all.reason.includes("18446744073709551615"), JSON.stringify(all));
});

test("an append whose entries leave a gap, or come from a later term, is refused", () => {
  const entry = (index: number, at: number): Entry => ({
    term: term(at),
    index: logIndex(index),
    type: "EntryNormal",
    data: new Uint8Array(0),
  });
  const append = (entries: Entry[]) =>
    decodeFrame(
      encodeFrame({
        seq: 1,
        sentMs: 1,
        body: {
          kind: "message",
          message: {
            kind: "raft",
            message: raftMessage("MsgApp", 1, 2, {
              term: term(5),
              index: logIndex(7),
              logTerm: term(3),
              entries,
            }),
          },
        },
      }),
    ).kind;
  assert.equal(append([entry(8, 3), entry(9, 5)]), "ok");
  assert.equal(append([entry(8, 3), entry(10, 5)]), "refused");
  assert.equal(append([entry(7, 3)]), "refused");
  assert.equal(append([entry(8, 6)]), "refused");
  assert.equal(append([entry(8, 4), entry(9, 3)]), "refused");
});

test("messages that belong to a member's own storage cannot be sent", () => {
  assert.throws(() => heartbeatFrame({ responses: [raftMessage("MsgAppResp", 1, 2)] }), /responses/);
  assert.throws(() => heartbeatFrame({ vote: nodeId(1) }), /vote/);
  for (const type of ["MsgStorageAppend", "MsgForgetLeader"] as const)
    assert.throws(() => heartbeatFrame({ type }), /no message between members/);
  assert.throws(() => heartbeatFrame({ commit: -1 as never }), /count/);
});

test("no text that an operator or a probed server comes up with makes the peer refuse the message", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 2 * TEXT_LIMIT, size: "max" }), (reason) => {
      const forward: PeerMessage = {
        kind: "forward",
        request: "r",
        term: term(1),
        write: { kind: "hold", group: reason, by: reason, reason },
      };
      const bytes = encodeFrame({ seq: 1, sentMs: 1, body: { kind: "message", message: forward } });
      assert.equal(decodeFrame(bytes).kind, "ok");
    }),
  );
});

test("four megabytes of empty entries are refused before they are unpacked into a gigabyte", () => {
  const entries = Buffer.alloc(4_000_000);
  for (let i = 0; i < entries.length; i += 2) entries[i] = 0x3a;
  const flood = Buffer.concat([Buffer.from("0801", "hex"), Buffer.from("2a8092f401", "hex"), entries]);
  const before = process.memoryUsage().heapUsed;
  const got = decodeFrame(flood);
  assert.ok(got.kind === "refused" && got.reason.includes("too many fields"), JSON.stringify(got));
  assert.ok(process.memoryUsage().heapUsed - before < 20_000_000);
  const full = raftMessage("MsgProp", 1, 2, {
    entries: Array.from({ length: FIELD_LIMIT / 2 }, () => ({
      term: term(1),
      index: logIndex(1),
      type: "EntryNormal" as const,
      data: new Uint8Array(4),
    })),
  });
  const honest = encodeFrame({
    seq: 1,
    sentMs: 1,
    body: { kind: "message", message: { kind: "raft", message: full } },
  });
  assert.equal(decodeFrame(honest).kind, "ok");
});

test("a snapshot offer that contradicts itself is refused", () => {
  const decoded = (more: object, snapshot: object = {}) => {
    const message = {
      ...raftMessage("MsgSnap", 1, 2, { term: term(5) }),
      snapshot: {
        index: logIndex(7),
        term: term(5),
        confState: {
          voters: [1, 2].map(nodeId),
          learners: [],
          votersOutgoing: [],
          learnersNext: [],
          autoLeave: false,
          ...more,
        },
        data: null,
        ...snapshot,
      },
    };
    return decodeFrame(
      encodeFrame({ seq: 1, sentMs: 1, body: { kind: "offer", offer: { transfer: 1, message } } }),
    ).kind;
  };
  assert.equal(decoded({}), "ok");
  assert.equal(decoded({}, { term: term(6) }), "refused", "it knows a term that its sender does not");
  assert.equal(decoded({}, { index: logIndex(0) }), "refused");
  assert.equal(decoded({ voters: [] }), "refused");
  assert.equal(decoded({ voters: [nodeId(2), nodeId(1)] }), "refused");
  assert.equal(decoded({ learners: [nodeId(2), nodeId(2)] }), "refused");
  assert.equal(decoded({ learners: [nodeId(0)] }), "refused");
  assert.equal(decoded({ learners: [nodeId(NODE_LIMIT + 1)] }), "refused");
  const many = Array.from({ length: 5000 }, (_, i) => nodeId(i + 1));
  assert.equal(decoded({ voters: many }), "refused");
  const snap = { ...raftMessage("MsgSnap", 1, 2) };
  const bare = (message: Message) =>
    encodeFrame({ seq: 1, sentMs: 1, body: { kind: "message", message: { kind: "raft", message } } });
  assert.equal(decodeFrame(bare(snap)).kind, "refused", "a MsgSnap without a snapshot");
  const full = { index: logIndex(1), term: term(1), confState: null as never, data: null };
  assert.throws(() => bare({ ...snap, snapshot: full }), /travels in chunks/);
});

test("acknowledgements survive the trip", () => {
  assert.deepEqual(decodeAck(encodeAck({ frames: 7, heldMs: 1.5 })), {
    kind: "ok",
    value: { frames: 7, heldMs: 1.5 },
  });
});
