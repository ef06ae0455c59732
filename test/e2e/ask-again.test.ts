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

const ROUNDS = 3;

/** The leader has a write in its log that it cannot commit, since the others stand still; it is killed with it. */
async function loseLeaderWithWrite(cluster: Cluster, reason: string): Promise<Ended> {
  const leader = await cluster.leader();
  const others = WITNESSES.filter((id) => id !== leader);
  const addresses = [leader, ...others].flatMap((id) => ["-a", cluster.place(id).admin]);
  for (const id of others) cluster.signal(id, "SIGSTOP");
  try {
    const before = (await cluster.status(leader)).raft.lastIndex;
    const words = ["hold", GROUP, "--reason", reason, "--by", "e2e", "--json", "--patience", "2m"];
    const ended = command([...words, ...addresses]);
    await until(
      "the leader took the write",
      async () => (await cluster.status(leader)).raft.lastIndex > before,
      {
        everyMs: 5,
      },
    );
    await cluster.kill(leader);
    for (const id of others) cluster.signal(id, "SIGCONT");
    return await ended;
  } finally {
    for (const id of others) cluster.signal(id, "SIGCONT");
    await cluster.startWitness(leader);
  }
}

test("a write whose leader is killed with it ends with its true outcome, and is applied once", {
  timeout: 600_000,
}, async (t) => {
  const machines = { "w-a": LOOPBACK, "w-b": LOOPBACK, "w-c": LOOPBACK };
  await withCluster({ machines, embeddedDns: true }, async (cluster) => {
    for (let round = 1; round <= ROUNDS; round++) {
      const reason = `round ${round} of the lost leader`;
      const { exit, stdout, stderr } = await loseLeaderWithWrite(cluster, reason);
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
  });
});
