/** The members of the log: commands, documents and what the two may do to each other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { logIndex, nodeId, siteId, witnessId } from "../../../src/core/base/ids.js";
import { configureRefusal } from "../../../src/core/model/apply-config.js";
import { confChangeOf } from "../../../src/core/model/apply-members.js";
import type { Command } from "../../../src/core/model/command.js";
import type { WitnessConfig } from "../../../src/core/model/config.js";
import { type Member, memberByNode, memberOf, votersOf } from "../../../src/core/model/members.js";
import type { State } from "../../../src/core/model/state.js";
import { config, group, Log, started, W } from "./fixture.js";

const D = witnessId("w-d");

function witness(id: string, host: string): WitnessConfig {
  return { id: witnessId(id), site: null, peers: [`${host}:7000`], admin: `${host}:7001`, dns: null };
}

function add(log: Log, config: WitnessConfig, replaces: number | null = null): Command {
  return {
    kind: "member_add",
    witness: config,
    replaces: replaces === null ? null : nodeId(replaces),
    node: log.state.nextNode,
    by: "ann",
  };
}

function promote(node: number): Command {
  return { kind: "member_promote", node: nodeId(node), by: "ann" };
}

function remove(node: number): Command {
  return { kind: "member_remove", node: nodeId(node), by: "ann" };
}

function bind(node: number, disk: string): Command {
  return { kind: "member_bind", node: nodeId(node), disk };
}

function nodes(state: State): string[] {
  return state.members.map((member) => `${member.node} ${member.witness} ${member.role}`);
}

function refusal(log: Log, command: Command): string {
  const { accepted, reason } = log.push(command);
  assert.equal(accepted, false, `${command.kind} was accepted`);
  return reason;
}

function listed(state: State): string[] {
  return state.config?.witnesses.map(({ id }) => id) ?? [];
}

test("the first document makes its witnesses members, as nodes 1, 2, 3 in its order", () => {
  const { state } = started();
  assert.deepEqual(nodes(state), ["1 w-a voter", "2 w-b voter", "3 w-c voter"]);
  assert.equal(state.nextNode, 4);
  assert.deepEqual(memberOf(state, W[1])?.peers, ["10.0.1.1:7000"]);
});

test("a learner joins without counting, and counts from its promotion on", () => {
  const log = started();
  const joined = log.must(add(log, witness("w-d", "10.0.3.1")));
  assert.equal(joined.records[0]?.kind, "member");
  assert.match(
    joined.records[0]?.message ?? "",
    /w-d joins as a learner, node 4, at 10\.0\.3\.1:7000, by ann/,
  );
  assert.deepEqual(listed(log.state), ["w-a", "w-b", "w-c"]);
  assert.deepEqual(Object.keys(log.state.witnesses), ["w-a", "w-b", "w-c"]);
  assert.equal(log.push({ kind: "stale", witness: D }).accepted, false);

  assert.match(refusal(log, promote(4)), /not bound to a disk/);
  log.must(bind(4, "disk-4"));
  const promoted = log.must(promote(4));
  assert.match(promoted.records[0]?.message ?? "", /w-d \(node 4\) votes from now on, by ann/);
  assert.deepEqual(listed(log.state), ["w-a", "w-b", "w-c", "w-d"]);
  assert.equal(log.state.config?.witnesses[3]?.admin, "10.0.3.1:7001");
  assert.equal(log.state.witnesses["w-d"]?.stale, true);
  assert.match(refusal(log, promote(4)), /votes already/);
});

test("a lost witness is replaced under its own name: the newest member stands for it, and both change places at once", () => {
  const log = started();
  log.must(bind(3, "disk-3"));
  log.must({ kind: "observe", witness: W[2], abstaining: false, observations: [] });
  const record = log.state.witnesses["w-c"];
  const before = log.state.configHash;
  log.must(add(log, witness("w-c", "10.0.9.1"), 3));
  assert.deepEqual(nodes(log.state), ["1 w-a voter", "2 w-b voter", "3 w-c voter", "4 w-c learner"]);
  assert.equal(memberOf(log.state, W[2])?.node, 4);
  assert.equal(
    log.state.config?.witnesses[2]?.peers[0],
    "10.0.2.1:7000",
    "the voter still stands in the document",
  );

  log.must(bind(4, "disk-4"));
  assert.deepEqual(confChangeOf(log.state, promote(4)), [
    { type: "ConfChangeAddNode", node: 4 },
    { type: "ConfChangeRemoveNode", node: 3 },
  ]);
  log.must(promote(4));
  assert.deepEqual(nodes(log.state), ["1 w-a voter", "2 w-b voter", "4 w-c voter"]);
  assert.equal(memberByNode(log.state, nodeId(4))?.replaces, null);
  assert.equal(log.state.config?.witnesses[2]?.peers[0], "10.0.9.1:7000");
  assert.deepEqual(
    log.state.witnesses["w-c"],
    record,
    "what the witness was last known to see is not forgotten",
  );
  assert.notEqual(log.state.configHash, before, "no file says any more what the document says");
});

test("a replacement at the same address leaves the document as every file has it", () => {
  const log = started();
  const { configHash } = log.state;
  log.must(add(log, witness("w-c", "10.0.2.1"), 3));
  log.must(bind(4, "disk-4"));
  log.must(promote(4));
  assert.equal(log.state.configHash, configHash);
  assert.equal(configureRefusal(log.state, config(undefined, { version: 2 })), null);
});

test("a witness may be replaced by one of another name, which takes its line in the document", () => {
  const log = started();
  log.must(add(log, witness("w-d", "10.0.3.1"), 1));
  log.must(bind(4, "disk-4"));
  log.must(promote(4));
  assert.deepEqual(listed(log.state), ["w-d", "w-b", "w-c"]);
  assert.deepEqual(Object.keys(log.state.witnesses), ["w-d", "w-b", "w-c"]);
});

test("what would give a node two disks, two successors or a second life is refused", () => {
  const log = started();
  assert.match(
    refusal(log, { ...add(log, witness("w-d", "10.0.3.1")), node: nodeId(3) } as Command),
    /not the next one, 4/,
  );
  assert.match(refusal(log, add(log, witness("w-c", "10.0.3.1"))), /w-c is a member already/);
  assert.match(refusal(log, add(log, witness("w-b", "10.0.3.1"), 3)), /w-b is a member already/);
  assert.match(refusal(log, add(log, witness("w-d", "10.0.1.1"))), /10\.0\.1\.1:7000 is an address of w-b/);
  assert.match(refusal(log, add(log, { ...witness("w-d", "x"), peers: [] })), /no peer address/);
  assert.match(
    refusal(log, add(log, witness("w-c", "10.0.3.1"), 7)),
    /node 7, which shall be replaced, is no member/,
  );
  log.must(add(log, witness("w-c", "10.0.9.1"), 3));
  assert.match(
    refusal(log, add(log, witness("w-c", "10.0.9.2"), 3)),
    /being replaced by w-c \(node 4\) already/,
  );
  assert.match(
    refusal(log, add(log, witness("w-c", "10.0.9.2"), 4)),
    /is a learner: remove it and add it again/,
  );
  assert.match(refusal(log, remove(3)), /being replaced by w-c \(node 4\): call that off first/);
  log.must(bind(3, "disk-3"));
  assert.match(refusal(log, bind(3, "disk-x")), /bound to disk disk-3 already/);
  assert.match(refusal(log, bind(4, "disk-3")), /disk disk-3 is bound to w-c \(node 3\)/);
  assert.match(refusal(log, bind(4, "")), /a disk without an id/);
  assert.match(refusal(log, bind(9, "d")), /node 9 is no member/);
  log.must(remove(4));
  assert.match(log.state.history.at(-1)?.message ?? "", /replacement of node 3 is called off/);
  assert.match(refusal(log, bind(4, "disk-4")), /node 4 is no member/);
  log.must(add(log, witness("w-c", "10.0.9.1"), 3));
  assert.deepEqual(nodes(log.state).at(-1), "5 w-c learner", "node 4 is never given again");
});

test("a removed voter leaves the document and its record, and the last one stays", () => {
  const log = started();
  log.must(remove(2));
  assert.deepEqual(listed(log.state), ["w-a", "w-c"]);
  assert.deepEqual(Object.keys(log.state.witnesses), ["w-a", "w-c"]);
  log.must(remove(1));
  assert.match(refusal(log, remove(3)), /w-c \(node 3\) is the last voter/);
});

test("members come and go only after a document is replicated", () => {
  const log = new Log();
  for (const command of [add(log, witness("w-d", "h")), promote(1), remove(1), bind(1, "d")])
    assert.equal(log.push(command).accepted, false);
});

test("a document must list the voters as they are, and the refusal names the command that comes first", () => {
  const log = started();
  const document = (witnesses: readonly WitnessConfig[]) => config(undefined, { version: 2, witnesses });
  const [a, b, c] = config().witnesses;
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  const d = witness("w-d", "10.0.3.1");
  assert.match(
    configureRefusal(log.state, document([a, b, c, d])) ?? "",
    /w-d, which is no member: first `pointsman members add w-d`/,
  );
  assert.match(
    configureRefusal(log.state, document([a, b])) ?? "",
    /leaves out witness w-c.*`pointsman members remove w-c`/,
  );
  assert.equal(configureRefusal(log.state, document([c, a, b])), null, "in any order");
  log.must(add(log, d));
  assert.match(
    configureRefusal(log.state, document([a, b, c, d])) ?? "",
    /w-d, which is a learner: first `pointsman members promote w-d`/,
  );
  assert.equal(configureRefusal(log.state, document([a, b, c])), null, "a learner is in no document");
  log.must(bind(4, "disk-4"));
  log.must(promote(4));
  assert.match(configureRefusal(log.state, document([a, b, c])) ?? "", /leaves out witness w-d, which votes/);
  log.must({ kind: "configure", config: document([d, c, a, b]), hash: "h2" });
  assert.deepEqual(nodes(log.state), ["1 w-a voter", "2 w-b voter", "3 w-c voter", "4 w-d voter"]);
  assert.equal(log.state.nextNode, 5);
});

test("addresses follow the document, but a document that has not heard of a move does not undo it", () => {
  const log = started();
  const at = (host: string, version: number) =>
    config(undefined, {
      version,
      witnesses: config().witnesses.map((one) => (one.id === W[2] ? witness("w-c", host) : one)),
    });
  const peers = (node: number) => memberByNode(log.state, nodeId(node))?.peers[0];
  log.must({ kind: "configure", config: at("10.0.2.2", 2), hash: "h2" });
  assert.equal(peers(3), "10.0.2.2:7000");

  log.must(add(log, witness("w-c", "10.0.9.1"), 3));
  // During the replacement the old place and the new one are both true; anything else is a mistake.
  log.must({ kind: "configure", config: at("10.0.2.2", 3), hash: "h3" });
  assert.equal(peers(4), "10.0.9.1:7000");
  assert.match(
    configureRefusal(log.state, at("10.0.7.7", 4)) ?? "",
    /w-c at 10\.0\.7\.7:7000, but it joined at 10\.0\.9\.1:7000/,
  );
  log.must(bind(4, "disk-4"));
  log.must(promote(4));
  assert.match(
    configureRefusal(log.state, at("10.0.2.2", 4)) ?? "",
    /joined at 10\.0\.9\.1:7000: set its "peer" to that/,
  );
  log.must({ kind: "configure", config: at("10.0.9.1", 4), hash: "h4" });
  log.must({ kind: "configure", config: at("10.0.9.2", 5), hash: "h5" });
  assert.equal(peers(4), "10.0.9.2:7000");
});

const HOSTS = ["10.0.0.1", "10.0.1.1", "10.0.2.1", "10.0.3.1", "10.0.4.1"];
const IDS = ["w-a", "w-b", "w-c", "w-d", "__proto__x"];
const small = fc.nat({ max: 9 }).map((n) => nodeId(n));
const newcomer = fc
  .tuple(fc.constantFrom(...IDS), fc.constantFrom(...HOSTS))
  .map(([id, host]) => witness(id, host));

/** Steps of a log: what a leader would write, with ids that mostly fit, and documents with and without the news. */
const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant("add" as const),
      witness: newcomer,
      replaces: fc.option(small),
      skew: fc.constantFrom(0, 0, 0, 0, 1),
    }),
    fc.record({ kind: fc.constant("promote" as const), pick: fc.nat({ max: 5 }) }),
    fc.record({ kind: fc.constant("remove" as const), pick: fc.nat({ max: 5 }) }),
    fc.record({ kind: fc.constant("bind" as const), pick: fc.nat({ max: 5 }), disk: fc.nat({ max: 12 }) }),
    fc.record({
      kind: fc.constant("replace" as const),
      pick: fc.nat({ max: 5 }),
      host: fc.constantFrom(...HOSTS),
    }),
    fc.record({
      kind: fc.constant("document" as const),
      true: fc.boolean(),
      some: fc.array(newcomer, { maxLength: 4 }),
    }),
  ),
  { minLength: 1, maxLength: 60, size: "max" },
);

function commandOf(
  log: Log,
  step: (typeof steps extends fc.Arbitrary<infer T> ? T : never)[number],
): Command {
  const { members, nextNode } = log.state;
  const picked = (pick: number): Member | undefined => members[pick % Math.max(1, members.length)];
  switch (step.kind) {
    case "add":
      return {
        kind: "member_add",
        witness: step.witness,
        replaces: step.replaces,
        node: nodeId(nextNode + step.skew),
        by: "x",
      };
    case "promote":
      return promote(picked(step.pick)?.node ?? 7);
    case "remove":
      return remove(picked(step.pick)?.node ?? 7);
    case "bind":
      return bind(picked(step.pick)?.node ?? 7, `disk-${step.disk}`);
    case "replace": {
      const member = picked(step.pick);
      return add(log, witness(member?.witness ?? "w-x", step.host), member?.node ?? 7);
    }
    case "document": {
      const present = log.state.config?.witnesses ?? config().witnesses;
      const version = (log.state.config?.version ?? 0) + 1;
      return {
        kind: "configure",
        config: config([group()], { version, witnesses: step.true ? [...present].reverse() : step.some }),
        hash: `h${version}`,
      };
    }
  }
}

test("node ids are never used again, the document lists the voters, and no witness has a third member", () => {
  const reached = { promoted: 0, swapped: 0, removed: 0, documents: 0 };
  fc.assert(
    fc.property(steps, (chosen) => {
      const log = started();
      /** Every node id that was ever given, with its witness; and those that are gone. */
      const given = new Map(log.state.members.map(({ node, witness: id }) => [node, id]));
      const gone = new Set<number>();
      for (const step of chosen) {
        const before = log.state;
        const command = commandOf(log, step);
        const changes = confChangeOf(before, command);
        const { accepted } = log.push(command);
        const { state } = log;
        if (!accepted) {
          assert.deepEqual(state.members, before.members);
          assert.equal(state.nextNode, before.nextNode);
        }
        assert.ok(state.nextNode >= before.nextNode);
        for (const { node } of before.members) if (memberByNode(state, node) === null) gone.add(node);
        for (const [at, member] of state.members.entries()) {
          assert.equal(given.get(member.node) ?? member.witness, member.witness);
          given.set(member.node, member.witness);
          assert.ok(!gone.has(member.node), "a node that left is back");
          assert.ok(member.node < state.nextNode);
          assert.ok((state.members[at - 1]?.node ?? 0) < member.node, "sorted by node");
        }
        const voters = votersOf(state);
        assert.ok(voters.length > 0);
        assert.deepEqual(listed(state).sort(), voters.map((voter) => voter.witness).sort());
        assert.deepEqual(Object.keys(state.witnesses), listed(state));
        for (const { id, peers } of state.config?.witnesses ?? [])
          assert.deepEqual(voters.find((voter) => voter.witness === id)?.peers, peers);
        const replacing = state.members.flatMap(({ replaces }) => (replaces === null ? [] : [replaces]));
        assert.equal(new Set(replacing).size, replacing.length, "one replacement a member");
        for (const node of replacing) assert.equal(memberByNode(state, node)?.role, "voter");
        for (const id of new Set(state.members.map((member) => member.witness))) {
          const same = state.members.filter((member) => member.witness === id);
          // Two share a name only while the newer one replaces the other.
          if (same.length > 1) assert.equal(same[1]?.replaces, same[0]?.node);
          assert.ok(same.length <= 2);
          assert.equal(memberOf(state, id), same.at(-1), "the name stands for the newest");
        }
        const disks = state.members.flatMap(({ disk }) => (disk === null ? [] : [disk]));
        assert.equal(new Set(disks).size, disks.length, "one member a disk");
        if (accepted) {
          // Raft's configuration, moved by the changes alone, has the same voters and learners.
          const sets = { voters: new Set<number>(), learners: new Set<number>() };
          for (const { node, role } of before.members)
            (role === "voter" ? sets.voters : sets.learners).add(node);
          for (const { type, node } of changes) {
            sets.voters.delete(node);
            sets.learners.delete(node);
            if (type === "ConfChangeAddNode") sets.voters.add(node);
            if (type === "ConfChangeAddLearnerNode") sets.learners.add(node);
          }
          const sorted = (set: Set<number>) => [...set].sort((x, y) => x - y);
          assert.deepEqual(
            sorted(sets.voters),
            voters.map(({ node }) => node),
          );
          assert.deepEqual(
            sorted(sets.learners),
            state.members.filter(({ role }) => role === "learner").map(({ node }) => node),
          );
          if (command.kind === "member_promote") reached[changes.length === 2 ? "swapped" : "promoted"]++;
          if (command.kind === "member_remove") reached.removed++;
          if (command.kind === "configure") reached.documents++;
        }
      }
      assert.equal(log.state.appliedIndex, logIndex(chosen.length + 1));
    }),
    { numRuns: 600 },
  );
  for (const [what, count] of Object.entries(reached)) assert.ok(count > 0, `${what} was never reached`);
});

test("a new member may stand at a site of its own", () => {
  const log = started();
  log.must(add(log, { ...witness("w-d", "10.0.3.1"), site: siteId("a"), dns: "10.0.3.1:53" }));
  assert.equal(memberOf(log.state, D)?.site, "a");
  assert.equal(memberOf(log.state, D)?.dns, "10.0.3.1:53");
});
