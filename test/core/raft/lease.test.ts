/**
 * Reads on a lease: when they need no round, and when the lease is void; and voters that were just restarted.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextBelow, randomState } from "../../../src/core/base/random.js";
import type { Message } from "../../../src/core/raft/raft.js";
import { among, Cluster, text } from "./cluster.js";

const LEASE = { checkQuorum: true, preVote: true, readOnlyOption: "lease-based" } as const;

/** A cluster of three that 1 leads, with its lease in force. */
function leased(): Cluster {
  const cluster = new Cluster(3, LEASE);
  cluster.campaign(1);
  cluster.tick(1, 1);
  cluster.settle();
  return cluster;
}

/** What `id` answers to a read without any message of anybody. */
function answersAlone(cluster: Cluster, id: number): string[] {
  cluster.host(id).readStates = [];
  cluster.node(id).readIndex(Buffer.from("r"));
  cluster.settle(() => false);
  return cluster.host(id).readStates.map(({ index, context }) => `${text(context)}@${index}`);
}

test("dissertation 6.4.1: a read on a lease needs no round; a follower must not forget the leader that has it", () => {
  const cluster = leased();
  assert.deepEqual(answersAlone(cluster, 1), ["r@1"]);
  cluster.node(2).forgetLeader();
  assert.equal(cluster.node(2).status().lead, 1);
  assert.throws(() => new Cluster(3, { readOnlyOption: "lease-based" }), /checkQuorum/);
});

test("without an answered heartbeat there is no lease, and the read asks a quorum", () => {
  const cluster = new Cluster(3, LEASE);
  cluster.campaign(1);
  assert.deepEqual(answersAlone(cluster, 1), []);
  cluster.node(1).readIndex(Buffer.from("asked"));
  cluster.settle();
  assert.deepEqual(
    cluster.host(1).readStates.map(({ context }) => text(context)),
    ["r", "asked"],
  );
});

test("dissertation 6.4.1: the lease ends before an election timeout after the heartbeat was sent", () => {
  const cluster = leased();
  let held = 0;
  while (answersAlone(cluster, 1).length > 0) {
    cluster.tick(1, 1);
    held++;
    assert.ok(held < 10, "the lease outlives the election timeout");
  }
  assert.ok(held >= 5, `the lease held for ${held} of 10 ticks only`);
});

test("dissertation 6.4.1: the lease is counted from the sending of a heartbeat, not from its late answer", () => {
  const cluster = leased();
  // The answers to one heartbeat are long on their way.
  cluster.tick(1, 1);
  const late: Message[] = [];
  cluster.onSend = (m) => {
    if (m.type === "MsgHeartbeatResp") late.push(m);
  };
  cluster.settle((m) => m.type === "MsgHeartbeat");
  cluster.onSend = () => {};
  assert.equal(late.length, 2);
  const unheard = (ticks: number): void => {
    for (let i = 0; i < ticks; i++) {
      cluster.tick(1, 1);
      cluster.settle(() => false);
    }
  };
  unheard(6);
  for (const m of late) cluster.deliver(m);
  assert.deepEqual(answersAlone(cluster, 1), ["r@1"], "it is still young enough");
  unheard(3);
  assert.deepEqual(answersAlone(cluster, 1), []);
});

test("a pause voids the lease: the ticks do not say how long it was", () => {
  const cluster = leased();
  cluster.node(1).voidLease();
  assert.deepEqual(answersAlone(cluster, 1), []);
  cluster.tick(1, 1);
  cluster.settle();
  assert.deepEqual(answersAlone(cluster, 1), ["r@1"]);
});

test("dissertation 6.4.1: who asked another to take over has no lease again in that term, though the other did not", () => {
  const cluster = leased();
  cluster.node(1).transferLeader(cluster.host(2).id);
  cluster.settle(among(1, 3));
  for (let i = 0; i < 12; i++) {
    cluster.tick(1, 1);
    cluster.settle((m) => m.type === "MsgHeartbeat" || m.type === "MsgHeartbeatResp");
  }
  assert.equal(cluster.node(1).status().state, "StateLeader");
  assert.equal(cluster.node(1).status().leadTransferee, 0, "the attempt was given up");
  assert.deepEqual(answersAlone(cluster, 1), [], "the message to take over may still arrive");
});

test("a voter that was restarted gives no vote for an election timeout: it may just have supported a leader", () => {
  const cluster = leased();
  cluster.crash(2);
  cluster.restart(2);
  // 3 lost its leader long ago and would win with 2; 1 still has the lease that 2 gave it.
  cluster.tick(3, 20);
  cluster.settle(among(2, 3));
  assert.notEqual(cluster.node(3).status().state, "StateLeader");
  assert.deepEqual(answersAlone(cluster, 1), ["r@1"]);
  cluster.node(2).setRandomizedElectionTimeout(100);
  cluster.tick(2, 10);
  cluster.tick(3, 20);
  cluster.settle(among(2, 3));
  assert.equal(cluster.node(3).status().state, "StateLeader", "and after that it votes again");
});

/**
 * One run at random: every member's ticks at a rate of its own within the drift, messages late or lost,
 * restarts. Checks at each moment that who answers a read alone is not outlived by a leader of a later term.
 */
function runWithDrift(seed: number): number {
  const random = randomState(seed, "lease");
  const drift = 0.05;
  const cluster = new Cluster(3, { ...LEASE, maxClockDrift: drift, electionTick: 20, seed });
  const rates = cluster.hosts.map(() => 1 + (nextBelow(random, 201) / 100 - 1) * drift);
  const due = rates.map(() => nextBelow(random, 100) / 100);
  let answered = 0;
  const late: { at: number; m: (typeof cluster.network)[number] }[] = [];
  for (let now = 0; now < 400; now += 0.1) {
    for (const host of cluster.hosts) {
      while ((due[host.id - 1] ?? 0) <= now) {
        host.node.tick();
        due[host.id - 1] = (due[host.id - 1] ?? 0) + 1 / (rates[host.id - 1] ?? 1);
      }
      if (nextBelow(random, 4000) === 0) {
        cluster.crash(host.id);
        cluster.restart(host.id);
      }
    }
    cluster.round(
      () => false,
      () => true,
    );
    for (const m of cluster.network.splice(0)) {
      const slow = nextBelow(random, 10) === 0;
      if (nextBelow(random, 6) > 0) late.push({ at: now + nextBelow(random, slow ? 300 : 20) / 10, m });
    }
    for (let i = late.length - 1; i >= 0; i--) {
      const next = late[i];
      if (next === undefined || next.at > now) continue;
      late.splice(i, 1);
      cluster.deliver(next.m);
    }
    const leaders = cluster.hosts.filter(({ node }) => node.status().state === "StateLeader");
    const newest = Math.max(0, ...leaders.map(({ node }) => node.status().term));
    for (const host of leaders) {
      host.readStates = [];
      host.node.readIndex(Buffer.from("now"));
      // What is answered at once was answered on the lease: no message has been delivered in between.
      while (host.node.hasReady()) cluster.takeReady(host.id);
      if (host.readStates.length === 0) continue;
      answered++;
      assert.equal(host.node.status().term, newest, `seed ${seed}: ${host.id} answers beside a later leader`);
    }
  }
  return answered;
}

test("dissertation 6.4.1: nobody answers on a lease once a later leader is elected, whatever clocks drift and messages do", () => {
  let answered = 0;
  for (let seed = 1; seed <= 25; seed++) answered += runWithDrift(seed);
  assert.ok(answered > 1000, `only ${answered} reads were answered on a lease: this shows little`);
});
