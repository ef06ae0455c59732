/**
 * Claims of the paper on safety (section 5.4): who may be elected, what is committed, why nothing committed is lost.
 *
 * The random and the exhaustive histories judge the same properties on any history; here each stands on the example
 * that the paper makes of it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, term } from "../../../src/core/base/ids.js";
import { nextBelow, randomState } from "../../../src/core/base/random.js";
import type { Message } from "../../../src/core/raft/raft.js";
import { among, Cluster, text } from "./cluster.js";
import { entry, from, restartFrom, roleOf, termsOf, work } from "./paper.js";

for (const type of ["MsgVote", "MsgPreVote"] as const) {
  test(`paper 5.4.1: a ${type} is granted only to a log at least as up to date: a later last term, or as long a log of the same`, () => {
    for (const [own, logTerm, index, granted] of [
      [[1], 1, 1, true],
      [[1], 1, 2, true],
      [[1, 1], 1, 1, false],
      [[1], 2, 1, true],
      [[1], 2, 2, true],
      [[1, 1], 2, 1, true],
      [[2], 1, 1, false],
      [[2], 1, 2, false],
      [[2, 2], 1, 9, false],
      [[1, 3], 2, 5, false],
      [[], 0, 0, true],
      [[1], 0, 0, false],
    ] as const) {
      const cluster = new Cluster(3);
      restartFrom(cluster, 1, own, { at: 3 });
      const last = { index: logIndex(index), logTerm: term(logTerm) };
      cluster.node(1).step(from(type, 2, 1, { term: term(4), ...last }));
      const [answer] = work(cluster, 1);
      assert.equal(answer?.reject, !granted, `${logTerm}/${index} asks a log of terms ${own.join(" ")}`);
    }
  });
}

test("paper 5.4.1: whatever majority has an entry and whatever majority votes, who is elected has it", () => {
  const sets = Array.from({ length: 32 }, (_, bits) =>
    [1, 2, 3, 4, 5].filter((id) => (bits >> (id - 1)) & 1),
  );
  const majorities = sets.filter((set) => set.length === 3);
  let elected = 0;
  for (const holders of majorities) {
    for (const voters of majorities) {
      for (const candidate of voters) {
        const cluster = new Cluster(5);
        for (const id of [1, 2, 3, 4, 5]) restartFrom(cluster, id, holders.includes(id) ? [1, 1] : [1]);
        cluster.node(candidate).campaign();
        cluster.settle(among(...voters));
        const leads = roleOf(cluster, candidate) === "Leader";
        assert.ok(!leads || holders.includes(candidate), `${candidate} of ${voters}, held by ${holders}`);
        if (leads) elected++;
      }
    }
  }
  assert.ok(elected > 100, `${elected} elections only`);
});

/** Figure 8, up to (c): five members, entry 2 of term 2 on three of them, and the other entry 2, of term 3, on 5. */
function figure8(): Cluster {
  const cluster = new Cluster(5, { maxSizePerMsg: 1 });
  for (const [id, terms] of [
    [1, [1, 2]],
    [2, [1, 2]],
    [3, [1]],
    [4, [1]],
    [5, [1, 3]],
  ] as const)
    restartFrom(cluster, id, terms, { at: id === 5 ? 3 : 2, commit: 1 });
  // 1 is elected in term 4 and goes on replicating: entry 2 gets to 3, its own entry of term 4 to nobody.
  for (const id of [2, 3, 4]) cluster.node(id).step(from("MsgHeartbeat", 5, id, { term: term(3) }));
  cluster.node(1).step(from("MsgHeartbeat", 5, 1, { term: term(3) }));
  cluster.node(1).campaign();
  const own = (m: Message) => m.entries.some((e) => e.term === 4) && termsOf(cluster, m.to).length > 1;
  cluster.settle((m) => among(1, 2, 3)(m) && !own(m));
  // 2 has had entry 2 since term 2, and says so.
  cluster.node(1).step(from("MsgAppResp", 2, 1, { term: term(4), index: logIndex(2) }));
  cluster.settle((m) => among(1, 2, 3)(m) && !own(m));
  return cluster;
}

test("paper 5.4.2, figure 8 (c): an entry of an older term on a majority is not committed by counting copies", () => {
  const cluster = figure8();
  assert.equal(roleOf(cluster, 1), "Leader");
  assert.deepEqual(
    [1, 2, 3].map((id) => termsOf(cluster, id)[1]),
    [2, 2, 2],
  );
  assert.deepEqual(
    cluster
      .node(1)
      .status()
      .progress.slice(0, 3)
      .map((p) => Number(p.match) >= 2),
    [true, true, true],
  );
  assert.equal(cluster.node(1).status().commit, 1);
});

test("paper 5.4.2, figure 8 (d): that entry may be overwritten on all, and nobody applied it", () => {
  const cluster = figure8();
  cluster.crash(1);
  for (const id of [2, 3, 4]) cluster.node(id).step(from("MsgHeartbeat", 1, id, { term: term(4) }));
  cluster.node(5).step(from("MsgHeartbeat", 1, 5, { term: term(4) }));
  cluster.network = [];
  cluster.campaign(5);
  assert.equal(roleOf(cluster, 5), "Leader", "its last term is 3, theirs is 2");
  cluster.restart(1);
  cluster.tick(5, 1);
  cluster.settle();
  for (const id of [1, 2, 3, 4, 5]) {
    assert.deepEqual(termsOf(cluster, id), [1, 3, 5], `${id}`);
    assert.deepEqual(
      cluster.host(id).applied.map((e) => Number(e.term)),
      [1, 3, 5],
    );
  }
});

test("paper 5.4.2, figure 8 (e): once an entry of its own term is on a majority both are committed, and 5 cannot win", () => {
  const cluster = figure8();
  for (let i = 0; i < 3; i++) {
    cluster.tick(1, 1);
    cluster.settle(among(1, 2, 3));
  }
  assert.equal(cluster.node(1).status().commit, 3);
  cluster.crash(1);
  for (let i = 0; i < 3; i++) {
    cluster.node(5).campaign();
    cluster.settle(among(2, 3, 4, 5));
    assert.notEqual(roleOf(cluster, 5), "Leader");
  }
  cluster.node(3).campaign();
  cluster.settle(among(2, 3, 4, 5));
  assert.deepEqual(termsOf(cluster, 5), [1, 2, 4, Number(cluster.node(3).status().term)]);
});

test("paper 5.4.2: an older term's entry on all members waits for one of the leader's own term, however long", () => {
  const cluster = new Cluster(3);
  for (const id of [1, 2, 3]) restartFrom(cluster, id, [1, 1]);
  cluster.node(1).campaign();
  const noEntries = (m: Message) => m.type !== "MsgApp" || m.entries.length === 0;
  cluster.settle(noEntries);
  assert.equal(roleOf(cluster, 1), "Leader");
  // All say that they have entry 2, and the leader's own entry never arrives anywhere.
  const at = cluster.node(1).status().term;
  for (const id of [2, 3]) cluster.node(1).step(from("MsgAppResp", id, 1, { term: at, index: logIndex(2) }));
  for (let i = 0; i < 20; i++) {
    cluster.tick(1, 1);
    cluster.settle(noEntries);
  }
  assert.deepEqual(
    cluster
      .node(1)
      .status()
      .progress.map((p) => Number(p.match)),
    [3, 2, 2],
  );
  assert.equal(cluster.node(1).status().commit, 0);
});

test("paper 5.4.3: a leader of a later term holds all that was committed in the terms before, at its place", () => {
  const cluster = new Cluster(5);
  const random = randomState(5, "elections");
  const committed: string[] = [];
  for (let round = 0; round < 60; round++) {
    const drawn = () => 1 + nextBelow(random, 5);
    const leader = drawn();
    const absent = [drawn(), drawn()].filter((id) => id !== leader);
    const present = [1, 2, 3, 4, 5].filter((id) => !absent.includes(id));
    cluster.node(leader).campaign();
    cluster.settle(among(...present));
    const newest = Math.max(...cluster.hosts.map(({ node }) => node.status().term));
    // One that was deposed and does not know it may lack what came after.
    if (roleOf(cluster, leader) !== "Leader" || cluster.node(leader).status().term < newest) continue;
    const log = cluster
      .node(leader)
      .entriesFrom(logIndex(1))
      .map((e) => text(e.data));
    assert.deepEqual(log.slice(0, committed.length), committed, `leader ${leader} in round ${round}`);
    cluster.propose(leader, `${round}`);
    cluster.settle(among(...present));
    const { commit } = cluster.node(leader).status();
    committed.splice(0, committed.length, ...cluster.host(leader).applied.map((e) => text(e.data)));
    assert.equal(committed.length, commit);
  }
  assert.ok(committed.filter((data) => data !== "").length >= 5, committed.join());
});

test("paper 5.4.3: State Machine Safety: where one member applied an entry, no other applies another", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  // 1 takes what nobody else will have at this index, and is cut off with it.
  cluster.propose(1, "lost");
  cluster.settle(() => false);
  cluster.network = [];
  cluster.node(2).campaign();
  cluster.settle(among(2, 3));
  cluster.propose(2, "kept");
  cluster.settle(among(2, 3));
  assert.equal(cluster.log(1)[1], "1/2 lost");
  // The old leader hears of the commit before it hears the entries: it must not apply what it has there.
  cluster.tick(2, 1);
  cluster.settle((m) => m.type === "MsgHeartbeat");
  assert.deepEqual(
    cluster.host(1).applied.map((e) => text(e.data)),
    [""],
  );
  cluster.tick(2, 1);
  cluster.settle();
  for (const id of [1, 2, 3])
    assert.deepEqual(
      cluster.host(id).applied.map((e) => text(e.data)),
      ["", "", "kept"],
    );
});

test("paper figure 2: a follower's commit index goes up to the last new entry only, not into what follows it there", () => {
  const cluster = new Cluster(3);
  restartFrom(cluster, 1, [1, 1, 1, 1]);
  const append = { index: logIndex(1), logTerm: term(1), entries: [entry(1, 2)], commit: logIndex(4) };
  cluster.node(1).step(from("MsgApp", 2, 1, { term: term(2), ...append }));
  assert.equal(cluster.node(1).status().commit, 2, "3 and 4 may be another leader's");
});

test("paper 8: a new leader commits what its predecessor had replicated with no proposal of anybody, by an empty entry", () => {
  const cluster = new Cluster(3);
  for (const id of [1, 2, 3]) restartFrom(cluster, id, [1, 1], { commit: 1 });
  cluster.campaign(2);
  const own = cluster.node(2).entriesFrom(logIndex(3));
  assert.deepEqual(
    own.map((e) => [e.term, e.data.length]),
    [[2, 0]],
  );
  assert.equal(cluster.node(2).status().commit, 3);
});
