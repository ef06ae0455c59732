/**
 * Replication and commit (paper, sections 5.3 and 5.4.2), on lines that lose, delay and double.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, nodeId, term } from "../../../src/core/base/ids.js";
import { type Entry, type Message, message } from "../../../src/core/raft/raft.js";
import { among, Cluster, text } from "./cluster.js";

const from = (type: Message["type"], sender: number, to: number, rest: Partial<Message> = {}) =>
  message({ ...rest, type, from: nodeId(sender), to: nodeId(to) });
const entry = (t: number, index: number, data = ""): Entry => ({
  type: "EntryNormal",
  term: term(t),
  index: logIndex(index),
  data: new Uint8Array(Buffer.from(data)),
});

test("dissertation 10.2.1: an entry is committed by two followers' disks before the leader's own, and not applied there before that", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.takeReady(1);
  for (const m of cluster.network.splice(0)) cluster.deliver(m);
  for (const id of [2, 3]) {
    cluster.takeReady(id);
    cluster.writeOne(id);
  }
  for (const m of cluster.network.splice(0)) cluster.deliver(m);
  assert.equal(cluster.node(1).status().commit, 2);
  cluster.takeReady(1);
  assert.equal(cluster.host(1).applies.length, 0);
  cluster.settle();
  assert.equal(cluster.host(1).applied.length, 2);
});

test("paper 5.1, figure 2: an acknowledgement waits for the write that it promises", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.takeReady(1);
  for (const m of cluster.network.splice(0)) cluster.deliver(m);
  cluster.takeReady(2);
  assert.equal(cluster.network.length, 0);
  cluster.crash(2);
  cluster.restart(2);
  assert.equal(cluster.log(2).length, 1, "what was not written is gone, and nobody was told otherwise");
});

test("paper 5.4.2: an entry of an older term on a majority is not committed by counting", () => {
  const cluster = new Cluster(3, { maxSizePerMsg: 1 });
  cluster.campaign(1);
  cluster.propose(1, "old");
  cluster.settle(() => false);
  cluster.crash(1);
  cluster.restart(1);
  // 1 leads again in term 2. Its first append finds no place at 2, the old entry follows, and then the link
  // is cut.
  cluster.node(1).campaign();
  cluster.settle(
    (m) => (m.to !== 3 && !(m.type === "MsgApp" && cluster.log(2).length === 2)) || m.type === "MsgVote",
  );
  assert.equal(cluster.node(1).status().state, "StateLeader");
  assert.deepEqual(cluster.log(2), ["1/1 ", "1/2 old"]);
  assert.equal(cluster.node(1).status().progress[1]?.match, 2, "a majority has it, and the leader knows");
  assert.equal(cluster.node(1).status().commit, 1);
  for (let i = 0; i < 3; i++) {
    cluster.tick(1, 1);
    cluster.settle();
  }
  assert.equal(cluster.node(1).status().commit, 3, "its own entry commits both");
});

test("paper 5.3: the rejection of an append names the last term that can agree, and the leader answers from there", () => {
  const cluster = new Cluster(3);
  const two = cluster.node(2);
  // 2 has a long tail of term 1; the leader of term 3 has other entries from index 3 on.
  two.step(from("MsgApp", 1, 2, { term: term(1), entries: [1, 2, 3, 4, 5, 6].map((i) => entry(1, i)) }));
  cluster.settle(() => false);
  cluster.network = [];
  two.step(from("MsgApp", 3, 2, { term: term(3), index: logIndex(6), logTerm: term(2) }));
  cluster.takeReady(2);
  cluster.writeOne(2);
  const [answer] = cluster.network;
  assert.deepEqual([answer?.reject, answer?.index, answer?.rejectHint, answer?.logTerm], [true, 6, 6, 1]);
});

test("paper 5.3: a tail of two hundred entries that nobody else has is replaced in a few messages (openraft 6d53aa12)", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  for (let i = 0; i < 200; i++) cluster.propose(1, `lost${i}`);
  cluster.settle(() => false);
  cluster.network = [];
  cluster.node(2).campaign();
  cluster.settle(among(2, 3));
  for (let i = 0; i < 200; i++) cluster.propose(2, `kept${i}`);
  cluster.settle(among(2, 3));
  let appends = 0;
  cluster.tick(2, 1);
  cluster.settle((m) => {
    if (m.type === "MsgApp" && m.to === 1) appends++;
    return true;
  });
  assert.deepEqual(cluster.log(1), cluster.log(2));
  assert.ok(appends <= 5, `${appends} appends`);
});

test("an append that lies before the commit index is answered with it, not rejected (etcd 8e6b989)", () => {
  const cluster = new Cluster(3, { asyncStorageWrites: false });
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.settle();
  cluster.node(2).step(from("MsgApp", 1, 2, { term: term(1), entries: [entry(1, 1)] }));
  cluster.takeReady(2);
  assert.deepEqual(
    cluster.network.map((m) => [m.type, m.index, m.reject]),
    [["MsgAppResp", 2, false]],
  );
});

test("a heartbeat never carries a commit index past what the peer acknowledged", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.settle(among(1, 2));
  cluster.tick(1, 1);
  cluster.takeReady(1);
  const commits = cluster.network.filter((m) => m.type === "MsgHeartbeat").map((m) => [m.to, m.commit]);
  assert.deepEqual(commits, [
    [2, 2],
    [3, 1],
  ]);
});

test("reordered and doubled acknowledgements and rejections leave match where it is", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  for (const data of ["a", "b", "c"]) cluster.propose(1, data);
  cluster.settle();
  const match = () =>
    cluster
      .node(1)
      .status()
      .progress.map((p) => Number(p.match));
  assert.deepEqual(match(), [4, 4, 4]);
  const ack = (index: number, rest: Partial<Message> = {}) =>
    cluster.node(1).step(from("MsgAppResp", 2, 1, { term: term(1), index: logIndex(index), ...rest }));
  ack(2);
  ack(3, { reject: true, rejectHint: logIndex(1), logTerm: term(1) });
  assert.deepEqual(match(), [4, 4, 4]);
  assert.equal(ack(9), "stepped");
  assert.deepEqual(match(), [4, 4, 4], "nobody can acknowledge what was never sent");
  assert.equal(cluster.node(1).status().anomalyCount, 1);
});

test("a restarted follower that is up to date learns the commit index without a new proposal", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.settle((m) => !(m.to === 3 && m.commit === 2));
  assert.equal(cluster.node(3).status().commit, 1);
  cluster.crash(3);
  cluster.restart(3);
  cluster.tick(1, 1);
  cluster.settle();
  assert.equal(cluster.node(3).status().commit, 2);
});

test("proposals past the bound are refused until what waits is applied, and the bound does not leak (etcd a370b6f)", () => {
  const cluster = new Cluster(3, { maxUncommittedSize: 10 });
  cluster.campaign(1);
  for (let round = 0; round < 5; round++) {
    assert.equal(cluster.propose(1, "12345678").kind, "accepted");
    assert.deepEqual(cluster.propose(1, "12345678"), { kind: "refused", code: "uncommitted_limit", lead: 1 });
    cluster.settle();
  }
  assert.equal(
    cluster.propose(1, "larger than the whole bound").kind,
    "accepted",
    "one of any size goes through",
  );
});

test("the bytes of a proposal belong to the caller, who may use them again", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  const data = new Uint8Array(Buffer.from("a"));
  cluster.node(1).propose(data);
  data[0] = 98;
  cluster.settle();
  assert.deepEqual(
    cluster.host(3).applied.map((e) => text(e.data)),
    ["", "a"],
  );
});

test("a leader never sends more appends than the window holds and resumes when one is acknowledged", () => {
  const cluster = new Cluster(3, { maxInflightMsgs: 2 });
  cluster.campaign(1);
  for (let i = 0; i < 10; i++) cluster.propose(1, `${i}`);
  cluster.takeReady(1);
  assert.equal(cluster.network.filter((m) => m.to === 2).length, 2);
  cluster.settle();
  assert.equal(cluster.node(3).status().commit, 11);
});

test("a late confirmation of 1/2, overwritten by 2/2 and then by 1/2 again, makes nothing durable (the whole ABA race)", () => {
  const cluster = new Cluster(3);
  const append = (sender: number, t: number, entries: Entry[], rest: Partial<Message> = {}) => {
    cluster.node(2).step(from("MsgApp", sender, 2, { term: term(t), entries, ...rest }));
    cluster.takeReady(2);
  };
  append(1, 1, [entry(1, 1), entry(1, 2)]);
  append(3, 2, [entry(2, 2)], { index: logIndex(1), logTerm: term(1) });
  append(1, 3, [entry(1, 2), entry(3, 3)], { index: logIndex(1), logTerm: term(1), commit: logIndex(2) });
  assert.equal(cluster.host(2).appends.length, 3);
  // The first write is done. The second, of 2/2, is still to come, so 1/2 may yet vanish from the disk.
  cluster.writeOne(2);
  cluster.takeReady(2);
  assert.equal(cluster.host(2).applies.length, 0);
  cluster.settle(() => false);
  assert.deepEqual(
    cluster.host(2).applied.map((e) => `${e.term}/${e.index}`),
    ["1/1", "1/2"],
  );
});

test("a caught-up follower that was reported unreachable is replicated to again in a quiet cluster (etcd #10308)", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.node(1).reportUnreachable(nodeId(2));
  assert.equal(cluster.node(1).status().progress[1]?.state, "StateProbe");
  cluster.tick(1, 1);
  cluster.settle();
  assert.equal(cluster.node(1).status().progress[1]?.state, "StateReplicate");
});

test("a follower never acknowledges a leader that contradicts what is committed here", () => {
  const cluster = new Cluster(3);
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.settle();
  const node = cluster.node(2);
  assert.equal(node.status().commit, 2);
  // A leader that another member elected after it lost its disk: its entries 1 and 2 are of term 5.
  for (const index of [1, 2]) {
    const place = { index: logIndex(index), logTerm: term(5), commit: logIndex(2) };
    node.step(from("MsgApp", 3, 2, { term: term(5), ...place }));
  }
  const answers = node.ready().messages.flatMap((m) => [m, ...m.responses]);
  assert.ok(!answers.some((m) => m.type === "MsgAppResp"), "no answer is a false one");
  assert.match(node.status().lastAnomaly ?? "", /contradicts entry 2/);
});
