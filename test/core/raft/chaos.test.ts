/**
 * Random histories against an all-seeing observer: messages are dropped, doubled and reordered, members
 * crash and lose what was not written.
 *
 * A history is a list of numbers, each read as one step on whatever state there is, so that fast-check can
 * shrink a failing one. The seed is fixed; set RAFT_SEED and RAFT_RUNS to search elsewhere.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { logIndex } from "../../../src/core/base/ids.js";
import type { Entry, Message, Recovering } from "../../../src/core/raft/raft.js";
import { Cluster, type ClusterOptions, text } from "./cluster.js";
import { Observer } from "./observer.js";

const seed = Number(process.env["RAFT_SEED"] ?? 20260730);
const numRuns = Number(process.env["RAFT_RUNS"] ?? 300);

interface Run {
  readonly cluster: Cluster;
  readonly observer: Observer;
  /** Earlier contents of each disk, for members whose disks forget. */
  readonly history: Entry[][][];
  readonly disksForget: boolean;
  /** What each member lost and may not have won back. */
  readonly mirrors: (Recovering | undefined)[];
  proposals: number;
}

/** Takes one of the low choices off a number: the choice and the rest. */
function draw(n: number, choices: number): [number, number] {
  return [n % choices, Math.floor(n / choices)];
}

const STEPS: readonly {
  readonly weight: number;
  readonly step: (run: Run, id: number, n: number) => void;
}[] = [
  { weight: 8, step: ({ cluster }, id, n) => cluster.tick(id, 1 + (n % 3)) },
  { weight: 8, step: ({ cluster }, id) => cluster.node(id).hasReady() && cluster.takeReady(id) },
  { weight: 6, step: ({ cluster }, id) => cluster.writeOne(id) },
  { weight: 3, step: ({ cluster }, id) => cluster.applyOne(id) },
  { weight: 14, step: ({ cluster }, _id, n) => deliverOne(cluster, n, false) },
  { weight: 3, step: ({ cluster }, _id, n) => deliverOne(cluster, n, true) },
  { weight: 3, step: ({ cluster }, _id, n) => cluster.network.splice(n % (cluster.network.length + 1), 1) },
  { weight: 3, step: (run, id) => run.cluster.propose(id, `p${run.proposals++}`) },
  { weight: 5, step: (run) => proposeAtLeaders(run) },
  { weight: 1, step: ({ cluster }, id) => cluster.node(id).campaign() },
  {
    weight: 1,
    step: ({ cluster }, id, n) =>
      cluster.node(id).transferLeader(cluster.host(1 + (n % cluster.hosts.length)).id),
  },
  { weight: 3, step: read },
  { weight: 2, step: crash },
  { weight: 14, step: workTogether },
];
const TOTAL = STEPS.reduce((sum, { weight }) => sum + weight, 0);

function deliverOne(cluster: Cluster, n: number, keep: boolean): void {
  const at = n % Math.max(1, cluster.network.length);
  const m = cluster.network[at];
  if (m === undefined) return;
  if (!keep) cluster.network.splice(at, 1);
  cluster.deliver(m);
}

function read({ cluster, observer, proposals }: Run, id: number, n: number): void {
  const context = `r${proposals}.${n}`;
  observer.readBegins(context);
  cluster.node(id).readIndex(new Uint8Array(Buffer.from(context)));
}

/** Power off and on, sometimes with an older disk in a run whose disks forget. */
function crash(run: Run, id: number, n: number): void {
  const { cluster, observer } = run;
  const { disk } = cluster.host(id);
  const before = mirrored(run, id);
  cluster.crash(id);
  observer.restarted(id);
  const old = run.history[id - 1]?.[n % (run.history[id - 1]?.length ?? 1)];
  if (!run.disksForget || old === undefined) {
    cluster.restart(id, before);
    return;
  }
  // The mirror knows the highest promise; the store is back at an earlier state of itself.
  const acked = Math.max(disk.entries.length, before?.ackedIndex ?? 0);
  disk.entries = [...old];
  const mirror = { ackedIndex: logIndex(acked), term: disk.hardState.term };
  run.mirrors[id - 1] = mirror;
  cluster.restart(id, mirror);
}

/** What a member's mirror says of an earlier loss: gone only when what made up for the loss is itself on disk. */
function mirrored({ cluster, mirrors }: Run, id: number): Recovering | null {
  const mirror = mirrors[id - 1];
  if (mirror === undefined) return null;
  const { entries } = cluster.host(id).disk;
  const whole = entries.length >= mirror.ackedIndex || (entries.at(-1)?.term ?? 0) > mirror.term;
  if (!whole || cluster.node(id).status().recovering !== null) return mirror;
  delete mirrors[id - 1];
  return null;
}

function proposeAtLeaders(run: Run): void {
  for (const { id, node } of run.cluster.hosts)
    if (node.status().state === "StateLeader") run.cluster.propose(id, `p${run.proposals++}`);
}

/**
 * A few rounds in which some members work and hear each other, so that histories get somewhere; what goes
 * elsewhere is held or lost.
 */
function workTogether({ cluster, observer }: Run, _id: number, n: number): void {
  const [absent, rest] = draw(n, 4 ** cluster.hosts.length);
  const [rounds, more] = draw(rest, 8);
  // Each takes part with three chances in four.
  const together = (id: number) => ((absent >> (2 * (id - 1))) & 3) !== 3;
  const pass = (m: Message) => together(m.from) && together(m.to);
  for (let i = 0; i <= rounds; i++) {
    cluster.round(pass, () => more % 2 === 0, together);
    observer.look();
  }
}

function step(run: Run, n: number): void {
  const [kind, rest] = draw(n, TOTAL);
  const [who, more] = draw(rest, run.cluster.hosts.length);
  let at = kind;
  for (const { weight, step: act } of STEPS) {
    if (at < weight) {
      act(run, who + 1, more);
      break;
    }
    at -= weight;
  }
  for (const { id, disk } of run.cluster.hosts) {
    const states = run.history[id - 1];
    if (run.disksForget && states?.at(-1)?.at(-1) !== disk.entries.at(-1)) states?.push([...disk.entries]);
  }
  run.observer.look();
}

function play(size: number, options: ClusterOptions, steps: readonly number[], disksForget: boolean): Run {
  const cluster = new Cluster(size, { ...options, electionTick: 5 });
  const run: Run = {
    cluster,
    observer: new Observer(cluster, { disksKeep: !disksForget }),
    history: cluster.hosts.map(() => [[]]),
    disksForget,
    mirrors: [],
    proposals: 0,
  };
  for (const n of steps) step(run, n);
  return run;
}

/**
 * All faults stop: one leader, equal logs, and a new proposal gets through everywhere. The bound is wide
 * because two members that tick in step and draw among five timeouts may split many votes.
 */
function converge({ cluster, observer }: Run): void {
  const leaders = () => cluster.hosts.filter(({ node }) => node.status().state === "StateLeader");
  for (let round = 0; round < 500 && (round < 20 || leaders().length !== 1); round++) {
    for (const { id } of cluster.hosts) cluster.tick(id, 1);
    cluster.settle();
    observer.look();
  }
  const [leader, other] = leaders();
  assert.ok(leader !== undefined && other === undefined, "one leader after the faults have stopped");
  assert.equal(cluster.propose(leader.id, "last").kind, "accepted");
  cluster.settle();
  observer.look();
  for (const { id, applied } of cluster.hosts)
    assert.equal(text(applied.at(-1)?.data ?? new Uint8Array()), "last", `${id} is behind`);
}

const histories = fc.tuple(
  fc.constantFrom(1, 2, 3, 3, 3, 4, 5),
  fc.record({
    preVote: fc.boolean(),
    checkQuorum: fc.boolean(),
    asyncStorageWrites: fc.constantFrom(true, true, true, false),
    maxInflightMsgs: fc.constantFrom(0, 1, 3),
    maxSizePerMsg: fc.constantFrom(0, 1, 40),
    maxCommittedSizePerReady: fc.constantFrom(0, 20),
    maxUncommittedSize: fc.constantFrom(0, 10),
    seed: fc.nat(),
  }),
  fc.array(fc.nat(), { minLength: 300, maxLength: 700, size: "max" }),
);

test("no random history of lost, doubled, reordered messages and crashes breaks safety, and all converge after it", () => {
  fc.assert(
    fc.property(histories, ([size, options, steps]) => {
      converge(play(size, options, steps, false));
    }),
    { seed, numRuns, includeErrorInReport: true, endOnFailure: process.env["RAFT_SHRINK"] === undefined },
  );
});

test("members whose disks fall back to an earlier state never undo a committed entry", () => {
  fc.assert(
    fc.property(histories, ([size, options, steps]) => {
      play(size, options, steps, true);
    }),
    { seed, numRuns, includeErrorInReport: true, endOnFailure: process.env["RAFT_SHRINK"] === undefined },
  );
});
