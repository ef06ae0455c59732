import assert from "node:assert/strict";
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
