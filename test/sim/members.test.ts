/**
 * Members that come and go in the world of virtual time: an emptied disk, a replaced witness, a new one, and
 * logs that are cut behind snapshots meanwhile.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Checks } from "../../sim/checks.js";
import { type Process, World } from "../../sim/world.js";
import { type WitnessId, witnessId } from "../../src/core/base/ids.js";
import type { AdminRequest, AdminResponse } from "../../src/core/model/admin.js";
import type { ClusterConfig } from "../../src/core/model/config.js";
import type { Effect } from "../../src/core/witness/contract.js";
import { twoSites } from "./two-sites.js";

/** A world whose witnesses cut their logs after a few entries. */
function cutting(seed: number): World {
  const limits = { snapshotBytes: 6000, keepEntries: 3 };
  const w = new World({ seed, config: twoSites(), loss: 0.02, delayMs: [5, 15], limits });
  new Checks(w);
  assert.ok(
    w.runUntil(() => w.processes.every(({ witness }) => (witness?.state.members.length ?? 0) === 3), 20_000),
    "the first document is replicated",
  );
  return w;
}

/** Asks whoever leads, again and again, until a write is decided. */
function write(w: World, request: AdminRequest): Extract<AdminResponse, { kind: "accepted" }> {
  let answer: AdminResponse | null = null;
  for (let tries = 0; tries < 40; tries++) {
    const target = w.processes.find(({ witness }) => witness?.leaderContactAgeMs(1e15) === 0);
    if (target !== undefined) {
      answer = null;
      w.request(target, request, (given) => {
        answer = given;
      });
      w.runUntil(() => answer !== null, 5000);
      const given = answer as AdminResponse | null;
      if (given?.kind === "accepted") return given;
    }
    w.run(500);
  }
  throw new Error(`${request.kind} is not decided: ${JSON.stringify(answer)}`);
}

/** Writes that grow the log. */
function busy(w: World, count: number): void {
  for (let i = 0; i < count; i++) {
    write(w, { kind: "hold", group: "shop", by: "ann", reason: `busy ${i} ${"x".repeat(200)}` });
    write(w, { kind: "resume", group: "shop", by: "ann" });
  }
}

const nodesOf = ({ witness }: Process): string =>
  (witness?.state.members ?? []).map(({ witness: id, node, role }) => `${id}=${node}:${role}`).join(" ");

/** Everybody who runs has applied the same. */
function agreed(w: World, members: string): boolean {
  const running = w.processes.filter(({ witness }) => witness !== null);
  const applied = new Set(running.map(({ witness }) => witness?.state.appliedIndex));
  return running.every((process) => nodesOf(process) === members) && applied.size === 1;
}

function warningsOf(w: World): string[] {
  const codes: string[] = [];
  w.onEffect = ({ id }: Process, effect: Effect) => {
    if (effect.kind === "publish" && effect.event.kind === "warning")
      codes.push(`${id} ${effect.event.code}`);
  };
  return codes;
}

/** The document with one more witness. */
function withWitness(id: WitnessId): ClusterConfig {
  const config = twoSites();
  const added = { id, site: null, peers: ["192.0.2.9:7400"], admin: "192.0.2.9:7401", dns: null };
  return { ...config, witnesses: [...config.witnesses, added] };
}

test("an emptied disk under its old id is refused with the way out, and replaced without a restart", () => {
  const w = cutting(1);
  w.run(3000);
  const lost = w.process("w-c");
  assert.ok(
    w.process("w-a").witness?.state.members.every(({ disk }) => disk !== null),
    "all are bound",
  );
  w.crash(lost);
  w.wipe(lost);
  busy(w, 12);
  const codes = warningsOf(w);
  w.start(lost);
  w.run(3000);
  assert.ok(codes.includes("w-c other_disk"), codes.join());
  write(w, {
    kind: "member_replace",
    witness: witnessId("w-c"),
    successor: null,
    site: null,
    peers: [],
    admin: null,
    dns: null,
    force: false,
    by: "ann",
  });
  const wanted = "w-a=1:voter w-b=2:voter w-c=4:voter";
  assert.ok(
    w.runUntil(() => agreed(w, wanted), 30_000),
    w.processes.map(nodesOf).join(" | "),
  );
  assert.equal(lost.disk.adopted?.node, 4);
  assert.ok(lost.disk.base.index > 0, "it caught up by a snapshot: the others had cut their logs");
  // It counts now, and the joint configuration is left: with it, one of the others may go.
  w.run(2000);
  w.crash(w.process("w-a"));
  busy(w, 2);
  w.start(w.process("w-a"));
  assert.ok(w.runUntil(() => agreed(w, wanted), 30_000));
});

test("a new witness learns all by a snapshot, is promoted, and may then stand in for another that is removed", () => {
  const w = cutting(2);
  busy(w, 12);
  const d = witnessId("w-d");
  write(w, {
    kind: "member_add",
    witness: d,
    site: null,
    peers: ["192.0.2.9:7400"],
    admin: "192.0.2.9:7401",
    dns: null,
    by: "ann",
  });
  const joined = w.join(d, withWitness(d));
  const learning = "w-a=1:voter w-b=2:voter w-c=3:voter w-d=4:learner";
  assert.ok(
    w.runUntil(() => agreed(w, learning), 30_000),
    w.processes.map(nodesOf).join(" | "),
  );
  assert.ok(joined.disk.base.index > 0, "by a snapshot");
  write(w, { kind: "member_promote", witness: d, by: "ann" });
  write(w, { kind: "member_remove", witness: witnessId("w-b"), force: false, by: "ann" });
  const others = w.processes.filter(({ id }) => id !== "w-b");
  const wanted = "w-a=1:voter w-c=3:voter w-d=4:voter";
  assert.ok(w.runUntil(() => others.every((process) => nodesOf(process) === wanted), 30_000));
  assert.deepEqual(
    joined.witness?.state.config?.witnesses.map(({ id }) => id),
    ["w-a", "w-c", "w-d"],
    "verdicts count the voters",
  );
  // The others' documents do not name it; as a leader it hears what they see all the same.
  const leads = (): boolean => joined.witness?.leaderContactAgeMs(1e15) === 0;
  for (let i = 0; i < 20 && !leads(); i++) {
    w.request(w.process("w-a"), { kind: "transfer", to: d }, () => undefined);
    w.runUntil(leads, 1000);
  }
  assert.ok(leads(), "it leads");
  w.run(4000);
  w.outside.set("shop/a/api", "refused");
  assert.ok(
    w.runUntil(() => w.outside.name("shop")?.site === "b", 10_000),
    "a leader that joined later moves the name",
  );
  w.crash(w.process("w-b"));
  busy(w, 2);
  w.crash(w.process("w-a"));
  busy(w, 2);
});

test("a leader that is removed makes room, and the rest goes on", () => {
  const w = cutting(3);
  const leads = w.processes.find(({ witness }) => witness?.leaderContactAgeMs(1e15) === 0);
  assert.ok(leads);
  write(w, { kind: "member_remove", witness: leads.id, force: true, by: "ann" });
  busy(w, 3);
  const others = w.processes.filter((process) => process !== leads);
  assert.ok(others.every((process) => !nodesOf(process).includes(`${leads.id}=`)));
});

test("members are replaced while witnesses crash and the log is cut, and all end with one state", () => {
  for (let seed = 10; seed < 16; seed++) {
    const w = cutting(seed);
    w.run(2000);
    let node = 4;
    for (const id of ["w-c", "w-a", "w-b"]) {
      const lost = w.process(id);
      w.crash(lost);
      w.wipe(lost);
      busy(w, 4);
      write(w, {
        kind: "member_replace",
        witness: lost.id,
        successor: null,
        site: null,
        peers: [],
        admin: null,
        dns: null,
        force: false,
        by: "ann",
      });
      w.start(lost);
      w.run(300 * (seed % 4));
      w.crash(lost);
      w.start(lost);
      const wanted = `${id}=${node}:voter`;
      assert.ok(
        w.runUntil(() => w.processes.every((process) => nodesOf(process).includes(wanted)), 40_000),
        `seed ${seed}: ${w.processes.map(nodesOf).join(" | ")}`,
      );
      // The joint configuration is left; before that the lost member still counts in its outgoing half.
      w.run(2000);
      node++;
    }
    assert.ok(
      w.runUntil(() => agreed(w, "w-c=4:voter w-a=5:voter w-b=6:voter"), 20_000),
      `seed ${seed}`,
    );
    const [first, ...rest] = w.processes.map(({ witness }) => JSON.stringify(witness?.state));
    for (const state of rest) assert.equal(state, first);
  }
});
