/**
 * Messages between transports on loopback: delivered once, to whom they are for.
 */
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { witnessId } from "../../../src/core/base/ids.js";
import { append, commitOf, freePorts, heartbeat, member, sleep, until } from "./helpers.js";

test("three witnesses hear each other, each message once although it travels over every connection", async (t) => {
  const [a, b, c] = (await freePorts(3)) as [number, number, number];
  const at = (port: number) => `127.0.0.1:${port}`;
  const ports = [a, b, c];
  const members = await Promise.all(
    ports.map((port, i) => {
      const others = ports.flatMap((other, j) => (i === j ? [] : [[j + 1, at(other)] as const]));
      return member(i + 1, others, { listen: [at(port)] });
    }),
  );
  t.after(() => Promise.all(members.map((one) => one.transport.close())));
  await until(
    () => members.every((one) => one.transport.stats().every((peer) => peer.connectionsUp === 2)),
    "two connections to each peer",
  );
  for (const [i, one] of members.entries()) {
    for (const j of [0, 1, 2]) {
      if (i === j) continue;
      for (let n = 1; n <= 20; n++) {
        one.transport.send(witnessId(`w${j + 1}`), append(i + 1, j + 1, n, 10), { urgent: false });
      }
    }
  }
  await until(() => members.every((one) => one.got.length >= 40), "all messages");
  for (const one of members) {
    assert.equal(one.got.length, 40);
    for (const stats of one.transport.stats()) {
      assert.equal(stats.received, 20);
      assert.ok(stats.dropped.duplicates >= 15, `duplicates ${stats.dropped.duplicates}`);
      assert.ok(stats.rttMs !== null && stats.lastHeardAgeMs !== null);
    }
  }
});

test("a large append goes over one connection only and arrives whole", async (t) => {
  const [port] = (await freePorts(1)) as [number];
  const b = await member(2, [[1, "127.0.0.1:1"]], { listen: [`127.0.0.1:${port}`] });
  const a = await member(1, [[2, `127.0.0.1:${port}`]]);
  t.after(() => Promise.all([a.transport.close(), b.transport.close()]));
  await until(() => a.transport.stats()[0]?.connectionsUp === 2, "connections");
  a.transport.send(witnessId("w2"), append(1, 2, 7, 1_000_000), { urgent: false });
  a.transport.send(witnessId("w2"), heartbeat(1, 2, 9), { urgent: true });
  await until(() => b.got.length === 2, "both");
  assert.equal(
    commitOf(b.got[0]?.message ?? heartbeat(1, 2, 0)),
    9,
    "the heartbeat does not wait for the append",
  );
  assert.deepEqual(b.got[1]?.message, append(1, 2, 7, 1_000_000));
  assert.equal(b.transport.stats()[0]?.dropped.duplicates, 0, "neither came twice: one connection was full");
  await sleep(100);
  a.transport.send(witnessId("w2"), heartbeat(1, 2, 10), { urgent: true });
  await until(() => b.transport.stats()[0]?.dropped.duplicates === 1, "the next heartbeat on both again");
});

test("a path slower than any dial's deadline is found by a patient dial, and then both connections hold", async (t) => {
  const [port] = (await freePorts(1)) as [number];
  const delayMs = 300;
  const relay = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (bytes) => setTimeout(() => to.writable && to.write(bytes), delayMs));
      from.on("close", () => to.destroy());
      from.on("error", () => {});
    }
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  const slow = `127.0.0.1:${(relay.address() as { port: number }).port}`;
  const b = await member(2, [[1, "127.0.0.1:1"]], { listen: [`127.0.0.1:${port}`] });
  const a = await member(1, [[2, slow]]);
  t.after(async () => {
    await Promise.all([a.transport.close(), b.transport.close()]);
    await new Promise((resolve) => relay.close(resolve));
  });
  const startMs = performance.now();
  await until(() => a.transport.stats()[0]?.connectionsUp === 2, "two connections", 20_000);
  const dials = a.transport.stats()[0]?.dials;
  t.diagnostic(
    `round trip of ${2 * delayMs} ms: two connections after ${Math.round(performance.now() - startMs)} ms, ${dials} dials`,
  );
  await sleep(2500);
  const [stats] = a.transport.stats();
  assert.equal(stats?.connectionsUp, 2);
  assert.equal(stats?.dials, dials, "nothing that works is replaced");
  assert.ok((stats?.rttMs ?? 0) >= 2 * delayMs);
});

test("a peer that is silent for long is told once, and so is its return; a short gap is no news", async (t) => {
  const [port] = (await freePorts(1)) as [number];
  const address = `127.0.0.1:${port}`;
  const a = await member(1, [[2, address]]);
  t.after(() => a.transport.close());
  const told = () =>
    a.log.lines.flatMap(({ level, message }) => (level === "debug" ? [] : [`${level} ${message}`]));
  const peer = () => member(2, [[1, "127.0.0.1:1"]], { listen: [address] });
  const reached = () => a.transport.stats()[0]?.connectionsUp === 2;

  await until(() => told().length === 1, "the peer that was never there is told");
  let b = await peer();
  await until(() => reached() && told().length === 2, "it is reached");
  await b.transport.close();
  await sleep(300);
  b = await peer();
  await until(reached, "it is back soon");
  assert.deepEqual(told(), ["warn peer is out of reach", "info peer is reachable"]);
  await b.transport.close();
  await until(() => told().length === 3, "its long silence is told");
  const last = a.log.lines.findLast(({ level }) => level === "warn");
  assert.match(JSON.stringify(last?.fields), /"trouble":"127\.0\.0\.1:/);
});
