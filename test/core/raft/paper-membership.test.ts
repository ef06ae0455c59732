/**
 * Claims on changes of the members: the paper's section 6 and the dissertation's chapter 4.
 *
 * A configuration takes effect here when its entry is applied, not when it is appended (src/core/raft/membership.ts
 * says why that is safe), so a claim of the form "from the log on" is tested as "from the application on". That any two
 * configurations one step apart have majorities that meet is shown by algebra in conf-paths.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, type NodeId, term } from "../../../src/core/base/ids.js";
import { isConfChange, type Message } from "../../../src/core/raft/raft.js";
import { among, Cluster, type ClusterOptions } from "./cluster.js";
import { change, changeEntry, from, roleOf, work } from "./paper.js";

/** A founded cluster of `size` with spare members, led by 1. */
function led(size: number, spares: number, options: ClusterOptions = {}): Cluster {
  const cluster = new Cluster(size, options, { spares });
  // Who starts with a past gives no vote for an election timeout.
  for (const { id, node } of cluster.hosts) {
    node.setRandomizedElectionTimeout(99);
    cluster.tick(id, 10);
  }
  cluster.campaign(1);
  return cluster;
}

const voters = (cluster: Cluster, id: number): readonly NodeId[] =>
  cluster.node(id).status().confState.voters;
const outgoing = (cluster: Cluster, id: number) => cluster.node(id).status().confState.votersOutgoing;
const changesIn = (cluster: Cluster, id: number): number =>
  cluster
    .node(id)
    .entriesFrom(logIndex(1))
    .filter((e) => isConfChange(e.type)).length;
const ALL = (): boolean => true;

/** Time passes for all who are up. */
function live(cluster: Cluster, ticks: number, pass: (m: Message) => boolean = ALL): void {
  for (let i = 0; i < ticks; i++) {
    for (const { id, up } of cluster.hosts) if (up) cluster.tick(id, 1);
    cluster.settle(pass);
  }
}

const leaders = (cluster: Cluster): number[] =>
  cluster.hosts.filter(({ id, up }) => up && roleOf(cluster, id) === "Leader").map(({ id }) => id);

test("dissertation 4.1: members come and go one at a time, and every member ends with the same configuration", () => {
  const cluster = led(1, 4);
  for (const id of [2, 3, 4, 5]) {
    assert.equal(change(cluster, 1, [["ConfChangeAddNode", id]]).kind, "accepted");
    live(cluster, 3);
    assert.deepEqual(voters(cluster, id), [1, 2, 3, 4, 5].slice(0, id));
  }
  for (const id of [5, 4]) {
    assert.equal(change(cluster, 1, [["ConfChangeRemoveNode", id]]).kind, "accepted");
    live(cluster, 3);
  }
  for (const id of [1, 2, 3]) assert.deepEqual(voters(cluster, id), [1, 2, 3]);
});

test("dissertation 4.1: a second change waits until the first is committed and applied", () => {
  const cluster = led(3, 2);
  change(cluster, 1, [["ConfChangeAddNode", 4]]);
  const second = change(cluster, 1, [["ConfChangeAddNode", 5]]);
  assert.deepEqual([second.kind, "code" in second && second.code], ["refused", "change_pending"]);
  assert.equal(changesIn(cluster, 1), 1);
  cluster.settle();
  assert.equal(change(cluster, 1, [["ConfChangeAddNode", 5]]).kind, "accepted");
});

test("dissertation 4.1: of changes that arrive as proposals at once all but the first become empty entries", () => {
  const cluster = led(3, 2);
  const entries = [4, 5].map((id) => ({
    ...changeEntry(1, 1, [["ConfChangeAddNode", id]]),
    term: term(0),
    index: logIndex(0),
  }));
  cluster.node(1).step(from("MsgProp", 2, 1, { entries }));
  cluster.node(1).step(from("MsgProp", 3, 1, { entries: entries.slice(1) }));
  cluster.settle();
  assert.equal(changesIn(cluster, 1), 1);
  assert.deepEqual(voters(cluster, 1), [1, 2, 3, 4]);
});

test("dissertation 4.1: more than one voter at once is no single change, but a joint one", () => {
  const cluster = led(3, 2);
  change(
    cluster,
    1,
    [
      ["ConfChangeAddNode", 4],
      ["ConfChangeAddNode", 5],
    ],
    "ConfChangeTransitionJointExplicit",
  );
  cluster.settle();
  assert.deepEqual(
    [voters(cluster, 1), outgoing(cluster, 1)],
    [
      [1, 2, 3, 4, 5],
      [1, 2, 3],
    ],
  );
});

test("dissertation 4.1: the old majority decides until the change is applied, the new one from then on", () => {
  const cluster = led(3, 2);
  change(cluster, 1, [["ConfChangeAddNode", 4]]);
  cluster.settle(among(1, 2));
  assert.deepEqual(voters(cluster, 1), [1, 2, 3, 4], "two of three have committed it");
  cluster.propose(1, "a");
  cluster.settle(among(1, 2));
  const { commit, lastIndex } = cluster.node(1).status();
  assert.equal(commit, lastIndex - 1, "two of four commit nothing");
  live(cluster, 3, among(1, 2, 4));
  assert.equal(cluster.node(1).status().commit, lastIndex);
});

test("dissertation 4.1: fewer voters may suffice for what is in the log already, once a removal is applied", () => {
  const cluster = led(2, 1);
  change(cluster, 1, [["ConfChangeRemoveNode", 2]]);
  cluster.propose(1, "a");
  // 2 acknowledges its removal alone, and is then gone for good.
  cluster.settle((m) => m.type !== "MsgAppResp" || m.index <= 3);
  assert.deepEqual(voters(cluster, 1), [1]);
  assert.equal(cluster.node(1).status().commit, cluster.node(1).status().lastIndex);
});

test("dissertation 4.1 and its erratum: leaders in turn, each with a change of its own, never decide apart", () => {
  // The history of the bug report (raft-dev, July 2015): 1 adds 5, on its own disk only; 2 then removes 1.
  const cluster = led(4, 1);
  change(cluster, 1, [["ConfChangeAddNode", 5]]);
  live(cluster, 2, among(1, 5));
  cluster.node(2).campaign();
  cluster.settle(among(2, 3, 4));
  assert.equal(roleOf(cluster, 2), "Leader");
  assert.equal(change(cluster, 2, [["ConfChangeRemoveNode", 1]]).kind, "accepted");
  live(cluster, 2, among(2, 3));
  const removed = cluster.node(2).status();
  assert.ok(
    removed.commit < removed.lastIndex,
    "two of the four do not commit, although they are two of the new three",
  );
  // 1 comes back and stands with 4 and 5, whom it would have added.
  cluster.crash(1);
  cluster.restart(1);
  for (let i = 0; i < 3; i++) {
    cluster.node(1).campaign();
    cluster.settle(among(1, 4, 5));
    assert.notEqual(
      roleOf(cluster, 1),
      "Leader",
      "two of four; 5 has no vote while nobody committed that it has",
    );
  }
});

test("dissertation 4.1 and its erratum: a new leader lets no change in while its log holds what it has not applied", () => {
  const cluster = led(3, 2);
  change(cluster, 1, [["ConfChangeAddNode", 4]]);
  cluster.settle((m) => among(1, 2)(m) && m.type === "MsgApp");
  assert.equal(changesIn(cluster, 2), 1, "it has the change, and does not know that it is committed");
  cluster.node(2).campaign();
  cluster.settle((m) => m.type !== "MsgApp");
  assert.equal(roleOf(cluster, 2), "Leader");
  const refused = change(cluster, 2, [["ConfChangeAddNode", 5]]);
  assert.deepEqual([refused.kind, "code" in refused && refused.code], ["refused", "change_pending"]);
  live(cluster, 2);
  assert.deepEqual(voters(cluster, 2), [1, 2, 3, 4]);
  assert.equal(change(cluster, 2, [["ConfChangeAddNode", 5]]).kind, "accepted");
});

test("dissertation 4.1: who has a change committed and not applied does not stand for election (etcd #7625)", () => {
  const cluster = led(3, 1);
  change(cluster, 1, [["ConfChangeAddNode", 4]]);
  cluster.settle(() => false);
  cluster.tick(1, 1);
  // 2 learns of the commit and its state machine does not get to it.
  cluster.settle((m) => among(1, 3)(m));
  const appended = cluster.node(1).entriesFrom(logIndex(3));
  const place = { index: logIndex(2), logTerm: cluster.node(1).termAt(logIndex(2)) };
  const at = cluster.node(1).status().term;
  cluster.node(2).step(from("MsgApp", 1, 2, { term: at, ...place, entries: appended, commit: logIndex(3) }));
  cluster.takeReady(2);
  cluster.writeOne(2);
  cluster.takeReady(2);
  cluster.node(2).campaign();
  assert.deepEqual([cluster.node(2).status().commit, roleOf(cluster, 2)], [3, "Follower"]);
  cluster.applyOne(2);
  cluster.node(2).campaign();
  assert.equal(roleOf(cluster, 2), "Candidate");
});

test("dissertation 4.2.1: a learner is fed, is not counted, and does not stand; promoted it counts", () => {
  const cluster = led(3, 1);
  change(cluster, 1, [["ConfChangeAddLearnerNode", 4]]);
  live(cluster, 3);
  assert.deepEqual(cluster.host(4).applied.length, cluster.host(1).applied.length);
  cluster.propose(1, "a");
  cluster.settle(among(1, 4));
  const { commit, lastIndex } = cluster.node(1).status();
  assert.equal(commit, lastIndex - 1, "leader and learner are one of three");
  cluster.tick(4, 100);
  assert.equal(roleOf(cluster, 4), "Follower");
  live(cluster, 3);
  change(cluster, 1, [["ConfChangeAddNode", 4]]);
  live(cluster, 3);
  cluster.propose(1, "b");
  cluster.settle(among(1, 2, 4));
  assert.equal(cluster.node(1).status().commit, cluster.node(1).status().lastIndex);
});

test("dissertation 4.2.1: a learner that is slow or gone does not hold up the voters", () => {
  const cluster = led(3, 1);
  change(cluster, 1, [["ConfChangeAddLearnerNode", 4]]);
  live(cluster, 3);
  cluster.crash(4);
  for (let i = 0; i < 20; i++) {
    cluster.propose(1, `${i}`);
    live(cluster, 2, among(1, 2));
  }
  assert.equal(cluster.node(1).status().commit, cluster.node(1).status().lastIndex);
});

test("paper 6, dissertation 4.2.2: a leader manages a cluster without itself until its removal is committed, then another leads", () => {
  for (const stepDownOnRemoval of [true, false]) {
    const cluster = led(3, 1, { stepDownOnRemoval, checkQuorum: true, preVote: true });
    change(cluster, 1, [["ConfChangeRemoveNode", 1]]);
    cluster.settle(() => false);
    assert.equal(roleOf(cluster, 1), "Leader", "nothing is committed yet");
    cluster.network = [];
    live(cluster, 2);
    assert.deepEqual(voters(cluster, 2), [2, 3]);
    assert.equal(roleOf(cluster, 1) === "Leader", !stepDownOnRemoval);
    assert.match(JSON.stringify(cluster.propose(1, "late")), /not_leader|no_leader/, "it takes no more work");
    cluster.crash(1);
    live(cluster, 60);
    const [leader = 0] = leaders(cluster);
    assert.ok(leader > 1);
    assert.equal(cluster.propose(leader, "a").kind, "accepted");
    cluster.settle();
    assert.equal(cluster.node(leader).status().commit, cluster.node(leader).status().lastIndex);
  }
});

test("paper 6, dissertation 4.2.3: a removed member whom nobody told, and that times out, deposes nobody", () => {
  const cluster = led(3, 1, { checkQuorum: true, preVote: false });
  change(cluster, 1, [["ConfChangeRemoveNode", 3]]);
  live(cluster, 3, among(1, 2));
  const { term: at } = cluster.node(1).status();
  assert.deepEqual(
    [voters(cluster, 1), voters(cluster, 3)],
    [
      [1, 2],
      [1, 2, 3],
    ],
  );
  live(cluster, 200, (m) => m.to !== 3);
  assert.ok(cluster.node(3).status().term > at + 5, "it went through many campaigns");
  assert.deepEqual([leaders(cluster), cluster.node(1).status().term], [[1], at]);
});

test("paper 6, dissertation 4.3: in a joint configuration a commit needs a majority of each half", () => {
  for (const [present, committed] of [
    [[1, 2], false],
    [[1, 4, 5], false],
    [[1, 2, 4], true],
    [[1, 3, 5], true],
  ] as const) {
    const cluster = led(3, 2);
    const swap = [
      ["ConfChangeAddNode", 4],
      ["ConfChangeAddNode", 5],
      ["ConfChangeRemoveNode", 2],
      ["ConfChangeRemoveNode", 3],
    ] as const;
    change(cluster, 1, swap, "ConfChangeTransitionJointExplicit");
    live(cluster, 3);
    assert.deepEqual(
      [voters(cluster, 1), outgoing(cluster, 1)],
      [
        [1, 4, 5],
        [1, 2, 3],
      ],
    );
    cluster.propose(1, "a");
    live(cluster, 3, among(...present));
    const { commit, lastIndex } = cluster.node(1).status();
    assert.equal(commit === lastIndex, committed, `${present} of 1 4 5 and 1 2 3`);
  }
});

test("paper 6, dissertation 4.3: in a joint configuration an election needs a majority of each half, and any member may win", () => {
  for (const [candidate, present, elected] of [
    [2, [2, 3], false],
    [4, [4, 5], false],
    [4, [2, 4, 5], false],
    [2, [2, 3, 4, 5], true],
    [4, [2, 3, 4, 5], true],
  ] as const) {
    const cluster = led(3, 2);
    const swap = [
      ["ConfChangeAddNode", 4],
      ["ConfChangeAddNode", 5],
      ["ConfChangeRemoveNode", 1],
    ] as const;
    change(cluster, 1, swap, "ConfChangeTransitionJointExplicit");
    live(cluster, 3);
    assert.deepEqual(
      [voters(cluster, 4), outgoing(cluster, 4)],
      [
        [2, 3, 4, 5],
        [1, 2, 3],
      ],
    );
    cluster.node(candidate).campaign();
    cluster.settle(among(...present));
    assert.equal(roleOf(cluster, candidate) === "Leader", elected, `${candidate} with ${present}`);
  }
});

test("paper 6, dissertation 4.3: a second entry leaves the joint configuration, and a new leader goes on where the old one fell", () => {
  const cluster = led(3, 2);
  const swap = [
    ["ConfChangeAddNode", 4],
    ["ConfChangeAddNode", 5],
    ["ConfChangeRemoveNode", 3],
  ] as const;
  change(cluster, 1, swap, "ConfChangeTransitionJointImplicit");
  // The leader falls before anybody hears of a second change.
  const seconds = (m: Message): boolean =>
    m.entries.filter((e) => isConfChange(e.type) && e.data.length === 0).length > 0;
  live(cluster, 3, (m) => !seconds(m));
  assert.deepEqual(
    [voters(cluster, 2), outgoing(cluster, 2)],
    [
      [1, 2, 4, 5],
      [1, 2, 3],
    ],
  );
  cluster.crash(1);
  cluster.node(2).campaign();
  live(cluster, 3);
  assert.equal(roleOf(cluster, 2), "Leader");
  for (const id of [2, 4, 5])
    assert.deepEqual([voters(cluster, id), outgoing(cluster, id)], [[1, 2, 4, 5], []]);
});

test("dissertation 4.3: no other change is let in while a joint configuration is in force", () => {
  const cluster = led(3, 2);
  const swap = [
    ["ConfChangeAddNode", 4],
    ["ConfChangeRemoveNode", 3],
  ] as const;
  change(cluster, 1, swap, "ConfChangeTransitionJointExplicit");
  live(cluster, 3);
  const refused = change(cluster, 1, [["ConfChangeAddNode", 5]]);
  assert.deepEqual([refused.kind, "code" in refused && refused.code], ["refused", "invalid_change"]);
  assert.equal(change(cluster, 1, []).kind, "accepted");
  live(cluster, 3);
  assert.deepEqual([voters(cluster, 1), outgoing(cluster, 1)], [[1, 2, 4], []]);
  assert.equal(change(cluster, 1, []).kind, "refused", "there is nothing to leave");
});

test("dissertation 4.1: a change that is overwritten before it is committed leaves the configuration as it was", () => {
  const cluster = led(3, 1);
  change(cluster, 1, [["ConfChangeRemoveNode", 2]]);
  work(cluster, 1);
  cluster.network = [];
  cluster.node(2).campaign();
  cluster.settle(among(2, 3));
  live(cluster, 3);
  assert.equal(roleOf(cluster, 2), "Leader");
  for (const id of [1, 2, 3]) assert.deepEqual([voters(cluster, id), changesIn(cluster, id)], [[1, 2, 3], 0]);
});
