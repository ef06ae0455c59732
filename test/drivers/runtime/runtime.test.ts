/**
 * The loop between core and world: order of effects, durability before words, and the end of a witness.
 */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { logIndex, NO_NODE, nodeId, term, witnessId } from "../../../src/core/base/ids.js";
import { message } from "../../../src/core/raft/raft.js";
import type { Effect } from "../../../src/core/witness/contract.js";
import { Witness } from "../../../src/core/witness/witness.js";
import { Runtime, type World } from "../../../src/drivers/runtime/runtime.js";
import { twoSites } from "../../sim/two-sites.js";

interface Stage {
  readonly runtime: Runtime;
  readonly log: string[];
  readonly halts: { readonly code: number; readonly thrown: unknown }[];
  /** Completes the oldest write, well or not. */
  finishWrite(error?: Error): Promise<void>;
  tick(times: number): void;
}

/** A real witness of three behind a world whose disk answers when the test says so. */
function stage(): Stage {
  const config = twoSites();
  const witness = new Witness({ self: witnessId("w-a"), config, configHash: "h", seed: 1, life: 1 });
  const log: string[] = [];
  const halts: Stage["halts"][number][] = [];
  const writes: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const world: World = {
    persist: (effect) => {
      log.push(`persist ${effect.write}`);
      return new Promise((resolve, reject) => writes.push({ resolve, reject }));
    },
    adopt: async () => undefined,
    compact: async ({ keepFrom }) => keepFrom,
    peers: () => undefined,
    send: ({ to, message }: Extract<Effect, { kind: "send" }>) => {
      // Views go out all the time; these tests are about what has to wait for the disk.
      if (message.kind === "raft") log.push(`send ${to} ${message.message.type}`);
    },
    probe: () => new Promise(() => undefined),
    actuate: () => new Promise(() => undefined),
    cancel: () => undefined,
    halt: (code, _reason, thrown) => void halts.push({ code, thrown }),
  };
  const runtime = new Runtime(witness, world, "test");
  runtime.post({
    kind: "restored",
    monoMs: 0,
    hardState: { term: term(0), vote: NO_NODE, commit: logIndex(0) },
    base: { index: logIndex(0), term: term(0) },
    entries: [],
    snapshot: null,
    adopted: null,
    disk: "disk-a",
    recovering: null,
  });
  let monoMs = 0;
  return {
    runtime,
    log,
    halts,
    finishWrite: async (error) => {
      const write = writes.shift();
      assert.ok(write, "a write is under way");
      if (error === undefined) write.resolve();
      else write.reject(error);
      await new Promise((resolve) => setImmediate(resolve));
    },
    tick: (times) => {
      for (let i = 0; i < times; i++) {
        monoMs += 25;
        runtime.post({ kind: "tick", monoMs, wallMs: monoMs });
      }
    },
  };
}

/** A message of w-b in term 5. */
function fromPeer(s: Stage, type: "MsgVote" | "MsgHeartbeat"): void {
  const sent = message({ type, from: nodeId(2), to: nodeId(1), term: term(5) });
  s.runtime.post({
    kind: "message",
    from: witnessId("w-b"),
    disk: "disk-b",
    message: { kind: "raft", message: sent },
  });
}

test("a vote leaves only after the write that it rides on is durable", async () => {
  const s = stage();
  s.tick(1);
  fromPeer(s, "MsgVote");
  assert.deepEqual(s.log, ["persist 1"]);
  await s.finishWrite();
  assert.deepEqual(s.log, ["persist 1", "send w-b MsgVoteResp"]);
});

test("a failed write ends the witness, and what rode on it is never sent", async () => {
  const s = stage();
  s.tick(1);
  fromPeer(s, "MsgVote");
  await s.finishWrite(new Error("EIO"));
  assert.deepEqual(s.log, ["persist 1"]);
  assert.deepEqual(
    s.halts.map(({ code }) => code),
    [74],
  );
  s.tick(100);
  assert.deepEqual(s.log, ["persist 1"], "a halted witness is not entered again");
});

test("when the witness stops, a waiting write may have happened and a waiting read has not", async () => {
  const s = stage();
  // A leader that this witness follows, so that it passes writes on and asks for reads.
  s.tick(1);
  fromPeer(s, "MsgVote");
  await s.finishWrite();
  fromPeer(s, "MsgHeartbeat");
  const never = new AbortController().signal;
  const write = s.runtime.request({ kind: "hold", group: "shop", by: "me", reason: "why" }, never);
  const read = s.runtime.request({ kind: "status", linearizable: true }, never);
  s.runtime.post({ kind: "stop" });
  const [answer, look] = await Promise.all([write, read]);
  assert.equal(answer.kind === "refused" && answer.code, "unknown_outcome");
  assert.equal(look.kind === "refused" && look.code, "stopping");
  assert.deepEqual(
    s.halts.map(({ code }) => code),
    [0],
  );
});

test("a request that comes after the end is answered at once instead of never", async () => {
  const s = stage();
  s.runtime.post({ kind: "stop" });
  const never = new AbortController().signal;
  const asked = s.runtime.request({ kind: "hold", group: "shop", by: "me", reason: "why" }, never);
  const answer = await Promise.race([asked, new Promise((resolve) => setImmediate(() => resolve(null)))]);
  assert.deepEqual(answer, {
    kind: "refused",
    code: "stopping",
    message: "this witness is stopping; ask another one",
    leader: null,
  });
});

test("an answered request leaves no listener on a signal that lives longer", async () => {
  const s = stage();
  const { signal } = new AbortController();
  for (let i = 0; i < 3; i++) await s.runtime.request({ kind: "status", linearizable: false }, signal);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("a bug in the core stops the witness with its own exit code instead of going on", () => {
  const s = stage();
  s.runtime.post({
    kind: "restored",
    monoMs: 0,
    hardState: { term: term(0), vote: NO_NODE, commit: logIndex(0) },
    base: { index: logIndex(0), term: term(0) },
    entries: [],
    snapshot: null,
    adopted: null,
    disk: "disk-a",
    recovering: null,
  });
  assert.equal(s.halts[0]?.code, 70);
  assert.match(String(s.halts[0]?.thrown), /restored twice/);
});

test("a process that was stopped knows it before it takes what lay in its sockets", () => {
  const s = stage();
  let monoMs = 25;
  const stop = s.runtime.startClock(1_000_000, () => monoMs);
  s.runtime.subscribe((event) => {
    if (event.kind === "warning") s.log.push(event.code);
  });
  monoMs += 2_000_000;
  fromPeer(s, "MsgHeartbeat");
  stop();
  assert.equal(s.log[0], "stalled");
  assert.ok(s.log.length > 1, "the heartbeat is answered then");
});
