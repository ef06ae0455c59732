/**
 * The two ends of a snapshot transfer without sockets: whatever a network may do to what is between them, and
 * whatever somebody may send who speaks the protocol and means harm.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c } from "../../../src/core/base/crc32c.js";
import { witnessId } from "../../../src/core/base/ids.js";
import type { State } from "../../../src/core/model/state.js";
import type { Message } from "../../../src/core/raft/types.js";
import { IncomingSnapshots } from "../../../src/drivers/transport/snapshot-in.js";
import { OutgoingSnapshot } from "../../../src/drivers/transport/snapshot-out.js";
import { type StateChunk, StateWriter } from "../../../src/drivers/transport/state-stream.js";
import type { OfferMessage, SnapshotStatus } from "../../../src/drivers/transport/wire-snapshot.js";
import { diskOf, MemoryLog, sleep } from "./helpers.js";
import { fingerprint, snapMessage, stateOf } from "./snapshots.js";

const CHUNK_BYTES = 200;
const ORIGIN = { from: witnessId("w1"), life: 5, disk: diskOf(1) };
const STATE = stateOf(7, 60, 40);
/** Choices that, repeated for ever, let nothing through. */
const UNFAIR = [
  0, 7031, 0, 6509, 0, 0, 0, 1497, 9316, 1, 0, 3270, 0, 439, 9076, 565, 0, 0, 0, 0, 0, 0, 0, 4111, 0, 0, 0, 0,
  4051, 1706, 1369, 0, 506, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/** A receiver, and what it said and handed over. */
function receiver(more: { limitBytes?: number; nowMs?: () => number } = {}) {
  const answers: SnapshotStatus[] = [];
  const got: Message[] = [];
  const log = new MemoryLog();
  const incoming = new IncomingSnapshots({
    limitBytes: 1_000_000,
    ageMs: 10_000,
    nowMs: () => 0,
    log,
    answer: (_, status) => answers.push(status),
    onSnapshot: (message) => got.push(message),
    ...more,
  });
  const offer = (transfer: number, message: OfferMessage, origin = ORIGIN): SnapshotStatus | undefined => {
    const bare = { ...message, snapshot: { ...message.snapshot, data: null } };
    incoming.onOffer(origin, { transfer, message: bare });
    return answers.at(-1);
  };
  const chunk = (transfer: number, one: StateChunk, origin = ORIGIN): SnapshotStatus | undefined => {
    incoming.onChunk(origin, { ...one, transfer });
    return answers.at(-1);
  };
  return { incoming, answers, got, log, offer, chunk };
}

function chunksOf(state: State, chunkBytes = CHUNK_BYTES): StateChunk[] {
  const writer = new StateWriter(state, chunkBytes);
  const chunks: StateChunk[] = [];
  for (let one = writer.next(); one !== null; one = writer.next()) chunks.push(one);
  return chunks;
}

const handed = (messages: readonly Message[]) =>
  messages.map(({ snapshot }) => fingerprint(snapshot?.data as State));

test("whatever is doubled, reordered or lost, and however often the receiver restarts, it ends whole and once", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9999), { minLength: 50, maxLength: 400 }), (choices) => {
      let at = 0;
      let step = 0;
      // The choices repeat, and might never let one thing through: after a while the network is fair and loses nothing.
      const isFair = (): boolean => step > 3000;
      const choose = (below: number): number =>
        (isFair() ? at++ : (choices[at++ % choices.length] ?? 0)) % below;
      let nowMs = 0;
      let life = 1;
      let seq = 0;
      let ends = 0;
      let restarts = 0;
      let wanted = false;
      const wire: (() => void)[] = [];
      /** Frames on their way, with what takes each to the receiver of that life. */
      const frames = new Map<Buffer, () => void>();
      const message = snapMessage(STATE);
      const start = () => receiver({ nowMs: () => nowMs });
      let b = start();
      const answered = { count: 0 };
      const out: OutgoingSnapshot = new OutgoingSnapshot({
        message,
        transfer: 3,
        chunkBytes: CHUNK_BYTES,
        retryMs: 500,
        patienceMs: 1_000_000,
        nowMs: () => nowMs,
        offer: () => wire.push(() => void b.offer(3, message)),
        onWritable: () => {
          wanted = true;
        },
        onEnd: (failure) => {
          assert.equal(failure, null);
          ends += 1;
        },
      });
      const carryAnswers = (): void => {
        for (; answered.count < b.answers.length; answered.count++) {
          const status = b.answers[answered.count] as SnapshotStatus;
          const [from, number] = [life, ++seq];
          wire.push(() => out.onStatus(from, number, status));
        }
      };
      const write = (): void => {
        const chunk = out.peek();
        if (chunk === null) return;
        const frame = Buffer.alloc(1);
        out.written(chunk, frame);
        frames.set(frame, () => void b.chunk(3, chunk));
      };
      for (; ends === 0; step++) {
        assert.ok(step < 50_000, "it comes to an end");
        carryAnswers();
        const action = isFair() ? ([0, 6, 11, 18][step % 4] as number) : choose(20);
        if (action < 6 || wanted) {
          wanted = false;
          write();
        } else if (action < 11 && frames.size > 0) {
          const [frame, deliver] = [...frames][choose(frames.size)] as [Buffer, () => void];
          deliver();
          if (isFair() || choose(4) > 0) frames.delete(frame);
        } else if (action < 16 && wire.length > 0) {
          const place = choose(wire.length);
          const deliver = wire[place] as () => void;
          if (isFair() || choose(4) > 0) wire.splice(place, 1);
          if (isFair() || choose(5) > 0) deliver();
        } else if (action === 16) {
          // A connection is lost, and with it a share of what was on its way.
          const lost = new Set([...frames.keys()].filter(() => choose(3) === 0));
          for (const frame of lost) frames.delete(frame);
          out.onLost(lost);
        } else if (action === 17 && restarts < 3 && b.got.length === 0 && step > 50) {
          restarts += 1;
          life += 1;
          seq = 0;
          const lost = new Set(frames.keys());
          frames.clear();
          b = start();
          answered.count = 0;
          out.onLost(lost);
        } else {
          nowMs += 100;
          out.sweep(nowMs);
        }
      }
      assert.equal(ends, 1);
      assert.deepEqual(handed(b.got), [fingerprint(STATE)]);
    }),
    { numRuns: 200, examples: [[UNFAIR]] },
  );
});

test("the sender holds a few chunks at most, however slow the receiver is", () => {
  const message = snapMessage(STATE);
  const out = new OutgoingSnapshot({
    message,
    transfer: 1,
    chunkBytes: CHUNK_BYTES,
    retryMs: 500,
    patienceMs: 10_000,
    nowMs: () => 0,
    offer: () => undefined,
    onWritable: () => undefined,
    onEnd: () => assert.fail("it is not over"),
  });
  assert.equal(out.peek(), null, "nothing before the receiver has said where it is");
  const writeAll = (): number => {
    let count = 0;
    for (let one = out.peek(); one !== null; one = out.peek(), count++) out.written(one, Buffer.alloc(1));
    return count;
  };
  out.onStatus(9, 1, { life: 5, transfer: 1, state: "receiving", offset: 0 });
  assert.equal(writeAll(), 8);
  out.onStatus(9, 2, { life: 5, transfer: 1, state: "receiving", offset: 3 * CHUNK_BYTES });
  assert.equal(writeAll(), 3);
  out.onStatus(9, 1, { life: 5, transfer: 1, state: "receiving", offset: 0 });
  assert.equal(writeAll(), 0, "an answer that was overtaken says nothing");
  assert.deepEqual(out.progress, {
    index: 7,
    sentBytes: 11 * CHUNK_BYTES,
    confirmedBytes: 3 * CHUNK_BYTES,
    totalBytes: null,
  });
});

test("a receiver that kept nearly all of it is not sent that part again", async () => {
  const state = stateOf(7, 400, 100);
  const chunks = chunksOf(state);
  const offset = (chunks.length - 2) * CHUNK_BYTES;
  const sent: number[] = [];
  const out: OutgoingSnapshot = new OutgoingSnapshot({
    message: snapMessage(state),
    transfer: 1,
    chunkBytes: CHUNK_BYTES,
    retryMs: 500,
    patienceMs: 10_000,
    nowMs: () => 0,
    offer: () => undefined,
    onWritable: () => {
      for (let one = out.peek(); one !== null; one = out.peek()) {
        out.written(one, Buffer.alloc(1));
        sent.push(one.offset);
      }
    },
    onEnd: () => assert.fail("it is not over"),
  });
  out.onStatus(9, 1, { life: 5, transfer: 1, state: "receiving", offset });
  while (out.progress.totalBytes === null) await sleep(1);
  assert.deepEqual(sent, [offset, offset + CHUNK_BYTES]);
});

test("a chunk opens nothing: it is asked for an offer first", () => {
  const { offer, chunk, got } = receiver();
  const chunks = chunksOf(STATE);
  for (const one of chunks) assert.deepEqual(chunk(1, one), { life: 5, transfer: 1, state: "unknown" });
  assert.deepEqual(offer(1, snapMessage(STATE)), { life: 5, transfer: 1, state: "receiving", offset: 0 });
  for (const one of [...chunks].reverse()) chunk(1, one);
  for (const one of chunks) chunk(1, one);
  assert.deepEqual(handed(got), [fingerprint(STATE)]);
});

test("stragglers of a transfer that ended hand nothing over again; the same snapshot, sent anew, does", () => {
  const { offer, chunk, got } = receiver();
  const chunks = chunksOf(STATE);
  offer(4, snapMessage(STATE));
  for (const one of chunks) chunk(4, one);
  assert.equal(got.length, 1);
  const done = { life: 5, transfer: 4, state: "done" };
  assert.deepEqual(offer(4, snapMessage(STATE)), done);
  for (const one of chunks) assert.deepEqual(chunk(4, one), done);
  offer(3, snapMessage(STATE));
  for (const one of chunks) chunk(3, one);
  assert.equal(got.length, 1);
  assert.deepEqual(offer(5, snapMessage(STATE)), { life: 5, transfer: 5, state: "receiving", offset: 0 });
  for (const one of chunks) chunk(5, one);
  assert.equal(got.length, 2, "whether the core took the first one is not known here");
});

test("what was partly here is kept for the same snapshot of the same life only", () => {
  const { offer, chunk, log } = receiver();
  const chunks = chunksOf(STATE);
  const half = chunks.slice(0, 5);
  const begin = (): void => {
    for (const one of half) chunk(1, one);
  };
  const at = (status: SnapshotStatus | undefined): number =>
    status?.state === "receiving" ? status.offset : -1;
  offer(1, snapMessage(STATE));
  begin();
  assert.equal(at(offer(2, snapMessage(STATE))), 5 * CHUNK_BYTES, "another transfer of it");
  assert.equal(at(offer(3, snapMessage(STATE, 2))), 0, "of a later term");
  for (const one of half) chunk(3, one);
  assert.equal(at(offer(1, snapMessage(STATE, 2), { ...ORIGIN, life: 6 })), 0, "of another life");
  for (const one of half) chunk(1, one, { ...ORIGIN, life: 6 });
  const last = at(offer(2, snapMessage(stateOf(8, 1, 1), 2), { ...ORIGIN, life: 6 }));
  assert.equal(last, 0, "of another index");
  assert.equal(log.lines.filter(({ message }) => message.includes("dropped")).length, 3);
});

test("a snapshot of a later term ends those of deposed leaders, and an old life's offer none", () => {
  const { offer, chunk, answers } = receiver();
  const [first] = chunksOf(STATE) as [StateChunk];
  const other = { from: witnessId("w3"), life: 9, disk: diskOf(3) };
  offer(1, snapMessage(STATE, 3));
  chunk(1, first);
  offer(1, snapMessage(STATE, 4), other);
  assert.deepEqual(chunk(1, first), { life: 5, transfer: 1, state: "unknown" });
  assert.deepEqual(chunk(1, first, other), { life: 9, transfer: 1, state: "receiving", offset: CHUNK_BYTES });
  const count = answers.length;
  offer(1, snapMessage(STATE, 3), { ...other, life: 8 });
  assert.equal(answers.length, count, "it is not even answered");
});

test("what brings nothing for long is forgotten", () => {
  let nowMs = 0;
  const { incoming, offer, chunk } = receiver({ nowMs: () => nowMs });
  const [first, second] = chunksOf(STATE) as [StateChunk, StateChunk];
  offer(1, snapMessage(STATE));
  nowMs = 9000;
  chunk(1, first);
  nowMs = 18_000;
  incoming.sweep(nowMs);
  assert.equal(chunk(1, second)?.state, "receiving");
  nowMs = 30_000;
  incoming.sweep(nowMs);
  assert.equal(chunk(1, second)?.state, "unknown");
});

test("each flipped bit of a chunk is found, and the transfer is refused", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(7), fc.nat(), (place, bit, which) => {
      const { offer, chunk, got } = receiver();
      const chunks = chunksOf(STATE);
      offer(1, snapMessage(STATE));
      const bad = which % chunks.length;
      for (const [i, one] of chunks.entries()) {
        const data = Uint8Array.from(one.data);
        const at = place % data.length;
        if (i === bad) data[at] = (data[at] ?? 0) ^ (1 << bit);
        const answer = chunk(1, { ...one, data });
        if (i < bad) continue;
        assert.ok(answer?.state === "refused" && answer.reason === "snapshot_checksum");
      }
      assert.deepEqual(got, []);
    }),
  );
});

test("chunks that are right one by one and wrong together are refused", () => {
  const { offer, chunk, got } = receiver();
  const other = chunksOf(stateOf(7, 60, 41));
  offer(1, snapMessage(STATE));
  const mixed = chunksOf(STATE).map((one, i) => (i === 10 ? (other[i] as StateChunk) : one));
  const answers = mixed.map((one) => chunk(1, one));
  const last = answers.at(-1);
  assert.ok(last?.state === "refused" && /checksum|undecodable/.test(last.reason), JSON.stringify(last));
  assert.deepEqual(got, []);
});

/** A chunk of those bytes with everything right about it. */
function forged(offset: number, data: Uint8Array, digest: Uint8Array | null = null): StateChunk {
  return { offset, data, checksum: crc32c(data), digest };
}

test("hostile sizes, gaps, parts and endings cost little and come to nothing", () => {
  const refusal = (status: SnapshotStatus | undefined) =>
    status?.state === "refused" ? status.reason : status?.state;
  const begun = (limitBytes = 10_000) => {
    const one = receiver({ limitBytes });
    one.offer(1, snapMessage(STATE));
    return one;
  };
  assert.equal(refusal(begun().chunk(1, forged(9_999, new Uint8Array(2)))), "snapshot_too_large");
  const far = Number.MAX_SAFE_INTEGER - 300_000;
  assert.equal(refusal(begun().chunk(1, forged(far, new Uint8Array(2)))), "snapshot_too_large");

  const endless = begun();
  const huge = new Uint8Array(1000).fill(0xff);
  for (let offset = 0; offset < 10_000; offset += 1000)
    assert.equal(
      endless.chunk(1, forged(offset, huge))?.state,
      "receiving",
      "a part of 4 GB is only waited for",
    );
  assert.equal(refusal(endless.chunk(1, forged(10_000, huge))), "snapshot_too_large");

  const gaps = begun(1_000_000_000);
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 1; i < 2000; i++) gaps.chunk(1, forged(i * 100_000, new Uint8Array(50_000)));
  const grownMb = (process.memoryUsage().arrayBuffers - before) / 2 ** 20;
  assert.ok(grownMb < 50, `${grownMb} MB for chunks that nobody can use yet`);

  const part = (text: string): Uint8Array => {
    const body = Buffer.from(`\u0001${text}`);
    const bytes = Buffer.alloc(4 + body.length);
    bytes.writeUInt32BE(body.length);
    body.copy(bytes, 4);
    return bytes;
  };
  for (const text of ["{", "null", "[]", "{}", '{"appliedIndex":-1}'])
    assert.equal(refusal(begun().chunk(1, forged(0, part(text)))), "snapshot_undecodable", text);
  const empty = new Uint8Array(32);
  assert.equal(refusal(begun().chunk(1, forged(0, part("{}").subarray(0, 3), empty))), "snapshot_checksum");
});

test("a state of another place in the log than was announced is not handed over", () => {
  const { offer, chunk, got } = receiver();
  const message = snapMessage(STATE);
  offer(1, { ...message, snapshot: { ...message.snapshot, index: stateOf(8, 0, 0).appliedIndex } });
  const answers = chunksOf(STATE).map((one) => chunk(1, one));
  const last = answers.at(-1);
  assert.ok(last?.state === "refused" && last.reason === "snapshot_undecodable", JSON.stringify(last));
  assert.match(last.message, /index 7 .* 8/);
  assert.deepEqual(got, []);
});

test("chunks of any size put together are the state, and only the last one says so", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.nat(40), fc.nat(3000), (chunkBytes, records, bytes) => {
      const state = stateOf(7, records, bytes);
      const chunks = chunksOf(state, chunkBytes);
      for (const [i, { offset, data, digest }] of chunks.entries()) {
        assert.equal(offset, i * chunkBytes);
        assert.ok(data.length > 0 && (data.length === chunkBytes || i === chunks.length - 1));
        assert.equal(digest !== null, i === chunks.length - 1);
      }
      const { offer, chunk, got } = receiver();
      offer(1, snapMessage(state));
      for (const one of chunks) chunk(1, one);
      assert.deepEqual(got[0]?.snapshot?.data, state);
    }),
    { numRuns: 50 },
  );
});
