/**
 * The queue of a peer: bounded, and a newer message replaces the one that it makes pointless.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { term, witnessId } from "../../../src/core/base/ids.js";
import { type Outgoing, PeerQueue, supersedingKey } from "../../../src/drivers/transport/queue.js";
import { append, heartbeat, member, raftMessage, sleep } from "./helpers.js";

const limits = { urgentMessages: 4, bulkMessages: 3, bytes: 1000, staleMs: 100 };
const item = (seq: number, more: Partial<Outgoing> = {}): Outgoing => ({
  seq,
  bytes: Buffer.alloc(10),
  urgent: true,
  key: null,
  madeMs: 0,
  ...more,
});

test("a newer heartbeat takes the place of the one that still waits", () => {
  const queue = new PeerQueue(limits);
  queue.push(item(1, { key: "heartbeat" }));
  queue.push(item(2));
  queue.push(item(3, { key: "heartbeat" }));
  assert.equal(queue.messages, 2);
  assert.equal(queue.drops.superseded, 1);
  assert.equal(queue.peek("urgent", 0)?.seq, 2);
});

test("whatever is pushed, the queue stays within its limits and the newest survives", () => {
  const push = fc.record({
    urgent: fc.boolean(),
    size: fc.nat(600),
    key: fc.option(fc.constantFrom("a", "b")),
  });
  fc.assert(
    fc.property(fc.array(push, { minLength: 1, maxLength: 60 }), (pushes) => {
      const queue = new PeerQueue(limits);
      for (const [i, { urgent, size, key }] of pushes.entries()) {
        queue.push(item(i + 1, { urgent, bytes: Buffer.alloc(size), key }));
        assert.ok(queue.messages <= limits.urgentMessages + limits.bulkMessages);
        assert.ok(queue.bytes <= 2 * limits.bytes);
        const kept: number[] = [];
        const lane = urgent ? "urgent" : "bulk";
        const rest = [];
        for (let next = queue.peek(lane, 0); next !== undefined; next = queue.peek(lane, 0)) {
          kept.push(next.seq);
          rest.push(next);
          queue.take(lane);
        }
        assert.equal(kept.at(-1), i + 1, "the newest survives");
        for (const one of rest.reverse()) queue.putBack(one);
      }
    }),
  );
});

test("what waited too long is dropped when its turn comes", () => {
  const queue = new PeerQueue(limits);
  queue.push(item(1, { madeMs: 0 }));
  queue.push(item(2, { madeMs: 50 }));
  assert.equal(queue.peek("urgent", 120)?.seq, 2);
  assert.equal(queue.drops.stale, 1);
});

test("an acknowledgement never replaces a rejection, nor a bare heartbeat one that carries a read mark", () => {
  const key = (message: Parameters<typeof supersedingKey>[0]) => supersedingKey(message);
  const raft = (more: object, type: "MsgAppResp" | "MsgHeartbeat" = "MsgAppResp") =>
    key({ kind: "raft", message: raftMessage(type, 1, 2, more) });
  assert.notEqual(raft({ reject: true }), raft({}));
  assert.notEqual(raft({ context: Uint8Array.of(1) }, "MsgHeartbeat"), raft({}, "MsgHeartbeat"));
  assert.equal(raft({ commit: 5 }, "MsgHeartbeat"), raft({}, "MsgHeartbeat"));
  assert.equal(key(append(1, 2, 3, 10)), null, "each append counts");
  assert.equal(
    key({ kind: "forward", request: "r", term: term(1), write: { kind: "resume", group: "g", by: "me" } }),
    null,
  );
});

test("with the peer gone, ten thousand messages leave queue and memory bounded", async (t) => {
  const a = await member(1, [[2, "127.0.0.1:1"]], { limits: { queueBytes: 1_000_000 } });
  t.after(() => a.transport.close());
  const before = process.memoryUsage().rss;
  for (let n = 1; n <= 10_000; n++) {
    a.transport.send(witnessId("w2"), append(1, 2, n, 10_000), { urgent: false });
    a.transport.send(witnessId("w2"), heartbeat(1, 2, n), { urgent: true });
    if (n % 1000 === 0) await sleep(1);
  }
  const [stats] = a.transport.stats();
  assert.ok(stats !== undefined);
  assert.ok(stats.queued.bytes <= 1_001_000 && stats.queued.messages <= 101, JSON.stringify(stats.queued));
  assert.equal(stats.sent, 0);
  assert.equal(stats.connectionsUp, 0);
  const { superseded, overflow, staleUnsent } = stats.dropped;
  assert.equal(
    superseded + overflow + staleUnsent + stats.queued.messages,
    20_000,
    "each is queued or counted",
  );
  const grownMb = (process.memoryUsage().rss - before) / 2 ** 20;
  t.diagnostic(`RSS grew by ${grownMb.toFixed(0)} MB over 100 MB of messages`);
  assert.ok(grownMb < 80, `grew by ${grownMb} MB`);
});
