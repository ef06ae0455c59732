/**
 * Old and doubled frames are recognised without a common clock.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { witnessId } from "../../../src/core/base/ids.js";
import { LatenessGauge, SeenWindow } from "../../../src/drivers/transport/freshness.js";
import { RoundTrips } from "../../../src/drivers/transport/statistics.js";
import { freePorts, heartbeat, member, sleep, until } from "./helpers.js";

test("each number is admitted once, in whatever order the connections bring it", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 600 }), (numbers) => {
      const window = new SeenWindow();
      const seen = new Set<number>();
      for (const seq of numbers) {
        assert.equal(window.admit(seq), !seen.has(seq));
        seen.add(seq);
      }
    }),
  );
  const window = new SeenWindow();
  assert.ok(window.admit(10_000));
  assert.ok(!window.admit(5_000), "what fell out of the window may have been seen");
  assert.ok(window.admit(9_999));
});

test("a backlog is late by as long as it waited, whatever the offset of the clocks", () => {
  fc.assert(
    fc.property(
      fc.double({ min: -1e9, max: 1e9, noNaN: true }),
      fc.integer({ min: 2000, max: 60_000 }),
      (offset, cut) => {
        const gauge = new LatenessGauge();
        const late = (sent: number, received: number) => gauge.latenessMs(sent + offset, received);
        for (let at = 0; at < 5000; at += 50) assert.ok(late(at, at + 20 + (at % 7)) < 100);
        // Everything that was sent during the cut arrives at its end, oldest first.
        for (let at = 5000; at < 5000 + cut; at += 500) {
          const waited = 5000 + cut - at;
          const lateness = late(at, 5000 + cut + 20);
          assert.ok(lateness <= waited && lateness >= waited - 100 - 0.02 * cut, `${lateness} of ${waited}`);
        }
      },
    ),
  );
});

test("clocks that drift apart within bounds never make a fresh message late", () => {
  for (const rate of [0.99, 1.01]) {
    const gauge = new LatenessGauge();
    for (let at = 0; at < 3_600_000; at += 1000) assert.ok(gauge.latenessMs(at * rate, at + 20) < 100);
  }
});

test("after a witness's clock jumped by a minute its peer's messages are late only for a moment", async (t) => {
  let jumpMs = 0;
  const [port] = (await freePorts(1)) as [number];
  const b = await member(2, [[1, "127.0.0.1:1"]], {
    listen: [`127.0.0.1:${port}`],
    nowMs: () => performance.now() + jumpMs,
  });
  const a = await member(1, [[2, `127.0.0.1:${port}`]]);
  const timer = setInterval(
    () => a.transport.send(witnessId("w2"), heartbeat(1, 2, 1), { urgent: true }),
    20,
  );
  t.after(async () => {
    clearInterval(timer);
    await Promise.all([a.transport.close(), b.transport.close()]);
  });
  await until(() => b.got.length > 20, "messages before");
  jumpMs = 60_000;
  await sleep(200);
  const during = b.got.length;
  await sleep(400);
  assert.equal(b.got.length, during, "what looks a minute old is dropped at first");
  await until(() => b.got.length > during + 20, "messages after");
  assert.ok((b.transport.stats()[0]?.refusedFrom.stale ?? 0) > 0, "the streams were ended to measure anew");
});

test("the loss estimate follows the share of late acknowledgements", () => {
  const trips = new RoundTrips();
  for (let i = 0; i < 500; i++) trips.add(10 + (i % 3));
  assert.ok(trips.lossEstimate < 0.01);
  // 30 % lost each way: 51 % of the round trips need a retransmission.
  for (let i = 0; i < 2000; i++) trips.add((i * 37) % 100 < 51 ? 230 : 11);
  assert.ok(Math.abs(trips.lossEstimate - 0.3) < 0.12, `${trips.lossEstimate}`);
  assert.ok((trips.floorMs ?? 0) < 100, "the floor is not carried away");
});
