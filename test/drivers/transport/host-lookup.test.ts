/**
 * Names of peers are never waited for once they were known.
 */
import assert from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import { test } from "node:test";
import { witnessId } from "../../../src/core/base/ids.js";
import { HostLookup, type Resolve } from "../../../src/drivers/transport/host-lookup.js";
import { freePorts, heartbeat, member, until } from "./helpers.js";

type Done = Parameters<Resolve>[1];
const found = (address: string): LookupAddress[] => [{ address, family: 4 }];

function setUp() {
  const asked: Done[] = [];
  let nowMs = 0;
  const cache = new HostLookup(
    () => nowMs,
    (_, done) => void asked.push(done),
  );
  const ask = () =>
    new Promise<string>((resolve) => {
      cache.lookup("peer", {}, (error, address) =>
        resolve(error === null ? String(address) : `error ${error.message}`),
      );
    });
  return { asked, ask, pass: (ms: number) => (nowMs += ms) };
}

test("while a look-up hangs no second one is started, however often is dialled", async () => {
  const { asked, ask } = setUp();
  const answers = Array.from({ length: 100 }, ask);
  assert.equal(asked.length, 1);
  asked[0]?.(null, found("192.0.2.1"));
  assert.deepEqual(new Set(await Promise.all(answers)), new Set(["192.0.2.1"]));
});

test("an old answer is used at once while a new one is asked for, and survives the failure of DNS", async () => {
  const { asked, ask, pass } = setUp();
  const first = ask();
  asked[0]?.(null, found("192.0.2.1"));
  await first;
  pass(60_000);
  assert.equal(await ask(), "192.0.2.1");
  assert.equal(asked.length, 2);
  asked[1]?.(new Error("SERVFAIL"), []);
  assert.equal(await ask(), "192.0.2.1");
  assert.equal(asked.length, 3);
  asked[2]?.(null, found("192.0.2.2"));
  assert.equal(await ask(), "192.0.2.2");
  assert.equal(asked.length, 3, "the answer is fresh");
});

test("a name that never had an answer is asked for again at the next dial", async () => {
  const { asked, ask } = setUp();
  const first = ask();
  asked[0]?.(new Error("NXDOMAIN"), []);
  assert.equal(await first, "error NXDOMAIN");
  void ask();
  assert.equal(asked.length, 2);
});

test("peers may be given by name", async (t) => {
  const [port] = (await freePorts(1)) as [number];
  const b = await member(2, [[1, "127.0.0.1:1"]], { listen: [`127.0.0.1:${port}`] });
  const a = await member(1, [[2, `localhost:${port}`]]);
  t.after(() => Promise.all([a.transport.close(), b.transport.close()]));
  a.transport.send(witnessId("w2"), heartbeat(1, 2, 1), { urgent: true });
  await until(() => b.got.length === 1, "the message");
});
