/**
 * The leader is killed right after it took a write, before anybody can know whether it is decided. The command
 * asks again by itself and ends with what is true: exit 0, and the write stands in the history once.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cluster, withCluster } from "./cluster.js";
import { command, type Ended } from "./command.js";
import { GROUP, WITNESSES } from "./document.js";
import { LOOPBACK } from "./machine.js";
import { until } from "./until.js";

const ROUNDS = 2;
const ROUNDS_MAX = 10;

/** Longer, and a leader whose followers stand still may have stepped down before the write came. */
const TAKEN_MS = 1500;

/**
 * The leader has a write in its log that it cannot commit, since the others stand still; it is killed with it.
 * Null when it had stepped down before the command had started, on a busy machine.
 */
async function loseLeaderWithWrite(cluster: Cluster, reason: string): Promise<Ended | null> {
  const leader = await cluster.leader();
  const others = WITNESSES.filter((id) => id !== leader);
  const addresses = [leader, ...others].flatMap((id) => ["-a", cluster.place(id).admin]);
  const words = ["hold", GROUP, "--reason", reason, "--by", "e2e", "--json", "--patience", "2m"];
  for (const id of others) cluster.signal(id, "SIGSTOP");
  const before = (await cluster.status(leader)).raft.lastIndex;
  const ended = command([...words, ...addresses]);
  let taken = true;
  try {
    const look = async () => (await cluster.status(leader)).raft.lastIndex > before;
    await until("the leader took the write", look, { everyMs: 5, timeoutMs: TAKEN_MS });
    await cluster.kill(leader);
  } catch {
    taken = false;
  }
  for (const id of others) cluster.signal(id, "SIGCONT");
  const end = await ended;
  if (taken) await cluster.startWitness(leader);
  return taken ? end : null;
}

test("a write whose leader is killed with it ends with its true outcome, and is applied once", {
  timeout: 600_000,
}, async (t) => {
  const machines = { "w-a": LOOPBACK, "w-b": LOOPBACK, "w-c": LOOPBACK };
  await withCluster({ machines, embeddedDns: true }, async (cluster) => {
    let struck = 0;
    for (let round = 1; struck < ROUNDS && round <= ROUNDS_MAX; round++) {
      const reason = `round ${round} of the lost leader`;
      const ended = await loseLeaderWithWrite(cluster, reason);
      if (ended === null) continue;
      struck++;
      const { exit, stdout, stderr } = ended;
      assert.equal(exit, 0, stderr);
      assert.match(stderr, /asking again/);
      const { index } = JSON.parse(stdout) as { index: number };
      const witness = await cluster.leader();
      const holds = (await cluster.history(witness)).filter(
        ({ kind, message }) => kind === "hold" && message.includes(reason),
      );
      assert.deepEqual(
        holds.map((record) => record.index),
        [index],
      );
      t.diagnostic(`round ${round}: index ${index}; ${stderr.trim().split("\n").join(" | ")}`);
    }
    assert.ok(struck > 0, "no leader was killed with a write in its log");
  });
});
