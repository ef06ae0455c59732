/**
 * A disk that stands still under a process that lives, with real processes and a real file system that is frozen: the
 * leader hands over, the group goes on, and the stalled witness says what is the matter and catches up afterwards.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { act } from "./act.js";
import { Cluster } from "./cluster.js";
import { GROUP, type WitnessName } from "./document.js";
import { type FrozenDisk, mountFrozenDisk } from "./frozen-disk.js";
import { LOOPBACK } from "./machine.js";
import { until } from "./until.js";

/** As in the document of the tests. */
const ELECTION_MS = 1000;
/** Far more than two election timeouts, for machines that do other things meanwhile. */
const HAND_OVER_MS_MAX = 10_000;
/** The witness whose disk stands still. Not the one beside the primary, which gives the lead away by itself. */
const STALLED = "w-c";
const OTHERS: readonly WitnessName[] = ["w-a", "w-b"];

test("the disk of a witness stands still under load, first the leader's, then a follower's", {
  timeout: 300_000,
}, async (t) => {
  const disk = mountFrozenDisk(t);
  if (disk === null) return;
  const cluster = await Cluster.start({
    machines: { "w-a": LOOPBACK, "w-b": LOOPBACK, "w-c": LOOPBACK },
    embeddedDns: true,
    dataOf: { [STALLED]: `${disk.path}/data` },
  });
  t.after(() => cluster.destroy());
  try {
    await play(t, cluster, disk);
  } catch (error) {
    process.stderr.write(`${await cluster.tails()}\n`);
    throw error;
  } finally {
    // Before anything else: nothing that writes to it can be ended while it is frozen.
    disk.thaw();
  }
});

async function play(t: TestContext, cluster: Cluster, disk: FrozenDisk): Promise<void> {
  await cluster.settled("w-b", "a");
  await cluster.calm("w-b");

  await act(t, "the leader's disk stands still: another one leads, and the group goes on", async () => {
    await lead(cluster, STALLED);
    const { term } = (await cluster.status(STALLED)).raft;
    const lines = (await cluster.logLines(STALLED)).length;
    disk.freeze();
    const frozenAtMs = Date.now();
    // The first write that hangs; what becomes of it is for the next leader to say.
    const lost = cluster
      .ask(STALLED, { kind: "hold", group: GROUP, by: "e2e", reason: "to a stalled disk" }, 30_000)
      .catch(String);
    const next = await cluster.leader(OTHERS);
    const led = (await cluster.logLines(next)).find(
      (line) =>
        line["event"] === "role" && String(line["msg"]).startsWith("leader") && Number(line["term"]) > term,
    );
    const tookMs = Date.parse(String(led?.["time"])) - frozenAtMs;
    await said(cluster, /has not finished a write for \d+ ms/, lines);
    const told = (await cluster.logLines(STALLED)).slice(lines);
    const noticed = told.find((line) => line["code"] === "disk_stalled");
    const noticedMs = Date.parse(String(noticed?.["time"])) - frozenAtMs;
    t.diagnostic(`the stall is noticed after ${(noticedMs / ELECTION_MS).toFixed(2)} election timeouts`);
    t.diagnostic(`another one leads after ${(tookMs / ELECTION_MS).toFixed(2)} election timeouts`);
    assert.ok(tookMs < HAND_OVER_MS_MAX, `another one leads after ${tookMs} ms`);
    await accepted(cluster, next, "while the disk of the other one stands still");
    const { raft } = await cluster.status(STALLED);
    assert.notEqual(raft.role, "leader", "it lives, answers, and does not lead");
    assert.ok((raft.disk.stalledMs ?? 0) > ELECTION_MS, JSON.stringify(raft.disk));
    t.diagnostic(`the write to the stalled leader ended as ${JSON.stringify(await lost)}`);
    disk.thaw();
    await caughtUp(cluster);
  });

  await act(t, "a follower's disk stands still: nothing moves, and it stands out in the status", async () => {
    const leader = "w-b";
    await lead(cluster, leader);
    const { term } = (await cluster.status(leader)).raft;
    const lines = (await cluster.logLines(STALLED)).length;
    disk.freeze();
    await accepted(cluster, leader, "while the disk of a follower stands still");
    await said(cluster, /has not finished a write for \d+ ms/, lines);
    // Long enough for several elections, if there were to be any.
    await sleep(5 * ELECTION_MS);
    const { raft } = await cluster.status(leader);
    assert.deepEqual([raft.role, raft.term], ["leader", term], "nothing moves");
    const slow = raft.peers.filter(({ slowMs }) => slowMs !== null).map(({ witness }) => witness);
    assert.deepEqual(slow, [STALLED], JSON.stringify(raft.peers));
    assert.ok(
      raft.peers.every(({ silentMs }) => silentMs === null),
      "slow is not dead",
    );
    await accepted(cluster, leader, "and still");
    disk.thaw();
    await caughtUp(cluster);
    assert.equal(
      (await cluster.status(leader)).raft.term,
      term,
      "and it is no reason for an election afterwards",
    );
    await said(cluster, /the disk writes again/, lines);
    await cluster.kill(STALLED);
    await until("dead is not slow", async () => {
      const gone = (await cluster.status(leader)).raft.peers.find(({ witness }) => witness === STALLED);
      return gone !== undefined && gone.silentMs !== null && gone.slowMs === null;
    });
  });
}

/** Makes a witness the leader. */
async function lead(cluster: Cluster, id: WitnessName): Promise<void> {
  await until(`${id} leads`, async () => {
    const answer = await cluster.ask("w-b", { kind: "transfer", to: id as never });
    return answer.kind === "accepted" && (await cluster.leader()) === id;
  });
}

/** The group is put on hold through that witness. */
async function accepted(cluster: Cluster, via: string, reason: string): Promise<void> {
  await until(`a hold "${reason}" is accepted`, async () => {
    const answer = await cluster.ask(via, { kind: "hold", group: GROUP, by: "e2e", reason });
    if (answer.kind !== "accepted") throw new Error(JSON.stringify(answer));
    return true;
  });
}

/** The stalled witness has logged such a `disk_stalled` after so many lines. */
async function said(cluster: Cluster, words: RegExp, lines: number): Promise<void> {
  await until(`${STALLED} says ${words}`, async () => {
    const told = (await cluster.logLines(STALLED)).slice(lines);
    return told.some((line) => line["code"] === "disk_stalled" && words.test(String(line["msg"])));
  });
}

/** All follow one leader and have one history. */
async function caughtUp(cluster: Cluster): Promise<void> {
  await cluster.leader();
  await until("all have the same history", async () => {
    const [first, ...others] = await Promise.all(cluster.witnesses.map(({ id }) => cluster.history(id)));
    return others.every((history) => JSON.stringify(history) === JSON.stringify(first));
  });
}
