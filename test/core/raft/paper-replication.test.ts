/**
 * Claims of the paper on log replication (section 5.3), on followers and candidates that crash (5.5), and on what must
 * be stored (figure 2). More of them stand in replication.test.ts and log.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, term } from "../../../src/core/base/ids.js";
import type { Message } from "../../../src/core/raft/raft.js";
import { among, Cluster, text } from "./cluster.js";
import { entry, from, logOf, restartFrom, roleOf, termsOf, work } from "./paper.js";

const ids = (cluster: Cluster) => cluster.hosts.map(({ id }) => Number(id));

test("paper 5.3: a leader appends a command to its log and sends it to all others at once, with its term and index", () => {
  const cluster = new Cluster(5);
  cluster.campaign(1);
  cluster.propose(1, "a");
  const [, own] = cluster.node(1).entriesFrom(logIndex(1));
  assert.deepEqual([own?.term, own?.index, text(own?.data ?? new Uint8Array())], [1, 2, "a"]);
  cluster.takeReady(1);
  const sent = cluster.network.map((m) => [m.type, m.to, m.index, m.logTerm, m.entries.map((e) => e.index)]);
  assert.deepEqual(
    sent,
    [2, 3, 4, 5].map((to) => ["MsgApp", to, 1, 1, [2]]),
  );
});

for (const [size, acks, committed] of [
  [1, 0, true],
  [2, 0, false],
  [2, 1, true],
  [3, 0, false],
  [3, 1, true],
  [4, 1, false],
  [4, 2, true],
  [5, 1, false],
  [5, 2, true],
  [7, 2, false],
  [7, 3, true],
] as const) {
  test(`paper 5.3: of ${size} members, the leader and ${acks} others having an entry ${committed ? "" : "do not "}commit it`, () => {
    const cluster = new Cluster(size);
    cluster.campaign(1);
    cluster.propose(1, "a");
    cluster.settle((m) => m.type !== "MsgAppResp" || m.from <= 1 + acks);
    assert.equal(cluster.node(1).status().commit, committed ? 2 : 1);
    assert.equal(
      cluster.host(1).applied.length,
      committed ? 2 : 1,
      "what is committed is applied, nothing else",
    );
  });
}

test("paper 5.3: committing an entry commits all before it, those of earlier leaders too", () => {
  for (const terms of [[], [2], [1, 2], [1, 1, 2]]) {
    const cluster = new Cluster(3);
    for (const id of [1, 2]) restartFrom(cluster, id, terms, { at: 2 });
    cluster.campaign(1);
    cluster.propose(1, "a");
    cluster.settle();
    assert.equal(cluster.node(1).status().commit, terms.length + 2);
    assert.deepEqual(
      cluster.host(1).applied.map((e) => Number(e.term)),
      [...terms, 3, 3],
    );
  }
});

test("paper 5.3: followers learn of a commit from later messages, and apply in the order of the log", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  for (const data of ["a", "b", "c"]) cluster.propose(1, data);
  // Nobody hears yet that anything is committed.
  cluster.settle((m) => m.commit < 2);
  assert.equal(cluster.node(1).status().commit, 4);
  assert.equal(cluster.host(2).applied.length, 1);
  cluster.propose(1, "d");
  cluster.settle();
  for (const id of [2, 3])
    assert.deepEqual(
      cluster.host(id).applied.map((e) => text(e.data)),
      ["", "a", "b", "c", "d"],
    );
});

test("paper 5.3: a leader goes on sending to a member that was away until it has all, long after the commit", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  for (let i = 0; i < 30; i++) {
    cluster.propose(1, `${i}`);
    cluster.tick(1, 1);
    cluster.settle(among(1, 2));
  }
  assert.equal(cluster.node(1).status().commit, 31);
  assert.equal(cluster.log(3).length, 1);
  for (let i = 0; i < 3; i++) {
    cluster.tick(1, 1);
    cluster.settle();
  }
  assert.deepEqual(cluster.log(3), cluster.log(1));
});

test("paper 5.3: a follower takes entries only behind an entry that it has, of the same term", () => {
  for (const [index, logTerm, taken] of [
    [0, 0, true],
    [1, 1, true],
    [2, 2, true],
    [1, 2, false],
    [2, 1, false],
    [3, 2, false],
    [3, 3, false],
  ] as const) {
    const cluster = new Cluster(3);
    restartFrom(cluster, 1, [1, 2]);
    const place = { index: logIndex(index), logTerm: term(logTerm) };
    const entries = [entry(3, index + 1)];
    cluster.node(1).step(from("MsgApp", 2, 1, { term: term(3), ...place, entries }));
    const [answer] = work(cluster, 1);
    assert.equal(answer?.reject, !taken, `behind ${logTerm}/${index}`);
    assert.deepEqual(termsOf(cluster, 1), taken ? [...[1, 2].slice(0, index), 3] : [1, 2]);
  }
});

test("paper 5.3: the first conflicting entry goes with all that follow, and entries that match stay", () => {
  for (const [index, sent, after] of [
    [2, [3], [1, 2, 3]],
    [1, [3, 3], [1, 3, 3]],
    [0, [1], [1, 2]],
    [0, [1, 2], [1, 2]],
    [0, [1, 3], [1, 3]],
    [0, [2], [2]],
    [1, [], [1, 2]],
  ] as const) {
    const cluster = new Cluster(3);
    restartFrom(cluster, 1, [1, 2]);
    const place = { index: logIndex(index), logTerm: term([0, 1, 2][index] ?? 0) };
    const entries = sent.map((inTerm, i) => entry(inTerm, index + 1 + i));
    cluster.node(1).step(from("MsgApp", 2, 1, { term: term(3), ...place, entries }));
    work(cluster, 1);
    assert.deepEqual(termsOf(cluster, 1), after, `terms ${sent.join(" ")} behind ${index}`);
    assert.deepEqual(
      cluster.host(1).disk.entries.map((e) => Number(e.term)),
      after,
      "and so on disk",
    );
  }
});

/** Figure 7: the leader's log of term 8, and what followers may hold when it begins. */
const LEADER = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
const FIGURE_7 = {
  a: [1, 1, 1, 4, 4, 5, 5, 6, 6],
  b: [1, 1, 1, 4],
  c: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
  d: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
  e: [1, 1, 1, 4, 4, 4, 4],
  f: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
};

for (const [name, terms] of Object.entries(FIGURE_7)) {
  test(`paper 5.3, figure 7: a leader makes the log (${name}) equal to its own, which it never changes but at the end`, () => {
    const cluster = new Cluster(3);
    restartFrom(cluster, 1, LEADER, { at: 7 });
    restartFrom(cluster, 2, terms, { at: 7 });
    cluster.node(1).campaign();
    // 3 is what elects it; 2 may be ahead and refuse.
    cluster.settle();
    assert.equal(roleOf(cluster, 1), "Leader");
    cluster.tick(1, 1);
    cluster.settle();
    for (const id of [1, 2, 3]) assert.deepEqual(termsOf(cluster, id), [...LEADER, 8], `${id}`);
    assert.equal(cluster.node(1).status().commit, LEADER.length + 1);
  });
}

test("paper 5.3: a new leader tries every log just behind its own last entry first", () => {
  const cluster = new Cluster(3);
  for (const id of [1, 2, 3]) restartFrom(cluster, id, [1, 2, 3]);
  cluster.node(1).campaign();
  cluster.settle((m) => m.type !== "MsgApp");
  const sent: (readonly number[])[] = [];
  cluster.onSend = (m) => m.type === "MsgApp" && sent.push([m.to, m.index, m.logTerm]);
  cluster.tick(1, 1);
  cluster.settle();
  assert.deepEqual(sent.slice(0, 2), [
    [2, 3, 3],
    [3, 3, 3],
  ]);
});

test("paper 5.5: an append and a vote request that arrive twice change nothing the second time and are answered alike", () => {
  const cluster = new Cluster(3);
  const twice = (m: Message): void => {
    cluster.node(2).step(m);
    const [first] = work(cluster, 2);
    const before = [cluster.node(2).status(), cluster.log(2)];
    cluster.node(2).step(m);
    assert.deepEqual(
      work(cluster, 2).map((again) => ({ ...again })),
      [{ ...first }],
    );
    assert.deepEqual([cluster.node(2).status(), cluster.log(2)], before);
  };
  twice(from("MsgVote", 1, 2, { term: term(1) }));
  twice(from("MsgApp", 1, 2, { term: term(1), entries: logOf([1, 1]) }));
});

test("paper 5.5: a member that crashed after it wrote, and before it answered, answers when it is sent the same again", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.settle((m) => m.type !== "MsgAppResp");
  assert.equal(cluster.node(1).status().commit, 1);
  cluster.crash(2);
  cluster.restart(2);
  cluster.tick(1, 1);
  cluster.settle(among(1, 2));
  assert.equal(cluster.node(1).status().commit, 2);
  assert.deepEqual(cluster.log(2), ["1/1 ", "1/2 a"]);
});

test("paper figure 2: term, vote and log outlive a crash, and all else is learnt anew", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.settle();
  for (const id of ids(cluster)) {
    const { term: at, vote, lastIndex } = cluster.node(id).status();
    cluster.crash(id);
    cluster.restart(id);
    const now = cluster.node(id).status();
    assert.deepEqual([now.term, now.vote, now.lastIndex], [at, vote, lastIndex]);
    assert.deepEqual([now.state, now.lead, now.progress], ["StateFollower", 0, []]);
  }
  // A vote alone, in a term that is stored already.
  restartFrom(cluster, 2, [], { at: 4 });
  cluster.node(2).step(from("MsgVote", 3, 2, { term: term(4) }));
  work(cluster, 2);
  cluster.crash(2);
  cluster.restart(2);
  assert.equal(cluster.node(2).status().vote, 3);
});
