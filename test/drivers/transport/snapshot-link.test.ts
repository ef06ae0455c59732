/**
 * Snapshots through real sockets: whole or not at all, past whatever breaks on the way, and never in the way of
 * heartbeats.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { witnessId } from "../../../src/core/base/ids.js";
import type { State } from "../../../src/core/model/state.js";
import type { TransportOptions } from "../../../src/drivers/transport/transport.js";
import { encodeFrame } from "../../../src/drivers/transport/wire.js";
import {
  commitOf,
  diskOf,
  freePorts,
  heartbeat,
  type Member,
  member,
  peersOf,
  sleep,
  until,
} from "./helpers.js";
import { hello, openStream } from "./raw-stream.js";
import { fingerprint, type Relay, relayTo, snap, snapMessage, stateIn, stateOf } from "./snapshots.js";

const W2 = witnessId("w2");
/** Generous: the machine may be busy. */
const LONG_MS = 120_000;

interface Pair {
  readonly a: Member;
  readonly b: Member;
  readonly relay: Relay;
  readonly ports: readonly [number, number];
  /** What `onSnapshotSent` of w1 was told. */
  readonly told: { to: string; index: number; ok: boolean }[];
  /** Options for another life of w1. */
  readonly again: Partial<TransportOptions>;
}

/** w1 and w2, each a peer of the other; what w1 sends goes through a relay. */
async function pair(
  t: TestContext,
  one: Partial<TransportOptions> = {},
  other: Partial<TransportOptions> = {},
): Promise<Pair> {
  const ports = (await freePorts(2)) as [number, number];
  const told: Pair["told"] = [];
  const relay = await relayTo(t, ports[1]);
  const again: Partial<TransportOptions> = {
    listen: [`127.0.0.1:${ports[0]}`],
    onSnapshotSent: (to, index, ok) => told.push({ to, index, ok }),
    ...one,
  };
  const b = await member(2, [[1, `127.0.0.1:${ports[0]}`]], { listen: [`127.0.0.1:${ports[1]}`], ...other });
  const a = await member(1, [[2, relay.address]], again);
  t.after(() => Promise.all([a.transport.close(), b.transport.close()]));
  await until(() => [a, b].every((each) => each.transport.stats()[0]?.connectionsUp === 2), "connections");
  return { a, b, relay, ports, told, again };
}

const send = (from: Member, state: State, leaderTerm = 1): void =>
  from.transport.send(W2, snap(state, leaderTerm), { urgent: false });
const statesOf = ({ got }: Member): State[] => got.flatMap(({ message }) => stateIn(message) ?? []);
const confirmed = ({ transport }: Member): number => transport.snapshots()[0]?.confirmedBytes ?? 0;

test("a state of 50 MB arrives whole and once, and heartbeats pass between its chunks", async (t) => {
  const { a, b, told } = await pair(t);
  const state = stateOf(7, 2000, 25_000);
  const size = fingerprint(state).bytes;
  let beat = 0;
  const during: number[] = [];
  const timer = setInterval(() => {
    beat += 1;
    a.transport.send(W2, heartbeat(1, 2, beat), { urgent: true });
    const before = b.got.length;
    setTimeout(() => {
      if (b.got.length > before && confirmed(a) > 0) during.push(confirmed(a));
    }, 15);
  }, 20);
  t.after(() => clearInterval(timer));
  send(a, state);
  await until(() => told.length > 0, "the snapshot", LONG_MS);
  clearInterval(timer);
  assert.deepEqual(told, [{ to: "w2", index: 7, ok: true }]);
  const [got, ...more] = statesOf(b);
  assert.ok(got !== undefined && more.length === 0, "handed over once");
  assert.deepEqual(fingerprint(got), fingerprint(state));
  const beats = b.got.flatMap(({ message }) => (stateIn(message) === null ? [commitOf(message) ?? 0] : []));
  assert.deepEqual(
    beats,
    [...beats].sort((x, y) => x - y),
    "in order",
  );
  t.diagnostic(
    `${size} bytes, ${beats.length} of ${beat} heartbeats, ${during.length} while it was under way`,
  );
  assert.ok(new Set(during).size > 10, "heartbeats arrived at many points of the transfer");
  assert.deepEqual(a.transport.snapshots(), []);
});

test("connections that are reset again and again do not make it begin anew", async (t) => {
  const { a, b, relay, told } = await pair(t);
  const state = stateOf(7, 800, 20_000);
  const size = fingerprint(state).bytes;
  send(a, state);
  let reached = 0;
  for (let reset = 1; reset <= 6; reset++) {
    await until(() => confirmed(a) > (reset * size) / 8, `${reset} eighths`, LONG_MS);
    assert.ok(confirmed(a) >= reached);
    reached = confirmed(a);
    relay.reset();
  }
  await until(() => told.length > 0, "the snapshot", LONG_MS);
  assert.deepEqual(told, [{ to: "w2", index: 7, ok: true }]);
  assert.deepEqual(statesOf(b).map(fingerprint), [fingerprint(state)]);
  t.diagnostic(`${relay.bytes()} bytes on the line for ${size} of state, with six resets`);
  assert.ok(relay.bytes() < 2 * size, `${relay.bytes()} bytes for ${size}`);
});

test("a snapshot that was given up is taken up where it stood when it is sent again", async (t) => {
  const { a, b, relay, told } = await pair(t, { snapshotPatienceMs: 700 });
  const state = stateOf(7, 400, 20_000);
  const size = fingerprint(state).bytes;
  send(a, state);
  await until(() => confirmed(a) > size / 2, "half of it", LONG_MS);
  relay.block(true);
  await until(() => told.length > 0, "the end of patience", LONG_MS);
  assert.deepEqual(told, [{ to: "w2", index: 7, ok: false }]);
  assert.ok(JSON.stringify(a.log.lines).includes("snapshot_stuck"));
  assert.deepEqual(a.transport.snapshots(), []);
  relay.block(false);
  await until(() => a.transport.stats()[0]?.connectionsUp === 2, "connections again", LONG_MS);
  const before = relay.bytes();
  send(a, state);
  await until(() => told.length > 1, "the snapshot", LONG_MS);
  assert.deepEqual(told[1], { to: "w2", index: 7, ok: true });
  assert.deepEqual(statesOf(b).map(fingerprint), [fingerprint(state)]);
  assert.ok(
    relay.bytes() - before < 0.75 * size,
    `${relay.bytes() - before} bytes for the other half of ${size}`,
  );
});

test("a receiver that restarts in the middle gets all of it in its new life", async (t) => {
  const { a, b, ports, told } = await pair(t);
  const state = stateOf(7, 400, 20_000);
  send(a, state);
  await until(() => confirmed(a) > 3_000_000, "a part", LONG_MS);
  await b.transport.close();
  const again = await member(2, [[1, `127.0.0.1:${ports[0]}`]], {
    listen: [`127.0.0.1:${ports[1]}`],
    life: 2002,
  });
  t.after(() => again.transport.close());
  await until(() => told.length > 0, "the snapshot", LONG_MS);
  assert.deepEqual(told, [{ to: "w2", index: 7, ok: true }]);
  assert.deepEqual(statesOf(b), []);
  assert.deepEqual(statesOf(again).map(fingerprint), [fingerprint(state)]);
});

test("a sender that restarts in the middle begins anew, and only its new life's snapshot arrives", async (t) => {
  const { a, b, relay, told, again } = await pair(t);
  const state = stateOf(7, 400, 20_000);
  send(a, state);
  await until(() => confirmed(a) > 3_000_000, "a part", LONG_MS);
  await a.transport.close();
  assert.equal(told.length, 0, "a transport that closes reports nothing");
  const next = await member(1, [[2, relay.address]], { ...again, life: 1002 });
  t.after(() => next.transport.close());
  send(next, state, 2);
  await until(() => told.length > 0, "the snapshot", LONG_MS);
  assert.deepEqual(told, [{ to: "w2", index: 7, ok: true }]);
  const terms = b.got.flatMap(({ message }) => (message.kind === "raft" ? [message.message.term] : []));
  assert.deepEqual(terms, [2]);
  assert.deepEqual(statesOf(b).map(fingerprint), [fingerprint(state)]);
});

test("a newer snapshot takes the place of the one under way; an older one, or the same again, does not", async (t) => {
  const { a, b, told } = await pair(t);
  send(a, stateOf(7, 400, 20_000));
  await until(() => confirmed(a) > 1_000_000, "a part", LONG_MS);
  const newer = stateOf(9, 100, 20_000);
  send(a, newer);
  send(a, newer);
  send(a, stateOf(8, 10, 10));
  assert.deepEqual(
    a.transport.snapshots().map(({ to, index }) => [to, index]),
    [["w2", 9]],
  );
  await until(() => told.length > 0, "the snapshot", LONG_MS);
  await sleep(200);
  assert.deepEqual(told, [{ to: "w2", index: 9, ok: true }]);
  assert.deepEqual(statesOf(b).map(fingerprint), [fingerprint(newer)]);
});

test("a snapshot to a peer that is removed, or was none, has failed", async (t) => {
  const { a, relay, told } = await pair(t);
  relay.block(true);
  send(a, stateOf(7, 10, 10));
  a.transport.updatePeers([]);
  assert.equal(told.length, 0, "not from within the call");
  await until(() => told.length > 0, "the removal");
  send(a, stateOf(8, 10, 10));
  await until(() => told.length > 1, "the stranger");
  assert.deepEqual(told, [
    { to: "w2", index: 7, ok: false },
    { to: "w2", index: 8, ok: false },
  ]);
  assert.ok(JSON.stringify(a.log.lines).includes("snapshot_peer_removed"));
  a.transport.updatePeers(peersOf([[2, relay.address]]));
  relay.block(false);
  send(a, stateOf(9, 10, 10));
  await until(() => told.length > 2, "the third", LONG_MS);
  assert.equal(told[2]?.ok, true);
});

test("what the receiver refuses has failed at once, and both logs say why", async (t) => {
  const { a, b, told } = await pair(t, {}, { limits: { snapshotBytes: 300_000 } });
  send(a, stateOf(7, 50, 20_000));
  await until(() => told.length > 0, "the refusal");
  const unfit = snapMessage({ ...stateOf(8, 1, 1), groups: 7 as never });
  a.transport.send(W2, { kind: "raft", message: unfit }, { urgent: false });
  await until(() => told.length > 1, "the second refusal");
  const misplaced = { ...snapMessage(stateOf(9, 1, 1)), commit: stateOf(9, 0, 0).appliedIndex };
  const snapshot = { ...misplaced.snapshot, data: stateOf(10, 1, 1) };
  a.transport.send(W2, { kind: "raft", message: { ...misplaced, snapshot } }, { urgent: false });
  await until(() => told.length > 2, "the third refusal");
  assert.deepEqual(
    told.map(({ index, ok }) => [index, ok]),
    [
      [7, false],
      [8, false],
      [9, false],
    ],
  );
  for (const { log } of [a, b])
    for (const code of ["snapshot_too_large", "snapshot_undecodable"])
      assert.ok(JSON.stringify(log.lines).includes(`"code":"${code}"`), code);
  assert.deepEqual(statesOf(b), []);
  send(a, stateOf(11, 1, 1));
  await until(() => statesOf(b).length === 1, "one that fits");
});

test("a hostile client that speaks the protocol gets no snapshot in, and the honest one still does", async (t) => {
  const { a, b, ports, told } = await pair(t);
  const hostile = openStream(t, ports[1]);
  hostile.write(hello());
  const message = snapMessage(stateOf(50, 1, 1), 9);
  hostile.write({ kind: "offer", offer: { transfer: 1, message } }, 1);
  const chunk = { transfer: 1, offset: 0, data: new Uint8Array(1000), checksum: 1, digest: null };
  hostile.write({ kind: "chunk", chunk }, 0);
  await until(() => JSON.stringify(b.log.lines).includes("snapshot_checksum"), "the refusal");
  for (let transfer = 2; transfer < 40; transfer++)
    hostile.write({ kind: "chunk", chunk: { ...chunk, transfer } }, 0);
  const numbered = encodeFrame({ seq: 0, sentMs: 1, body: { kind: "chunk", chunk } });
  hostile.stream.write(Buffer.concat([numbered, Buffer.from("0801", "hex")]));
  await until(() => (b.transport.stats()[0]?.refusedFrom.malformed ?? 0) > 0, "a chunk with a number");
  const state = stateOf(7, 50, 20_000);
  send(a, state, 9);
  await until(() => told.length > 0, "the honest snapshot", LONG_MS);
  assert.deepEqual(told, [{ to: "w2", index: 7, ok: true }]);
  assert.deepEqual(statesOf(b).map(fingerprint), [fingerprint(state)]);
  assert.deepEqual(b.got.at(-1)?.disk, diskOf(1));
});

test("large appends and a snapshot take turns on one connection", async (t) => {
  // On a busy machine nothing may be called stale here.
  const limits = { staleMs: LONG_MS };
  const { a, b, told } = await pair(t, { limits }, { limits });
  send(a, stateOf(7, 200, 20_000));
  const bulk = (number: number): void => {
    const one = { ...snapMessage(stateOf(1, 0, 0)), type: "MsgApp" as const, snapshot: null };
    const entries = [
      {
        term: one.term,
        index: stateOf(1, 0, 0).appliedIndex,
        type: "EntryNormal" as const,
        data: new Uint8Array(300_000),
      },
    ];
    a.transport.send(
      W2,
      { kind: "raft", message: { ...one, rejectHint: number as never, entries } },
      { urgent: false },
    );
  };
  const numbers = Array.from({ length: 12 }, (_, i) => i + 1);
  for (const number of numbers) {
    bulk(number);
    await sleep(20);
  }
  await until(() => told.length > 0 && b.got.length >= numbers.length + 1, "all of it", LONG_MS);
  const kinds = b.got.flatMap(({ message }) =>
    message.kind === "raft"
      ? [message.message.snapshot === null ? message.message.rejectHint : "snapshot"]
      : [],
  );
  assert.deepEqual(
    kinds.filter((kind) => kind !== "snapshot"),
    numbers,
    "each append, in order",
  );
  assert.ok(told[0]?.ok);
});

test("a snapshot that is abandoned on its way stays away, and the next one arrives", async (t) => {
  const { a, b, told } = await pair(t);
  send(a, stateOf(7, 400, 25_000));
  await until(() => confirmed(a) > 0, "the first part of it", LONG_MS);
  a.transport.abandonSnapshots();
  assert.deepEqual(a.transport.snapshots(), []);
  send(a, stateOf(9, 4, 100), 2);
  await until(() => statesOf(b).length > 0, "the next one", LONG_MS);
  assert.deepEqual(
    statesOf(b).map(({ appliedIndex }) => appliedIndex as number),
    [9],
  );
  await until(() => told.length > 0, "the word of its end");
  assert.deepEqual(told, [{ to: "w2", index: 9, ok: true }]);
});
