/**
 * Elections (paper, sections 5.2 and 5.4.1): one leader a term, and none without a complete log.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, nodeId, term } from "../../../src/core/base/ids.js";
import { type Message, message } from "../../../src/core/raft/raft.js";
import { among, Cluster } from "./cluster.js";

const roles = (cluster: Cluster) => cluster.hosts.map(({ node }) => node.status().state.slice(5));
const from = (type: Message["type"], sender: number, to: number, rest: Partial<Message> = {}) =>
  message({ ...rest, type, from: nodeId(sender), to: nodeId(to) });

for (const asyncStorageWrites of [false, true]) {
  test(`paper 5.2: three members elect the one that campaigns and replicate to all (async ${asyncStorageWrites})`, () => {
    const cluster = new Cluster(3, { asyncStorageWrites, preVote: true, checkQuorum: true });
    cluster.campaign(1);
    assert.deepEqual(roles(cluster), ["Leader", "Follower", "Follower"]);
    assert.deepEqual(cluster.propose(1, "a"), { kind: "accepted", index: 2, term: 1 });
    cluster.settle();
    for (const id of [1, 2, 3]) {
      assert.deepEqual(cluster.log(id), ["1/1 ", "1/2 a"]);
      assert.equal(cluster.host(id).applied.length, 2);
    }
    assert.deepEqual(cluster.propose(2, "b"), { kind: "refused", code: "not_leader", lead: 1 });
  });
}

test("dissertation 10.2.1: a single voter elects itself and commits alone, but only after its own disk has it (etcd #14370)", () => {
  const cluster = new Cluster(1);
  cluster.node(1).campaign();
  cluster.takeReady(1);
  assert.equal(cluster.node(1).status().state, "StateCandidate", "its vote is not durable yet");
  cluster.writeOne(1);
  assert.equal(cluster.node(1).status().state, "StateLeader");
  cluster.takeReady(1);
  assert.equal(cluster.node(1).status().commit, 0, "its entry is not durable yet");
  cluster.writeOne(1);
  assert.equal(cluster.node(1).status().commit, 1);
});

test("paper 5.1, figure 2: a granted vote leaves only after it is durable, and is not given twice over a crash", () => {
  const cluster = new Cluster(3);
  cluster.node(2).step(from("MsgVote", 1, 2, { term: term(1) }));
  cluster.takeReady(2);
  assert.equal(cluster.network.length, 0);
  cluster.writeOne(2);
  assert.deepEqual(
    cluster.network.map((m) => [m.type, m.to, m.reject]),
    [["MsgVoteResp", 1, false]],
  );
  cluster.crash(2);
  cluster.restart(2);
  cluster.network = [];
  cluster.node(2).step(from("MsgVote", 3, 2, { term: term(1) }));
  cluster.takeReady(2);
  cluster.writeOne(2);
  assert.deepEqual(
    cluster.network.map((m) => [m.type, m.to, m.reject]),
    [["MsgVoteResp", 3, true]],
  );
});

test("paper 5.2: doubled, late and foreign votes do not add up to a majority", () => {
  const cluster = new Cluster(5);
  cluster.node(1).campaign();
  cluster.takeReady(1);
  cluster.writeOne(1);
  const vote = from("MsgVoteResp", 2, 1, { term: term(1) });
  for (let i = 0; i < 3; i++) cluster.node(1).step(vote);
  assert.equal(cluster.node(1).step(from("MsgVoteResp", 9, 1, { term: term(1) })), "peer_not_found");
  assert.equal(cluster.node(1).status().state, "StateCandidate");
  cluster.node(1).campaign();
  cluster.takeReady(1);
  cluster.writeOne(1);
  for (const id of [2, 3, 4]) cluster.node(1).step(from("MsgVoteResp", id, 1, { term: term(1) }));
  assert.equal(
    cluster.node(1).status().state,
    "StateCandidate",
    "votes of the term before count for nothing",
  );
  // A first vote that was a refusal is not turned into a grant by a second message.
  cluster.node(1).step(from("MsgVoteResp", 2, 1, { term: term(2), reject: true }));
  cluster.node(1).step(from("MsgVoteResp", 2, 1, { term: term(2) }));
  cluster.node(1).step(from("MsgVoteResp", 3, 1, { term: term(2) }));
  assert.equal(cluster.node(1).status().state, "StateCandidate");
});

test("dissertation 9.6: a member that is cut off does not raise the term and does not depose the leader when it returns", () => {
  const cluster = new Cluster(3, { preVote: true, checkQuorum: true });
  cluster.campaign(1);
  for (let i = 0; i < 10; i++) {
    cluster.tick(3, 20);
    cluster.settle(among(1, 2));
  }
  assert.equal(cluster.node(3).status().term, 1);
  assert.equal(cluster.node(3).status().state, "StatePreCandidate");
  cluster.tick(3, 20);
  cluster.settle();
  cluster.tick(1, 1);
  cluster.settle();
  assert.deepEqual(roles(cluster), ["Leader", "Follower", "Follower"]);
  assert.equal(cluster.node(1).status().term, 1);
});

test("dissertation 9.6: partial connectivity (1-2-3 whole, 4 with 2 only, 5 with 3 only) leaves the leader in office", () => {
  const cluster = new Cluster(5, { preVote: true, checkQuorum: true });
  cluster.campaign(1);
  const linked = (m: Message) => {
    const [a, b] = [Math.min(m.from, m.to), Math.max(m.from, m.to)];
    return b <= 3 || (a === 2 && b === 4) || (a === 3 && b === 5);
  };
  for (let i = 0; i < 200; i++) {
    for (const id of [1, 2, 3, 4, 5]) cluster.tick(id, 1);
    cluster.settle(linked);
  }
  assert.equal(cluster.node(1).status().state, "StateLeader");
  assert.equal(cluster.node(1).status().term, 1);
});

test("paper 6, dissertation 4.2.3: a follower that hears from a leader refuses to look at a vote, and one that does not, does not", () => {
  const cluster = new Cluster(3, { checkQuorum: true });
  cluster.campaign(1);
  const ask = from("MsgVote", 3, 2, { term: term(9), index: logIndex(99), logTerm: term(9) });
  cluster.node(2).step(ask);
  assert.equal(cluster.node(2).status().term, 1, "even the term is not adopted");
  // Its own timer is not to run out first.
  cluster.node(2).setRandomizedElectionTimeout(99);
  cluster.tick(2, 10);
  cluster.node(2).step(ask);
  assert.equal(cluster.node(2).status().vote, 3);
});

test("a rejected vote does not put off the own election", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.node(2).setRandomizedElectionTimeout(10);
  cluster.tick(2, 9);
  // Asks in the same term with an empty log: refused.
  cluster.node(2).step(from("MsgVote", 3, 2, { term: term(1) }));
  cluster.tick(2, 1);
  assert.equal(cluster.node(2).status().state, "StateCandidate");
});

test("dissertation 6.2: a leader whom no quorum answers steps down within two election timeouts, and one that is answered stays", () => {
  const cluster = new Cluster(3, { checkQuorum: true });
  cluster.campaign(1);
  for (let i = 0; i < 50; i++) {
    cluster.tick(1, 1);
    cluster.settle(among(1, 2));
  }
  assert.equal(cluster.node(1).status().state, "StateLeader");
  cluster.tick(1, 20);
  assert.equal(cluster.node(1).status().state, "StateFollower");
  assert.equal(cluster.node(1).status().lead, 0);
});

test("a member whose term ran ahead is freed by the leader's next heartbeat, with stickiness on", () => {
  const cluster = new Cluster(3, { checkQuorum: true });
  cluster.campaign(1);
  for (let i = 0; i < 3; i++) cluster.node(3).campaign();
  cluster.network = [];
  cluster.settle(() => false);
  assert.equal(cluster.node(3).status().term, 4);
  for (let i = 0; i < 60; i++) {
    for (const id of [1, 2, 3]) cluster.tick(id, 1);
    cluster.settle();
  }
  const leaders = roles(cluster).filter((role) => role === "Leader");
  assert.equal(leaders.length, 1);
  assert.equal(new Set(cluster.hosts.map(({ node }) => node.status().term)).size, 1);
  assert.equal(new Set(cluster.hosts.map(({ node }) => node.status().lead)).size, 1);
});

test("dissertation 9.6: a lagging pre-candidate learns the term from its refusal", () => {
  const cluster = new Cluster(3, { preVote: true });
  cluster.campaign(1);
  cluster.node(2).step(from("MsgHeartbeat", 1, 2, { term: term(5) }));
  cluster.settle(() => false);
  cluster.network = [];
  cluster.node(3).campaign();
  cluster.settle(among(2, 3));
  assert.equal(cluster.node(3).status().term, 5);
});

test("paper 5.2: members with one seed do not draw the same election timeouts", () => {
  const draws = [1, 2, 3].map((id) => {
    const cluster = new Cluster(3, { seed: 42, electionTick: 100 });
    let ticks = 0;
    while (cluster.node(id).status().state === "StateFollower") {
      cluster.tick(id, 1);
      ticks++;
    }
    assert.ok(ticks >= 100 && ticks <= 199, `${ticks}`);
    return ticks;
  });
  assert.equal(new Set(draws).size, 3);
});

test("dissertation 3.10: a transfer brings the target up to date, elects it at once, and refuses proposals meanwhile", () => {
  const cluster = new Cluster(3, { preVote: true, checkQuorum: true });
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.settle(among(1, 2));
  cluster.node(1).transferLeader(nodeId(3));
  assert.deepEqual(cluster.propose(1, "b"), { kind: "refused", code: "transferring", lead: 3 });
  for (let i = 0; i < 3; i++) {
    cluster.tick(1, 1);
    cluster.settle();
  }
  assert.deepEqual(roles(cluster), ["Follower", "Follower", "Leader"]);
  assert.equal(cluster.log(3)[1], "1/2 a");
});

test("dissertation 3.10: a transfer that does not succeed is given up after an election timeout", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.node(1).transferLeader(nodeId(3));
  for (let i = 0; i < 10; i++) {
    cluster.tick(1, 1);
    cluster.settle(among(1, 2));
  }
  assert.equal(cluster.propose(1, "b").kind, "accepted");
});

test("campaigning on a live leader changes nothing", () => {
  const cluster = new Cluster(3, { preVote: true });
  cluster.campaign(1);
  cluster.campaign(1);
  assert.equal(cluster.node(1).status().term, 1);
});

test("a learner does not campaign, is not counted, and votes when asked", () => {
  const cluster = new Cluster(3, { learners: [nodeId(4)] });
  cluster.campaign(1);
  assert.equal(
    cluster
      .node(1)
      .status()
      .progress.find((p) => p.id === 4)?.isLearner,
    true,
  );
  const asLearner = new Cluster(3);
  asLearner.node(3).step(from("MsgVote", 9, 3, { term: term(2) }));
  asLearner.settle();
  assert.equal(asLearner.node(3).status().vote, 9, "who asks may be a member that is not known here yet");
});

test("paper 5.2: a second leader of one term is not followed", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.node(2).step(from("MsgHeartbeat", 3, 2, { term: term(1) }));
  assert.equal(cluster.node(2).status().lead, 1);
  assert.match(cluster.node(2).status().lastAnomaly ?? "", /two leaders/);
});
