/**
 * Peers that come, go and move while the transport runs.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { witnessId } from "../../../src/core/base/ids.js";
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

const NOWHERE = "127.0.0.1:1";

async function listening(
  t: TestContext,
  number: number,
  peers: readonly (readonly [number, ...string[]])[],
): Promise<{ one: Member; at: string }> {
  const [port] = (await freePorts(1)) as [number];
  const at = `127.0.0.1:${port}`;
  const one = await member(number, peers, { listen: [at] });
  t.after(() => one.transport.close());
  return { one, at };
}

const send = (from: Member, to: number, number: number): void =>
  from.transport.send(witnessId(`w${to}`), heartbeat(9, to, number), { urgent: true });
const up = (one: Member, at = 0): number => one.transport.stats()[at]?.connectionsUp ?? 0;
const warnings = (one: Member, word: string): number =>
  one.log.lines.filter(({ level, fields }) => level === "warn" && JSON.stringify(fields).includes(word))
    .length;

test("a peer added at run time is dialled and heard, and what it says of its disk is handed over", async (t) => {
  const { one: b, at } = await listening(t, 2, [[1, NOWHERE]]);
  const a = await member(1, []);
  t.after(() => a.transport.close());
  send(a, 2, 1);
  assert.deepEqual(a.transport.stats(), [], "w2 is no peer: what goes to it is dropped");
  a.transport.updatePeers(
    peersOf([
      [1, NOWHERE],
      [2, at],
    ]),
  );
  await until(() => up(a) === 2, "two connections");
  send(a, 2, 2);
  await until(() => b.got.length === 1, "the message");
  assert.deepEqual(b.got[0], { from: "w1", message: heartbeat(9, 2, 2), disk: diskOf(1) });
  assert.equal(a.transport.stats().length, 1, "itself is not among its peers");
});

test("a witness that is no peer yet is refused without hurry, told once, and taken when it becomes one", async (t) => {
  const { one: b, at } = await listening(t, 2, [[3, NOWHERE]]);
  const a = await member(1, [[2, at]]);
  t.after(() => a.transport.close());
  const refusals = (): number => a.transport.stats()[0]?.refusedBy.unknown_peer ?? 0;
  await until(() => refusals() >= 4, "refusals of two connections, twice", 20_000);
  assert.equal(warnings(a, '"reason":"unknown_peer"'), 1);
  assert.equal(warnings(b, '"reason":"unknown_peer"'), 1);
  const before = refusals();
  await sleep(1000);
  assert.ok(refusals() - before <= 2, "each connection is dialled again after two seconds, not at once");
  b.transport.updatePeers(
    peersOf([
      [1, NOWHERE],
      [3, NOWHERE],
    ]),
  );
  await until(() => up(a) === 2, "it is taken", 20_000);
  send(a, 2, 1);
  await until(() => b.got.length === 1, "its message");
});

test("a removed peer is heard no more and dialled no more, and after it comes back its messages are news", async (t) => {
  const { one: b, at } = await listening(t, 2, [[1, NOWHERE]]);
  const { one: a, at: home } = await listening(t, 1, [[2, at]]);
  b.transport.updatePeers(peersOf([[1, home]]));
  await until(() => up(a) === 2 && up(b) === 2, "connections both ways");
  for (let n = 1; n <= 20; n++) a.transport.send(witnessId("w2"), heartbeat(9, 2, n), { urgent: false });
  await until(() => b.got.length === 20, "messages before");

  b.transport.updatePeers([]);
  assert.deepEqual(b.transport.stats(), []);
  await until(() => (a.transport.stats()[0]?.refusedBy.unknown_peer ?? 0) >= 2, "both streams are ended");
  await until(() => up(a) === 0, "and stay so");
  assert.match(a.transport.stats()[0]?.lastTrouble ?? "", /unknown_peer/);
  send(a, 2, 99);
  // The other direction: w2 has closed what it had opened.
  await sleep(300);
  const dialled = a.transport.stats()[0]?.received;
  send(b, 1, 77);
  await sleep(100);
  assert.equal(a.transport.stats()[0]?.received, dialled);
  assert.equal(b.got.length, 20);

  // Removed and added on the other side, too: numbers of one life go on where they were.
  a.transport.updatePeers([]);
  a.transport.updatePeers(peersOf([[2, at]]));
  b.transport.updatePeers(peersOf([[1, home]]));
  await until(() => up(a) === 2 && up(b) === 2, "connections again", 20_000);
  for (let n = 101; n <= 105; n++) {
    a.transport.send(witnessId("w2"), heartbeat(9, 2, n), { urgent: false });
    b.transport.send(witnessId("w1"), heartbeat(9, 1, n), { urgent: false });
  }
  await until(() => b.got.length === 25 && a.got.length === 5, "messages after");
  assert.deepEqual(
    b.got.slice(20).map(({ message }) => commitOf(message)),
    [101, 102, 103, 104, 105],
  );
});

test("numbers go on when only the sender removed and added its peer", async (t) => {
  const { one: b, at } = await listening(t, 2, [[1, NOWHERE]]);
  const a = await member(1, [[2, at]]);
  t.after(() => a.transport.close());
  await until(() => up(a) === 2, "connections");
  for (let n = 1; n <= 10; n++) a.transport.send(witnessId("w2"), heartbeat(9, 2, n), { urgent: false });
  await until(() => b.got.length === 10, "messages before");
  a.transport.updatePeers([]);
  a.transport.updatePeers(peersOf([[2, at]]));
  await until(() => up(a) === 2, "connections again");
  for (let n = 11; n <= 20; n++) a.transport.send(witnessId("w2"), heartbeat(9, 2, n), { urgent: false });
  await until(() => b.got.length === 20, "messages after: none was taken for a repeated one");
});

test("a peer that moves is reached at its new address, and connections to addresses that stay are kept", async (t) => {
  const [port, other, third] = (await freePorts(3)) as [number, number, number];
  const at = (one: number): string => `127.0.0.1:${one}`;
  const b = await member(2, [[1, NOWHERE]], { listen: [at(port), at(other), at(third)] });
  const a = await member(1, [[2, at(port), at(other)]]);
  t.after(() => Promise.all([a.transport.close(), b.transport.close()]));
  await until(() => up(a) === 3, "one connection an address, and one more");
  const dials = (): number => a.transport.stats()[0]?.dials ?? 0;
  const before = dials();
  a.transport.updatePeers(peersOf([[2, at(port), at(other)]]));
  await sleep(300);
  assert.equal(dials(), before, "the same addresses again change nothing");
  a.transport.updatePeers(peersOf([[2, at(port), at(third)]]));
  assert.ok(up(a) >= 1, "what goes to the address that stays is not touched");
  await until(() => up(a) === 3, "the new address and one more");
  assert.ok(
    dials() - before <= 2,
    `${dials() - before} dials for one new address and the roaming connection`,
  );
  send(a, 2, 5);
  await until(() => b.got.length === 1, "a message");
});

test("an address that nobody can dial is told and left out; a peer without any is still heard", async (t) => {
  const { one: b, at } = await listening(t, 2, [[1, NOWHERE]]);
  const a = await member(1, [[2, at]]);
  t.after(() => a.transport.close());
  b.transport.updatePeers(peersOf([[1, "nonsense"]]));
  const dials = b.transport.stats()[0]?.dials;
  const told = b.log.lines.filter(({ level }) => level === "error");
  assert.equal(told.length, 1);
  assert.match(JSON.stringify(told[0]), /TRANSPORT_ADDRESS_INVALID.*nonsense/);
  await until(() => up(a) === 2, "connections");
  send(a, 2, 1);
  await until(() => b.got.length === 1, "its message");
  await sleep(200);
  assert.equal(b.transport.stats()[0]?.dials, dials);
});
