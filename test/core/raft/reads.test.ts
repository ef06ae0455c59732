/**
 * Linearizable reads (dissertation, section 6.4): confirmed by a quorum, and never from a deposed leader.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../../src/core/raft/raft.js";
import { among, Cluster, text } from "./cluster.js";

const ask = (cluster: Cluster, id: number, context: string) =>
  cluster.node(id).readIndex(new Uint8Array(Buffer.from(context)));
const answers = (cluster: Cluster, id: number) =>
  cluster.host(id).readStates.map((read) => `${text(read.context)}@${read.index}`);

test("dissertation 6.4: a read at the leader or a follower is answered at the commit index of its time", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  ask(cluster, 1, "a");
  ask(cluster, 2, "b");
  cluster.settle();
  cluster.propose(1, "x");
  cluster.settle();
  ask(cluster, 1, "c");
  cluster.settle();
  assert.deepEqual(answers(cluster, 1), ["a@1", "c@2"]);
  assert.deepEqual(answers(cluster, 2), ["b@1"]);
});

test("paper 8, dissertation 6.4: a new leader answers only after it has committed an entry of its own term (etcd #7331)", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "x");
  // 3 has x, and does not know that it is committed.
  cluster.settle((m) => !(m.to === 3 && m.commit === 2));
  cluster.node(3).campaign();
  cluster.settle((m) => m.type !== "MsgApp" && m.from !== 1);
  assert.equal(cluster.node(3).status().state, "StateLeader");
  ask(cluster, 3, "r");
  cluster.settle((m) => m.type !== "MsgApp" && m.from !== 1);
  assert.deepEqual(answers(cluster, 3), []);
  cluster.tick(3, 1);
  cluster.settle();
  assert.deepEqual(answers(cluster, 3), ["r@3"]);
});

test("paper 8, dissertation 6.4: a deposed leader that does not know it answers no read", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.node(2).campaign();
  cluster.settle(among(2, 3));
  cluster.propose(2, "newer");
  cluster.settle(among(2, 3));
  assert.equal(cluster.node(1).status().state, "StateLeader");
  ask(cluster, 1, "r");
  cluster.settle();
  assert.deepEqual(answers(cluster, 1), []);
});

test("a read that is asked again with the same context is not confirmed by the answer to the first (etcd-io/raft #397)", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  const late: Message[] = [];
  ask(cluster, 1, "same");
  cluster.takeReady(1);
  cluster.settle((m) => {
    if (m.type === "MsgHeartbeatResp") late.push(m);
    return m.type !== "MsgHeartbeatResp";
  });
  // 1 is cut off; 2 is elected and writes.
  cluster.node(2).campaign();
  cluster.settle(among(2, 3));
  cluster.propose(2, "newer");
  cluster.settle(among(2, 3));
  ask(cluster, 1, "same");
  for (const m of late) cluster.deliver(m);
  cluster.settle(() => false);
  // The first of the two may be confirmed, since 1 did lead when it was asked; the second must not.
  assert.equal(answers(cluster, 1).length, 1);
});

test("one lost round of heartbeats delays a read, the next heartbeat carries it", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  ask(cluster, 1, "r");
  cluster.settle((m) => m.type !== "MsgHeartbeat");
  assert.deepEqual(answers(cluster, 1), []);
  cluster.tick(1, 1);
  cluster.settle();
  assert.deepEqual(answers(cluster, 1), ["r@1"]);
});

test("dissertation 6.4: a minority's answers do not confirm a read", () => {
  const cluster = new Cluster(5);
  cluster.campaign(1);
  ask(cluster, 1, "r");
  cluster.settle(among(1, 2));
  assert.deepEqual(answers(cluster, 1), []);
  cluster.tick(1, 1);
  cluster.settle(among(1, 2, 3));
  assert.deepEqual(answers(cluster, 1), ["r@1"]);
});

test("a leader that loses its office drops its reads, and a read without a leader is dropped", () => {
  const cluster = new Cluster(3);
  ask(cluster, 1, "early");
  cluster.campaign(1);
  ask(cluster, 1, "r");
  cluster.settle((m) => m.type !== "MsgHeartbeatResp");
  cluster.node(2).campaign();
  cluster.settle();
  assert.equal(cluster.node(1).status().lead, 2);
  // Elected once more it must not go on with them either: they hold a commit index from when others may
  // have led unseen.
  cluster.campaign(1);
  for (let i = 0; i < 5; i++) {
    ask(cluster, 1, `later${i}`);
    cluster.settle();
  }
  assert.deepEqual(
    answers(cluster, 1).map((answer) => answer.split("@")[0]),
    ["later0", "later1", "later2", "later3", "later4"],
  );
});

test("a single voter answers at once", () => {
  const cluster = new Cluster(1);
  cluster.campaign(1);
  ask(cluster, 1, "r");
  cluster.settle();
  assert.deepEqual(answers(cluster, 1), ["r@1"]);
});
