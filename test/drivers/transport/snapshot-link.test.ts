/**
 * Snapshots through real sockets: whole or not at all, past whatever breaks on the way, and never in the way of
 * heartbeats.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { witnessId } from "../../../src/core/base/ids.js";
import type { State } from "../../../src/core/model/state.js";
import type { TransportOptions } from "../../../src/drivers/transport/transport.js";
import { commitOf, freePorts, heartbeat, type Member, member, until } from "./helpers.js";
import { fingerprint, type Relay, relayTo, snap, stateIn, stateOf } from "./snapshots.js";

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
