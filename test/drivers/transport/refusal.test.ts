/**
 * What is refused at the door, and that both sides are told why.
 */
import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { witnessId } from "../../../src/core/base/ids.js";
import type { TransportError } from "../../../src/drivers/transport/errors.js";
import type { TransportOptions } from "../../../src/drivers/transport/transport.js";
import { freePorts, heartbeat, type Member, member, sleep, until } from "./helpers.js";

/** w1 dials w2; both with what the test changes. */
async function two(
  t: TestContext,
  one: Partial<TransportOptions> = {},
  other: Partial<TransportOptions> = {},
): Promise<[Member, Member]> {
  const [port] = (await freePorts(1)) as [number];
  const b = await member(2, [[1, "127.0.0.1:1"]], { listen: [`127.0.0.1:${port}`], ...other });
  const a = await member(1, [[2, `127.0.0.1:${port}`]], one);
  t.after(() => Promise.all([a.transport.close(), b.transport.close()]));
  return [a, b];
}

const to2 = witnessId("w2");

for (const [what, reason, one, other] of [
  ["another cluster", "foreign_cluster", { cluster: "elsewhere" }, {}],
  ["somebody meant for another witness", "wrong_witness", {}, { self: witnessId("w9") }],
  ["a witness that is no peer", "unknown_peer", { self: witnessId("w7") }, {}],
] as const) {
  test(`${what} is refused, counted, and told why on both sides`, async (t) => {
    const [a, b] = await two(t, one, other);
    a.transport.send(to2, heartbeat(1, 2, 1), { urgent: true });
    await until(() => (a.transport.stats()[0]?.refusedBy[reason] ?? 0) > 0, "the refusal");
    a.transport.send(to2, heartbeat(1, 2, 2), { urgent: true });
    await sleep(reason === "foreign_cluster" ? 1500 : 200);
    assert.equal(b.got.length, 0);
    assert.ok((b.transport.strangers()[reason] ?? 0) > 0);
    assert.ok(
      (b.transport.strangers()[reason] ?? 0) <= 4,
      "one that is refused does not come back at once: only a person can mend it",
    );
    const warned = (one: Member) =>
      one.log.lines.filter(
        ({ level, fields }) => level === "warn" && JSON.stringify(fields).includes(reason),
      );
    assert.equal(warned(b).length, 1, "said once a minute, not at each attempt");
    assert.equal(warned(a).length, 1);
    assert.match(a.transport.stats()[0]?.lastTrouble ?? "", new RegExp(reason));
  });
}

async function openError(options: Partial<TransportOptions>): Promise<TransportError> {
  try {
    const opened = await member(1, [[2, "127.0.0.1:1"]], options);
    await opened.transport.close();
  } catch (error) {
    return error as TransportError;
  }
  throw new Error("it opened");
}

test("a port in use, an address of another machine and a bad address each say what to do", async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const used = await openError({ listen: ["127.0.0.1:0", `127.0.0.1:${port}`] });
  assert.equal(used.code, "TRANSPORT_PORT_IN_USE");
  assert.ok(used.message.includes(`127.0.0.1:${port}`) && used.retriable && used.cause !== undefined);
  const foreign = await openError({ listen: ["192.0.2.1:7000"] });
  assert.equal(foreign.code, "TRANSPORT_ADDRESS_UNAVAILABLE");
  assert.match(foreign.message, /192\.0\.2\.1:7000/);
  for (const address of ["nonsense", "127.0.0.1:70000", "a b:1", "::1:7000", ":7000"]) {
    const bad = await openError({ listen: [address] });
    assert.equal(bad.code, "TRANSPORT_ADDRESS_INVALID", address);
    assert.ok(bad.message.includes(address));
  }
  const port0 = await openError({ peers: [{ witness: to2, addresses: ["127.0.0.1:0"] }] });
  assert.equal(port0.code, "TRANSPORT_ADDRESS_INVALID", "nobody can be dialled at port 0");
  const self = await openError({
    peers: [{ witness: witnessId("w1"), addresses: ["127.0.0.1:1"] }],
  });
  assert.equal(self.code, "TRANSPORT_OPTIONS_INVALID");
});

test("after a failed open nothing is left listening", async () => {
  const [port] = (await freePorts(1)) as [number];
  await openError({ listen: [`127.0.0.1:${port}`, "192.0.2.1:7000"] });
  const again = await member(1, [[2, "127.0.0.1:1"]], { listen: [`127.0.0.1:${port}`] });
  await again.transport.close();
});

test("a peer that accepts and stays silent costs no sockets, and messages flow when the real one comes", async (t) => {
  const [port] = (await freePorts(1)) as [number];
  const accepted = new Set<Socket>();
  const silent: Server = createServer((socket) => {
    accepted.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => accepted.delete(socket));
    socket.resume();
  });
  await new Promise<void>((resolve) => silent.listen(port, "127.0.0.1", resolve));
  const a = await member(1, [[2, `127.0.0.1:${port}`]]);
  t.after(() => a.transport.close());
  await sleep(4000);
  const dials = a.transport.stats()[0]?.dials ?? 0;
  assert.ok(dials >= 5, `only ${dials} dials in 4 s`);
  assert.ok(accepted.size <= 3, `${accepted.size} sockets are open after ${dials} dials`);
  assert.equal(a.transport.stats()[0]?.connectionsUp, 0);
  const closed = new Promise((resolve) => silent.close(resolve));
  for (const socket of accepted) socket.destroy();
  await closed;
  const b = await member(2, [[1, "127.0.0.1:1"]], { listen: [`127.0.0.1:${port}`] });
  t.after(() => b.transport.close());
  const openedMs = performance.now();
  const timer = setInterval(() => a.transport.send(to2, heartbeat(1, 2, 1), { urgent: true }), 50);
  t.after(() => clearInterval(timer));
  await until(() => b.got.length > 0, "the first message");
  const tookMs = performance.now() - openedMs;
  t.diagnostic(`first message ${Math.round(tookMs)} ms after the real server came, ${dials} dials before`);
  assert.ok(tookMs < 3000, `${tookMs} ms`);
});
