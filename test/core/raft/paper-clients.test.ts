/**
 * Claims on clients: the paper's section 8 and the dissertation's chapter 6. Reads and leases stand in reads.test.ts
 * and lease.test.ts; sessions, which make a command that is sent twice happen once, are the model's (src/core/model).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../../src/core/raft/raft.js";
import { among, Cluster, text } from "./cluster.js";
import { change, roleOf, work } from "./paper.js";

const ask = (cluster: Cluster, id: number, context: string) =>
  cluster.node(id).readIndex(new Uint8Array(Buffer.from(context)));
const answers = (cluster: Cluster, id: number) =>
  cluster.host(id).readStates.map((read) => `${text(read.context)}@${read.index}`);

test("paper 8: only the leader takes commands; every other member refuses and names it, or says that there is none", () => {
  const cluster = new Cluster(3);
  assert.deepEqual(cluster.propose(2, "a"), { kind: "refused", code: "no_leader", lead: 0 });
  cluster.campaign(1);
  for (const id of [2, 3])
    assert.deepEqual(cluster.propose(id, "a"), { kind: "refused", code: "not_leader", lead: 1 });
  assert.equal(cluster.propose(1, "a").kind, "accepted");
  cluster.settle();
  assert.deepEqual(cluster.log(3), ["1/1 ", "1/2 a"], "what was refused left no trace");
});

test("paper 8: a leader that falls leaves its client in doubt: what it took is lost, or is committed by the next one", () => {
  for (const heardBy of [[1], [1, 2]]) {
    const cluster = new Cluster(3);
    cluster.campaign(1);
    cluster.propose(1, "doubtful");
    cluster.settle((m) => among(...heardBy)(m) && m.type === "MsgApp");
    cluster.crash(1);
    cluster.network = [];
    cluster.campaign(2);
    assert.equal(roleOf(cluster, 2), "Leader");
    const committed = cluster.host(2).applied.some((e) => text(e.data) === "doubtful");
    assert.equal(committed, heardBy.length > 1);
  }
});

test("paper 8, dissertation 6.3: a command that is sent again stands in the log twice, as far as Raft is concerned", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  for (let i = 0; i < 2; i++) cluster.propose(1, "same");
  cluster.settle();
  assert.deepEqual(
    cluster.host(3).applied.map((e) => text(e.data)),
    ["", "same", "same"],
  );
});

test("paper 8: a leader begins its term with an empty entry, which tells it what is committed", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "a");
  // 3 has all of it and has not heard that it is committed.
  cluster.settle((m) => m.to !== 3 || m.commit < 2);
  assert.equal(cluster.node(3).status().commit, 1);
  cluster.campaign(3);
  assert.deepEqual([cluster.node(3).status().commit, cluster.log(3).at(-1)], [3, "2/3 "]);
});

test("dissertation 6.4: an answered heartbeat confirms every read that came before it was sent, and none that came after", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  for (const context of ["a", "b", "c"]) ask(cluster, 1, context);
  work(cluster, 1);
  const last = cluster.network
    .splice(0)
    .filter((m) => m.to === 2 && m.type === "MsgHeartbeat")
    .at(-1);
  ask(cluster, 1, "later");
  work(cluster, 1);
  cluster.network = [];
  assert.ok(last !== undefined);
  cluster.deliver(last);
  cluster.settle((m) => m.type === "MsgHeartbeatResp");
  assert.deepEqual(answers(cluster, 1), ["a@1", "b@1", "c@1"]);
});

test("dissertation 6.4: a read asked after a write was acknowledged is answered at that write or behind it, at any member", () => {
  const cluster = new Cluster(5);
  for (let round = 0; round < 10; round++) {
    const leader = 1 + ((round * 3) % 5);
    cluster.campaign(leader);
    cluster.propose(leader, `${round}`);
    cluster.settle((m) => m.to !== 1 + (leader % 5) || m.type !== "MsgApp");
    const { commit } = cluster.node(leader).status();
    for (const id of [1, 2, 3, 4, 5]) {
      cluster.host(id).readStates = [];
      ask(cluster, id, "r");
      cluster.settle();
      assert.deepEqual(
        cluster.host(id).readStates.map(({ index }) => index >= commit),
        [true],
        `${id}`,
      );
    }
  }
});

test("dissertation 6.4: in a joint configuration a read needs a majority of each half to confirm it", () => {
  for (const [present, confirmed] of [
    [[1, 2], false],
    [[1, 4, 5], false],
    [[1, 2, 4], true],
  ] as const) {
    const cluster = new Cluster(3, {}, { spares: 2 });
    cluster.campaign(1);
    const swap = [
      ["ConfChangeAddNode", 4],
      ["ConfChangeAddNode", 5],
      ["ConfChangeRemoveNode", 2],
      ["ConfChangeRemoveNode", 3],
    ] as const;
    change(cluster, 1, swap, "ConfChangeTransitionJointExplicit");
    for (let i = 0; i < 3; i++) {
      cluster.tick(1, 1);
      cluster.settle();
    }
    ask(cluster, 1, "r");
    cluster.settle(among(...present));
    assert.equal(answers(cluster, 1).length === 1, confirmed, `${present} of 1 4 5 and 1 2 3`);
  }
});

test("dissertation 6.4.1: a lease serves the followers' reads too: they ask the leader, and it asks nobody", () => {
  const cluster = new Cluster(3, { checkQuorum: true, preVote: true, readOnlyOption: "lease-based" });
  cluster.campaign(1);
  cluster.tick(1, 1);
  cluster.settle();
  const sent: Message["type"][] = [];
  cluster.onSend = (m) => sent.push(m.type);
  ask(cluster, 2, "r");
  cluster.settle();
  assert.deepEqual(sent, ["MsgReadIndex", "MsgReadIndexResp"]);
  assert.deepEqual(answers(cluster, 2), ["r@1"]);
});
