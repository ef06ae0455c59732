/** The hedged channel against servers that are deaf on some of their connections; each played by a few lines. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Deadline, endpoint } from "../../../src/drivers/dns/endpoint.js";
import { DnsError } from "../../../src/drivers/dns/error.js";
import { openHedged } from "../../../src/drivers/dns/hedge.js";
import { encodeMessage } from "../../../src/drivers/dns/message.js";
import { Pace } from "../../../src/drivers/dns/pace.js";
import { queryMessage } from "../../../src/drivers/dns/query.js";
import { TYPE } from "../../../src/drivers/dns/rdata.js";
import { freePort } from "../../support/name-servers.js";

const never = new AbortController().signal;
const question = (id: number): Buffer =>
  encodeMessage({ ...queryMessage("app.test", TYPE.A, { recursion: false, edns: false }), id });

/** A server whose first `deaf` connections are read and not answered; echoes on the others. */
async function server(t: TestContext, deaf: number) {
  const sockets = new Set<Socket>();
  let connections = 0;
  let most = 0;
  const listener = createServer((socket) => {
    const isDeaf = ++connections <= deaf;
    sockets.add(socket);
    most = Math.max(most, sockets.size);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (chunk: Buffer) => {
      if (!isDeaf) socket.write(chunk);
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  const bound = listener.address();
  assert.ok(bound !== null && typeof bound === "object");
  return {
    at: endpoint("127.0.0.1", bound.port),
    sockets,
    get connections() {
      return connections;
    },
    get most() {
      return most;
    },
  };
}

test("a line that works carries one copy over one connection", async (t) => {
  const to = await server(t, 0);
  const channel = openHedged(to.at, Deadline.in(5_000), new Pace());
  const replies = await Promise.all(
    [1, 2, 3].map((id) => channel.exchange(question(id), Deadline.in(5_000), never)),
  );
  channel.close();
  assert.deepEqual(
    replies.map(({ bytes, copies }) => [bytes.readUInt16BE(0), copies]),
    [
      [1, 1],
      [2, 1],
      [3, 1],
    ],
  );
  assert.equal(to.connections, 1);
});

test("a deaf connection is got round by another one, and the reply says that there were copies", async (t) => {
  const to = await server(t, 2);
  const channel = openHedged(to.at, Deadline.in(10_000), new Pace());
  const { copies } = await channel.exchange(question(7), Deadline.in(10_000), never);
  channel.close();
  assert.ok(copies >= 3, `${copies} copies`);
});

test("a server that never answers sees few connections, all closed at the end, and the request counts as sent", async (t) => {
  const to = await server(t, 1_000);
  const channel = openHedged(to.at, Deadline.in(10_000), new Pace());
  await assert.rejects(channel.exchange(question(1), Deadline.in(2_500), never), (error) => {
    assert.ok(error instanceof DnsError);
    assert.deepEqual([error.code, error.maybeDone], ["dns_timeout", true]);
    return true;
  });
  assert.ok(to.connections > 6, `${to.connections} in all`);
  // The server hears of an end a moment after we made it.
  assert.ok(to.most <= 8, `${to.most} at once`);
  channel.close();
  await sleep(100);
  assert.equal(to.sockets.size, 0);
});

test("a refused connect ends what is open and what comes, and nothing was sent", async () => {
  const channel = openHedged(endpoint("127.0.0.1", await freePort()), Deadline.in(5_000), new Pace());
  const startedAt = performance.now();
  for (const id of [1, 2]) {
    await assert.rejects(channel.exchange(question(id), Deadline.in(5_000), never), (error) => {
      assert.ok(error instanceof DnsError);
      assert.deepEqual([error.code, error.maybeDone], ["dns_unreachable", false]);
      return true;
    });
  }
  assert.ok(performance.now() - startedAt < 2_000);
  channel.close();
});

test("the pause follows the least round trip, within limits, and servers are forgotten in the order of use", () => {
  const pace = new Pace();
  assert.equal(pace.pauseMs("a"), 200);
  for (const rttMs of [1_400, 300, 900]) pace.note("a", rttMs);
  assert.equal(pace.pauseMs("a"), 650);
  pace.note("a", 0);
  assert.equal(pace.pauseMs("a"), 100);
  for (let at = 0; at < 300; at++) pace.note(`s${at}`, 5_000);
  assert.equal(pace.pauseMs("a"), 200);
  assert.equal(pace.pauseMs("s299"), 1_000);
});
