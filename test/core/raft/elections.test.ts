import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "./cluster.js";

for (const asyncStorageWrites of [false, true]) {
  test(`three members elect the one that campaigns and replicate to all (async ${asyncStorageWrites})`, () => {
    const cluster = new Cluster(3, { asyncStorageWrites, preVote: true, checkQuorum: true });
    cluster.campaign(1);
    assert.equal(cluster.node(1).status().state, "StateLeader");
    assert.equal(cluster.propose(1, "a").kind, "accepted");
    cluster.settle();
    for (const id of [1, 2, 3]) {
      assert.deepEqual(cluster.log(id), ["1/1 ", "1/2 a"]);
      assert.equal(cluster.node(id).status().commit, 2);
      assert.equal(cluster.host(id).applied.length, 2);
    }
    assert.deepEqual(cluster.propose(2, "b"), { kind: "refused", code: "not_leader", lead: 1 });
  });
}
