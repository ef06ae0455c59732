/**
 * A disk that stands still while its process lives; and who leads among equals.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "./cluster.js";

/** Rounds in which the disks of `stalled` write nothing; everybody ticks once a round. */
function live(cluster: Cluster, rounds: number, stalled: readonly number[]): void {
  for (let i = 0; i < rounds; i++) {
    for (const { id, node } of cluster.hosts) if (cluster.host(id).up) node.tick();
    for (let step = 0; step < 20; step++) {
      for (const host of cluster.hosts) {
        while (host.node.hasReady()) cluster.takeReady(host.id);
        if (!stalled.includes(host.id)) while (host.appends.length > 0) cluster.writeOne(host.id);
        while (host.applies.length > 0) cluster.applyOne(host.id);
      }
      for (const m of cluster.network.splice(0)) cluster.deliver(m);
    }
  }
}

const leaderOf = (cluster: Cluster): number[] =>
  cluster.hosts.filter(({ node }) => node.status().state === "StateLeader").map(({ id }) => id);

test("a leader whose disk stands still hands over while its ticks go on, and what it took is kept", () => {
  const cluster = new Cluster(3, { checkQuorum: true, preVote: true });
  cluster.campaign(1);
  cluster.propose(1, "sent before the stall was noticed");
  live(cluster, 1, [1]);
  cluster.node(1).setStorageStalled(true);
  live(cluster, 3, [1]);
  const [leader = 0] = leaderOf(cluster).filter((id) => id !== 1);
  assert.ok(leader > 0, "nobody took over");
  assert.ok(cluster.log(leader).some((line) => line.endsWith("sent before the stall was noticed")));
  assert.equal(cluster.propose(leader, "after").kind, "accepted");
  live(cluster, 3, [1]);
  assert.ok((cluster.node(leader).status().commit ?? 0) >= 4, "the group goes on");
});

test("a member whose disk stands still neither votes nor acknowledges nor stands for election", () => {
  const cluster = new Cluster(3, { checkQuorum: true });
  cluster.campaign(1);
  cluster.node(3).setStorageStalled(true);
  cluster.crash(1);
  cluster.host(1).up = false;
  cluster.tick(3, 40);
  assert.equal(cluster.node(3).status().state, "StateFollower");
  cluster.tick(2, 40);
  cluster.takeReady(2);
  cluster.writeOne(2);
  for (const m of cluster.network.splice(0)) cluster.deliver(m);
  while (cluster.node(3).hasReady()) cluster.takeReady(3);
  assert.equal(cluster.network.length, 0, "its vote waits for its disk");
  assert.equal(cluster.host(3).appends.length > 0, true);
});

test("a leader with nobody to hand over to reigns on", () => {
  const cluster = new Cluster(3, { checkQuorum: false });
  cluster.campaign(1);
  cluster.node(1).setStorageStalled(true);
  cluster.tick(1, 30);
  assert.equal(cluster.node(1).status().state, "StateLeader");
});

test("among equals the preferred member is elected, and without it another one is, soon", () => {
  let won = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const cluster = new Cluster(3, { checkQuorum: true, preVote: true, seed });
    for (const { id, node } of cluster.hosts) {
      node.setPreferred(id === 2 ? "yes" : "no");
      // The setting counts when a timeout is next drawn, as it is after the first election.
      node.campaign();
    }
    live(cluster, 60, []);
    const [first = 0] = leaderOf(cluster);
    cluster.host(first).up = false;
    for (const host of cluster.hosts)
      if (host.id !== first && host.node.status().lead === first) host.up = true;
    const others = cluster.hosts.filter(({ id }) => id !== first);
    for (let i = 0; i < 60 && leaderOf(cluster).filter((id) => id !== first).length === 0; i++) {
      for (const { node } of others) node.tick();
      cluster.settle((m) => m.to !== first && m.from !== first);
    }
    const [second = 0] = leaderOf(cluster).filter((id) => id !== first);
    assert.ok(second > 0, `seed ${seed}: no leader after the first was lost`);
    if (first !== 2 && second === 2) won++;
    if (first === 2) won++;
  }
  assert.equal(won, 20);
});
