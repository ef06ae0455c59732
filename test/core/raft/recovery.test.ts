/**
 * A member that lost durable log: it neither votes nor counts until a leader's commit covers its loss.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, nodeId, term } from "../../../src/core/base/ids.js";
import { type Message, message } from "../../../src/core/raft/raft.js";
import { among, Cluster } from "./cluster.js";

/**
 * Three members with a, b and c committed everywhere in term 1; then the disk of 2 falls back to its first
 * entry.
 */
function afterLoss(): Cluster {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  for (const data of ["a", "b", "c"]) cluster.propose(1, data);
  cluster.settle();
  cluster.crash(2);
  cluster.host(2).disk.entries.splice(1);
  cluster.restart(2, { ackedIndex: logIndex(4), term: term(1) });
  return cluster;
}

const from = (type: Message["type"], sender: number, to: number, rest: Partial<Message> = {}) =>
  message({ ...rest, type, from: nodeId(sender), to: nodeId(to) });

test("a member that lost log gives no vote and no pre-vote and does not campaign, whoever asks", () => {
  const cluster = afterLoss();
  cluster.network = [];
  const best = { index: logIndex(99), logTerm: term(5) };
  cluster.node(2).step(from("MsgPreVote", 3, 2, { term: term(6), ...best }));
  cluster.node(2).step(from("MsgVote", 3, 2, { term: term(6), ...best }));
  cluster.settle(() => false);
  assert.equal(cluster.node(2).status().vote, 0);
  assert.equal(cluster.node(2).status().term, 6, "the term is adopted, as by anybody");
  cluster.node(2).campaign();
  cluster.node(2).step(from("MsgTimeoutNow", 3, 2, { term: term(6) }));
  cluster.tick(2, 100);
  assert.equal(cluster.node(2).status().state, "StateFollower");
});

test("the leader believes the loss below what it remembers, and the member votes again when its commit covers it", () => {
  const cluster = afterLoss();
  assert.deepEqual(cluster.node(2).status().recovering, { ackedIndex: 4, term: 1 });
  // Nothing new is proposed: the heartbeat alone must bring it about.
  cluster.tick(1, 1);
  cluster.settle();
  assert.equal(cluster.node(2).status().recovering, null);
  assert.deepEqual(cluster.log(2), cluster.log(1));
  assert.equal(cluster.node(1).status().progress[1]?.match, 4);
  assert.equal(cluster.node(1).status().progress[1]?.recovering, false);
});

test("the commit index of the leader stays while what it counts shrinks, and the lost copy is not counted twice", () => {
  const cluster = afterLoss();
  cluster.tick(1, 1);
  cluster.settle((m) => m.type !== "MsgApp");
  const status = cluster.node(1).status();
  assert.equal(status.commit, 4);
  assert.equal(status.progress[1]?.match, 0, "nothing of what is left is known to agree");
  assert.equal(status.progress[1]?.recovering, true);
});

test("a heartbeat's commit index is not followed into entries that were never verified", () => {
  // What is left at 2 is an entry that was overwritten long ago: committing it on the word of an old
  // acknowledgement would be fatal.
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.settle();
  cluster.crash(2);
  const { disk } = cluster.host(2);
  const [first] = disk.entries;
  assert.ok(first !== undefined);
  disk.entries = [first, { ...first, index: logIndex(2), data: new Uint8Array(Buffer.from("overwritten")) }];
  disk.hardState = { ...disk.hardState, commit: logIndex(2) };
  cluster.restart(2, { ackedIndex: logIndex(2), term: term(1) });
  cluster.node(2).step(from("MsgHeartbeat", 1, 2, { term: term(1), commit: logIndex(2) }));
  assert.equal(cluster.node(2).status().commit, 0);
});

test("an election of members that lost nothing frees it by the first entry of the new term", () => {
  const cluster = afterLoss();
  cluster.crash(2);
  cluster.restart(2, { ackedIndex: logIndex(1000), term: term(1) });
  cluster.tick(1, 1);
  cluster.settle();
  assert.notEqual(cluster.node(2).status().recovering, null, "fed, but what it acknowledged is not covered");
  cluster.campaign(3);
  assert.equal(cluster.node(3).status().state, "StateLeader", "by the vote of 1");
  cluster.settle();
  assert.equal(cluster.node(2).status().recovering, null);
});

test("where only its vote could elect, nobody is elected: an entry that it lost is not lost to all", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "decided");
  cluster.settle(among(1, 2));
  assert.equal(cluster.node(1).status().commit, 2);
  cluster.crash(2);
  cluster.host(2).disk.entries.splice(1);
  cluster.restart(2, { ackedIndex: logIndex(2), term: term(1) });
  cluster.network = [];
  for (let i = 0; i < 100; i++) {
    cluster.tick(2, 1);
    cluster.tick(3, 1);
    cluster.settle(among(2, 3));
  }
  assert.equal(
    cluster.hosts.filter(({ id, node }) => id !== 1 && node.status().state === "StateLeader").length,
    0,
  );
});

test("the stored commit index is not unlearnt on disk while it is learnt anew", () => {
  const cluster = afterLoss();
  assert.equal(cluster.node(2).status().commit, 0);
  cluster.node(2).step(from("MsgHeartbeat", 3, 2, { term: term(7) }));
  cluster.settle(() => false);
  assert.equal(cluster.host(2).disk.hardState.commit, 4);
});

test("a leader does not hand over to a member that would refuse", () => {
  const cluster = afterLoss();
  cluster.tick(1, 1);
  cluster.settle((m) => m.type !== "MsgApp");
  cluster.node(1).transferLeader(nodeId(2));
  assert.equal(cluster.node(1).status().leadTransferee, 0);
});

test("a loss that storage did not see shows as a commit index past the end, and the member abstains", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.settle();
  cluster.crash(2);
  const { disk } = cluster.host(2);
  disk.entries = [];
  disk.hardState = { ...disk.hardState, commit: logIndex(0) };
  cluster.restart(2);
  cluster.tick(1, 1);
  cluster.settle();
  assert.notEqual(cluster.node(2).status().recovering, null);
  assert.equal(cluster.node(2).status().anomalyCount, 1);
  assert.deepEqual(cluster.log(2), cluster.log(1), "it is fed all the same");
  cluster.campaign(3);
  cluster.settle();
  assert.equal(cluster.node(2).status().recovering, null);
});
