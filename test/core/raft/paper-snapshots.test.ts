/**
 * Claims on log compaction: the paper's section 7 and the dissertation's chapter 5.
 *
 * How a snapshot is cut into pieces and written is the drivers' part; here it is one message and one write.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, nodeId, term } from "../../../src/core/base/ids.js";
import type { Message, Snapshot } from "../../../src/core/raft/raft.js";
import { among, Cluster, text } from "./cluster.js";
import { change, entry, from, logOf, restartFrom, roleOf, termsOf, work } from "./paper.js";

/** Three members whose logs can be cut, led by 1, and spare ones. */
function led(proposals: number, present: readonly number[] = [1, 2, 3]): Cluster {
  const cluster = new Cluster(3, {}, { spares: 2 });
  cluster.campaign(1);
  for (let i = 0; i < proposals; i++) cluster.propose(1, `${i}`);
  cluster.settle(among(...present));
  return cluster;
}

const lastOf = (cluster: Cluster, id: number): number => cluster.node(id).status().lastIndex;
const firstOf = (cluster: Cluster, id: number): number => cluster.node(id).status().firstIndex;

function live(cluster: Cluster, ticks: number, pass: (m: Message) => boolean = () => true): void {
  for (let i = 0; i < ticks; i++) {
    cluster.tick(1, 1);
    cluster.settle(pass);
  }
}

/** Lets time pass and says how many snapshots were sent to `to` meanwhile. */
function snapshotsTo(cluster: Cluster, to: number, ticks = 4): number {
  let sent = 0;
  cluster.onSend = (m) => {
    if (m.to === to && m.type === "MsgSnap") sent++;
  };
  live(cluster, ticks);
  cluster.onSend = () => {};
  return sent;
}

/** A snapshot as a leader of term 3 would send it to member 1 of three. */
function snapshotOf(terms: readonly number[]): Snapshot {
  const confState = {
    voters: [1, 2, 3].map((id) => nodeId(id)),
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  const data = logOf(terms);
  return { index: logIndex(terms.length), term: term(terms.at(-1) ?? 0), confState, data };
}

/** Member 1 of three with a log of `terms`, committed up to `commit`, is sent `snapshot`. */
function offered(terms: readonly number[], commit: number, snapshot: Snapshot): Cluster {
  const cluster = new Cluster(3);
  restartFrom(cluster, 1, terms, { at: 3, commit });
  work(cluster, 1);
  cluster.node(1).step(from("MsgSnap", 2, 1, { term: term(3), snapshot }));
  return cluster;
}

test("paper 7: a snapshot stands for the entry before the first one that is kept, in the check of appends", () => {
  const cluster = led(5);
  for (const id of [1, 2, 3]) cluster.compact(id, 0);
  assert.deepEqual(termsOf(cluster, 1), [], "the whole log is gone");
  const last = lastOf(cluster, 1);
  cluster.propose(1, "next");
  const [append] = work(cluster, 1);
  assert.deepEqual([append?.type, append?.index, append?.logTerm], ["MsgApp", last, 2]);
  const other = { term: term(3), index: logIndex(last), entries: [entry(3, last + 1)] };
  cluster.settle();
  assert.equal(cluster.host(2).applied.length, last + 1);
  cluster.node(3).step(from("MsgApp", 2, 3, { ...other, logTerm: term(3) }));
  assert.ok(
    work(cluster, 3).every((m) => m.type !== "MsgAppResp" || m.reject),
    "of another term it is refused",
  );
});

test("paper 7: members take snapshots on their own, and who has nothing but one votes and stands by its index and term", () => {
  const cluster = led(5);
  cluster.compact(2, 0);
  assert.deepEqual([firstOf(cluster, 1), termsOf(cluster, 2)], [2, []]);
  cluster.crash(2);
  cluster.restart(2);
  const last = lastOf(cluster, 2);
  cluster.node(2).step(from("MsgVote", 3, 2, { term: term(9), index: logIndex(last - 1), logTerm: term(2) }));
  cluster.node(2).step(from("MsgVote", 3, 2, { term: term(10), index: logIndex(last), logTerm: term(2) }));
  const answers = work(cluster, 2).filter((m) => m.type === "MsgVoteResp");
  assert.deepEqual(
    answers.map((m) => m.reject),
    [true, false],
  );
  cluster.network = [];
  cluster.campaign(2);
  assert.equal(roleOf(cluster, 2), "Leader");
});

test("paper 7: who needs entries that the leader has dropped gets a snapshot, and then the entries behind it", () => {
  const cluster = led(10, [1, 2]);
  cluster.compact(1, 0);
  cluster.propose(1, "behind");
  assert.equal(snapshotsTo(cluster, 3), 1);
  assert.deepEqual(
    cluster.host(3).applied.map((e) => text(e.data)),
    cluster.host(1).applied.map((e) => text(e.data)),
  );
  assert.equal(cluster.host(3).disk.entries.length, 1);
});

test("dissertation 5: as long as the leader still has the entry that it needs, a slow member needs no snapshot", () => {
  for (const [keep, snapshots] of [
    [11, 0],
    [10, 0],
    [9, 1],
  ] as const) {
    // 3 lacks ten entries. The place before them is known if they are all kept.
    const cluster = led(0);
    for (let i = 0; i < 10; i++) cluster.propose(1, `${i}`);
    cluster.settle(among(1, 2));
    cluster.compact(1, keep);
    assert.equal(snapshotsTo(cluster, 3), snapshots, `${keep} kept`);
    assert.equal(cluster.host(3).applied.length, lastOf(cluster, 1));
  }
});

test("paper 7: a snapshot of a prefix of the own log leaves what follows, which may have been acknowledged", () => {
  const cluster = offered([1, 1, 2, 2], 1, snapshotOf([1, 1, 2]));
  const [answer] = work(cluster, 1);
  assert.deepEqual([answer?.type, answer?.index, answer?.reject], ["MsgAppResp", 3, false]);
  assert.deepEqual([termsOf(cluster, 1), cluster.node(1).status().commit], [[1, 1, 2, 2], 3]);
  assert.equal(cluster.host(1).disk.entries.length, 4);
});

test("paper 7: a snapshot that the own log contradicts or does not reach replaces all of it", () => {
  for (const terms of [[1], [1, 1, 1, 1], [1, 2, 2, 2, 2]]) {
    const cluster = offered(terms, 1, snapshotOf([1, 3, 3]));
    const [answer] = work(cluster, 1);
    assert.deepEqual([answer?.type, answer?.index, answer?.reject], ["MsgAppResp", 3, false]);
    assert.deepEqual([termsOf(cluster, 1), lastOf(cluster, 1)], [[], 3]);
    assert.deepEqual(cluster.host(1).disk.entries, []);
    assert.deepEqual(
      cluster.host(1).applied.map((e) => Number(e.term)),
      [1, 3, 3],
    );
  }
});

test("paper 7: a snapshot older than what is committed changes nothing, and is answered with what is", () => {
  const cluster = offered([1, 1, 2, 2], 4, snapshotOf([1, 1, 2]));
  const [answer] = work(cluster, 1);
  assert.deepEqual([answer?.index, answer?.reject], [4, false]);
  assert.deepEqual([termsOf(cluster, 1), cluster.host(1).applied.length], [[1, 1, 2, 2], 4]);
  // Nor when the log that could tell is gone.
  cluster.compact(1, 0);
  cluster.network = [];
  cluster.node(1).step(from("MsgSnap", 2, 1, { term: term(3), snapshot: snapshotOf([1, 1, 2]) }));
  assert.deepEqual(
    work(cluster, 1).map((m) => [m.index, m.reject]),
    [[4, false]],
  );
});

test("dissertation 5.1: a snapshot is acknowledged when it is on disk, and until then its member does not stand", () => {
  const cluster = offered([1], 1, snapshotOf([1, 3, 3]));
  cluster.takeReady(1);
  assert.deepEqual(cluster.network, []);
  cluster.node(1).campaign();
  assert.equal(roleOf(cluster, 1), "Follower");
  cluster.crash(1);
  cluster.restart(1);
  assert.deepEqual([termsOf(cluster, 1), lastOf(cluster, 1)], [[1], 1], "nobody was told otherwise");
});

test("dissertation 5.1: after a restart the state begins with the snapshot, and the log behind it is applied again", () => {
  const cluster = led(4);
  cluster.compact(2, 2);
  const { applied, commit } = cluster.node(2).status();
  cluster.propose(1, "later");
  live(cluster, 2);
  cluster.crash(2);
  cluster.restart(2);
  assert.deepEqual([cluster.node(2).status().applied, cluster.host(2).applied.length], [applied, applied]);
  work(cluster, 2);
  assert.deepEqual(cluster.host(2).applied, cluster.host(1).applied);
  assert.equal(cluster.node(2).status().commit, commit + 1);
});

test("paper 7: a snapshot brings the configuration, the joint one with both its halves, and it is in force over a restart", () => {
  const cluster = led(3, [1, 2]);
  const swap = [
    ["ConfChangeAddNode", 4],
    ["ConfChangeRemoveNode", 2],
  ] as const;
  change(cluster, 1, swap, "ConfChangeTransitionJointExplicit");
  live(cluster, 3, among(1, 2, 4));
  cluster.compact(1, 0);
  assert.equal(snapshotsTo(cluster, 3), 1);
  for (const restart of [false, true]) {
    if (restart) cluster.crash(3);
    if (restart) cluster.restart(3);
    const { voters, votersOutgoing } = cluster.node(3).status().confState;
    assert.deepEqual(
      [voters, votersOutgoing],
      [
        [1, 3, 4],
        [1, 2, 3],
      ],
    );
  }
  // 3 and 4 are a majority of the new half only.
  cluster.node(3).campaign();
  cluster.settle(among(3, 4));
  assert.equal(roleOf(cluster, 3), "Candidate");
  cluster.node(3).campaign();
  cluster.settle(among(2, 3, 4));
  assert.equal(roleOf(cluster, 3), "Leader");
});

test("dissertation 5: while a snapshot is on its way nothing else is sent there, and one that was lost is sent again", () => {
  const cluster = led(10, [1, 2]);
  cluster.compact(1, 0);
  const held: Message[] = [];
  for (let i = 0; i < 5; i++) {
    cluster.propose(1, `during${i}`);
    cluster.tick(1, 1);
    for (let round = 0; round < 9; round++) {
      cluster.round(
        (m) => m.type !== "MsgSnap",
        (m) => m.type === "MsgSnap",
      );
      held.push(...cluster.network.filter((m) => m.type === "MsgApp" && m.to === 3 && m.entries.length > 0));
    }
  }
  assert.deepEqual(
    cluster.network.map((m) => [m.type, m.to]),
    [["MsgSnap", 3]],
  );
  assert.deepEqual(held, []);
  const [snap] = cluster.network.splice(0);
  assert.ok(snap !== undefined);
  cluster.snapshotSent(snap, false);
  assert.equal(snapshotsTo(cluster, 3), 1);
  assert.equal(cluster.host(3).applied.length, lastOf(cluster, 1));
});

test("a snapshot from before its receiver was a member is not sent, over and over, but one from after it is", () => {
  const cluster = led(5);
  const { confState } = cluster.node(1).status();
  const { term: at, index } = cluster.host(1).applied.at(-1) ?? entry(0, 0);
  const early = { index, term: at, confState, data: [...cluster.host(1).applied] };
  cluster.compact(1, 0);
  change(cluster, 1, [["ConfChangeAddLearnerNode", 4]]);
  cluster.settle(among(1, 2, 3));
  // The caller has taken no snapshot since: 4 is not in this one and would refuse it.
  cluster.node(1).setSnapshot(early);
  assert.equal(snapshotsTo(cluster, 4, 20), 0);
  cluster.propose(1, "applied, and a snapshot of it offered");
  live(cluster, 2, among(1, 2, 3));
  assert.equal(snapshotsTo(cluster, 4), 1);
  assert.equal(cluster.host(4).applied.length, lastOf(cluster, 1));
});
