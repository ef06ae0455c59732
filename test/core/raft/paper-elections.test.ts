/**
 * Claims of the paper on terms, roles and elections (sections 5.1, 5.2 and 5.6), and of the dissertation on handing
 * over (3.10) and on pre-vote (9.6). More of them stand in elections.test.ts and stall.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, nodeId, term } from "../../../src/core/base/ids.js";
import type { Message } from "../../../src/core/raft/raft.js";
import { among, Cluster } from "./cluster.js";
import { entry, from, restartFrom, roleOf, termsOf, work } from "./paper.js";

const ROLES = ["Follower", "PreCandidate", "Candidate", "Leader"] as const;

/** Member 1 of three in this role; it has been in term 2. */
function inRole(role: (typeof ROLES)[number]): Cluster {
  const cluster = new Cluster(3, { preVote: role === "PreCandidate" });
  cluster.node(1).step(from("MsgHeartbeat", 2, 1, { term: term(2) }));
  if (role !== "Follower") cluster.node(1).campaign();
  cluster.settle(() => role === "Leader");
  assert.equal(roleOf(cluster, 1), role);
  return cluster;
}

test("paper 5.1: a message of a later term makes a follower of that term out of any role", () => {
  const types = [
    "MsgApp",
    "MsgHeartbeat",
    "MsgVote",
    "MsgVoteResp",
    "MsgAppResp",
    "MsgHeartbeatResp",
  ] as const;
  for (const role of ROLES) {
    for (const type of types) {
      const cluster = inRole(role);
      cluster.node(1).step(from(type, 3, 1, { term: term(9) }));
      const { term: now, state, lead } = cluster.node(1).status();
      const known = type === "MsgApp" || type === "MsgHeartbeat" ? 3 : 0;
      assert.deepEqual([now, state, lead], [9, "StateFollower", known], `${role}, ${type}`);
    }
  }
});

test("paper 5.1: a message of an earlier term changes nothing and is granted nothing", () => {
  for (const role of ROLES) {
    const cluster = inRole(role);
    const before = [cluster.node(1).status(), termsOf(cluster, 1)];
    const best = { term: term(1), index: logIndex(99), logTerm: term(1) };
    const stale: Message[] = [
      from("MsgVote", 3, 1, best),
      from("MsgPreVote", 3, 1, best),
      from("MsgApp", 3, 1, { term: term(1), entries: [entry(1, 1)], commit: logIndex(1) }),
      from("MsgHeartbeat", 3, 1, { term: term(1), commit: logIndex(1) }),
      from("MsgAppResp", 3, 1, { term: term(1), index: logIndex(1) }),
      from("MsgVoteResp", 2, 1, { term: term(1) }),
      from("MsgTimeoutNow", 3, 1, { term: term(1) }),
    ];
    for (const m of stale) cluster.node(1).step(m);
    assert.deepEqual([cluster.node(1).status(), termsOf(cluster, 1)], before, role);
    const answers = work(cluster, 1).filter((m) => m.to === 3);
    assert.ok(
      answers.every((m) => m.reject || (m.index === 0 && m.type === "MsgAppResp")),
      role,
    );
  }
});

test("paper 5.2: members begin as followers and stay so as long as they hear a leader", () => {
  const cluster = new Cluster(3);
  assert.deepEqual(
    [1, 2, 3].map((id) => roleOf(cluster, id)),
    ["Follower", "Follower", "Follower"],
  );
  cluster.campaign(1);
  for (let i = 0; i < 500; i++) {
    for (const id of [1, 2, 3]) cluster.tick(id, 1);
    cluster.settle();
  }
  assert.deepEqual(
    [1, 2, 3].map((id) => roleOf(cluster, id)),
    ["Leader", "Follower", "Follower"],
  );
  assert.equal(cluster.node(1).status().term, 1);
});

test("paper 5.2: who hears nothing over an election timeout begins a new term, votes for itself and asks all others", () => {
  const cluster = new Cluster(5);
  restartFrom(cluster, 1, [1, 1, 2], { at: 3 });
  cluster.tick(1, 20);
  const asked = work(cluster, 1).map((m) => [m.type, m.to, m.term, m.index, m.logTerm]);
  assert.deepEqual(
    asked,
    [2, 3, 4, 5].map((to) => ["MsgVote", to, 4, 3, 2]),
  );
  assert.deepEqual(
    [roleOf(cluster, 1), cluster.node(1).status().vote, cluster.host(1).disk.hardState.term],
    ["Candidate", 1, 4],
  );
});

test("paper 5.2: a leader sends heartbeats without entries to all, each heartbeat interval", () => {
  const cluster = new Cluster(3, { heartbeatTick: 3 });
  cluster.campaign(1);
  cluster.propose(1, "waits");
  work(cluster, 1);
  for (let interval = 0; interval < 3; interval++) {
    cluster.network = [];
    cluster.tick(1, 2);
    assert.deepEqual(work(cluster, 1), []);
    cluster.tick(1, 1);
    const sent = work(cluster, 1).map((m) => [m.type, m.to, m.entries.length]);
    assert.deepEqual(sent, [
      ["MsgHeartbeat", 2, 0],
      ["MsgHeartbeat", 3, 0],
    ]);
  }
});

for (const [size, granted, refused, role] of [
  [1, 0, 0, "Leader"],
  [2, 0, 0, "Candidate"],
  [2, 1, 0, "Leader"],
  [3, 0, 1, "Candidate"],
  [3, 1, 0, "Leader"],
  [3, 0, 2, "Follower"],
  [4, 1, 1, "Candidate"],
  [4, 2, 0, "Leader"],
  [5, 1, 2, "Candidate"],
  [5, 2, 2, "Leader"],
  [5, 1, 3, "Follower"],
] as const) {
  test(`paper 5.2: of ${size} members a candidate with ${granted} votes of others and ${refused} refusals is ${role}`, () => {
    const cluster = new Cluster(size);
    cluster.node(1).campaign();
    work(cluster, 1);
    for (let i = 0; i < granted + refused; i++)
      cluster.node(1).step(from("MsgVoteResp", i + 2, 1, { term: term(1), reject: i >= granted }));
    assert.equal(roleOf(cluster, 1), role);
  });
}

test("paper 5.2: a member votes for one candidate a term, the first that asks", () => {
  for (const [vote, candidate, granted] of [
    [0, 2, true],
    [0, 3, true],
    [2, 2, true],
    [2, 3, false],
    [3, 2, false],
  ] as const) {
    const cluster = new Cluster(3);
    restartFrom(cluster, 1, [], { at: 4, vote });
    cluster.node(1).step(from("MsgVote", candidate, 1, { term: term(4) }));
    const answers = work(cluster, 1).map((m) => [m.type, m.to, !m.reject]);
    assert.deepEqual(answers, [["MsgVoteResp", candidate, granted]], `voted ${vote}, asked by ${candidate}`);
  }
});

test("paper 5.2: a candidate follows a leader of its own term, and stays candidate against one of an earlier", () => {
  for (const type of ["MsgApp", "MsgHeartbeat"] as const) {
    const cluster = inRole("Candidate");
    cluster.node(1).step(from(type, 2, 1, { term: term(2) }));
    assert.equal(roleOf(cluster, 1), "Candidate", "2 led in term 2, this is term 3");
    cluster.node(1).step(from(type, 2, 1, { term: term(3) }));
    assert.deepEqual([roleOf(cluster, 1), cluster.node(1).status().lead], ["Follower", 2]);
  }
});

test("paper 5.2: votes split between two candidates elect nobody in that term, and somebody in a later one", () => {
  const cluster = new Cluster(4);
  cluster.node(1).campaign();
  cluster.node(2).campaign();
  const apart = (m: Message) => (m.from + m.to) % 2 === 1 && m.from + m.to !== 3;
  cluster.settle((m) => !apart(m));
  assert.deepEqual(
    [1, 2].map((id) => roleOf(cluster, id)),
    ["Candidate", "Candidate"],
  );
  assert.deepEqual(
    [3, 4].map((id) => Number(cluster.node(id).status().vote)),
    [1, 2],
  );
  const leaders = () => [1, 2, 3, 4].filter((id) => roleOf(cluster, id) === "Leader");
  for (let i = 0; i < 200 && leaders().length === 0; i++) {
    for (const id of [1, 2, 3, 4]) cluster.tick(id, 1);
    cluster.settle();
  }
  assert.equal(leaders().length, 1);
  assert.ok(cluster.node(leaders()[0] ?? 0).status().term >= 2);
});

test("paper 5.2: election timeouts are drawn anew each time, from one to two of them", () => {
  const cluster = new Cluster(3, { electionTick: 5 });
  const drawn = new Set<number>();
  for (let campaign = 1; campaign <= 200; campaign++) {
    let ticks = 0;
    for (; ticks < 20 && cluster.node(1).status().term < campaign; ticks++) cluster.tick(1, 1);
    drawn.add(ticks);
  }
  assert.deepEqual(
    [...drawn].sort((a, b) => a - b),
    [5, 6, 7, 8, 9],
  );
});

test("paper 5.6: messages slower than the election timeout keep leaders from reigning, never make two in a term", () => {
  const cluster = new Cluster(3);
  const led = new Map<number, number>();
  const onWay: { readonly at: number; readonly m: Message }[] = [];
  const live = (ticks: number, delay: (i: number) => number): void => {
    for (let i = 0; i < ticks; i++) {
      for (const id of [1, 2, 3]) {
        cluster.tick(id, 1);
        work(cluster, id);
      }
      for (const m of cluster.network.splice(0)) onWay.push({ at: i + delay(i), m });
      const waiting = onWay.splice(0);
      onWay.push(...waiting.filter((late) => late.at > i));
      for (const late of waiting) if (late.at <= i) cluster.deliver(late.m);
      for (const { id, node } of cluster.hosts) {
        const { state, term: at } = node.status();
        if (state === "StateLeader") assert.equal(led.get(at) ?? id, led.set(at, id).get(at), `term ${at}`);
      }
    }
  };
  live(2000, (i) => 10 + ((i * 7) % 30));
  const stormy = cluster.node(1).status().term;
  assert.ok(stormy > 20, `only ${stormy} terms: the messages were not slow`);
  live(100, () => 0);
  const calm = cluster.node(1).status().term;
  live(500, () => 0);
  assert.equal(cluster.node(1).status().term, calm, "and once they are fast the leader reigns");
});

test("dissertation 3.10: who is asked to take over campaigns at once, without a pre-vote, and is heard though a leader is", () => {
  const cluster = new Cluster(3, { preVote: true, checkQuorum: true });
  cluster.campaign(1);
  cluster.tick(1, 1);
  cluster.settle();
  cluster.node(2).step(from("MsgTimeoutNow", 1, 2, { term: term(1) }));
  const asked = work(cluster, 2);
  assert.deepEqual(
    asked.map((m) => m.type),
    ["MsgVote", "MsgVote"],
  );
  cluster.settle(among(2, 3));
  assert.equal(roleOf(cluster, 2), "Leader", "3 had just heard from 1");
});

test("dissertation 3.10: a hand-over ends with the office, so that the next term takes proposals", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.node(1).transferLeader(nodeId(3));
  work(cluster, 1);
  cluster.network = [];
  cluster.campaign(2);
  cluster.campaign(1);
  assert.equal(cluster.propose(1, "a").kind, "accepted");
});

test("dissertation 9.6: a pre-vote changes neither term nor vote, of who asks or who answers, and many may have one", () => {
  const cluster = new Cluster(5, { preVote: true });
  for (const id of [1, 2]) cluster.node(id).campaign();
  cluster.settle((m) => m.type === "MsgPreVote" && m.to > 2);
  cluster.network = [];
  const hard = cluster.hosts.map(({ node }) => [Number(node.status().term), Number(node.status().vote)]);
  assert.deepEqual(
    hard,
    [1, 2, 3, 4, 5].map(() => [0, 0]),
  );
  assert.deepEqual(
    [1, 2].map((id) => roleOf(cluster, id)),
    ["PreCandidate", "PreCandidate"],
  );
  for (const candidate of [1, 2]) {
    cluster.node(3).step(from("MsgPreVote", candidate, 3, { term: term(1) }));
    const [answer] = work(cluster, 3);
    assert.deepEqual([answer?.to, answer?.reject, answer?.term], [candidate, false, 1]);
    cluster.network = [];
  }
});

test("dissertation 9.6: only a majority of granted pre-votes begins a term; a shorter log is granted none", () => {
  const cluster = new Cluster(5, { preVote: true });
  for (const id of [2, 3, 4]) restartFrom(cluster, id, [1, 1]);
  restartFrom(cluster, 1, [1]);
  restartFrom(cluster, 5, [1]);
  cluster.node(1).campaign();
  cluster.settle();
  assert.deepEqual([roleOf(cluster, 1), cluster.node(1).status().term], ["Follower", 1]);
  cluster.node(2).campaign();
  cluster.settle();
  assert.deepEqual([roleOf(cluster, 2), cluster.node(2).status().term], ["Leader", 2]);
});
