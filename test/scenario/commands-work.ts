/**
 * Commands that let work happen: process-ready, process-append-thread, process-apply-thread, deliver-msgs,
 * stabilize.
 */
import { LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, type Message } from "../../src/core/raft/raft.js";
import { count, nodeIds, value, values, words } from "./args.js";
import { setLevel } from "./commands-setup.js";
import type { Directive } from "./datadriven.js";
import { describeMessage, describeReady } from "./describe.js";
import { applyEntries, type Host, isLocal, persist, ScenarioError, type World } from "./world.js";

const allIds = (world: World): readonly number[] => world.hosts.map((host) => host.id);

/** Does `work` on each node, under a heading when there are several. */
function onEach(world: World, ids: readonly number[], heading: string, work: (host: Host) => void): void {
  for (const id of ids) {
    const host = world.host(id);
    if (ids.length === 1) {
      work(host);
      continue;
    }
    world.print(`> ${id} ${heading}`);
    world.indented(() => work(host));
  }
}

/** `process-ready n…` */
export function processReady(world: World, d: Directive): void {
  onEach(world, nodeIds(d, allIds(world)), "handling Ready", (host) => doReady(world, host));
}

function doReady(world: World, host: Host): void {
  const ready = host.node.ready();
  world.print(describeReady(ready));
  const { asyncStorageWrites } = host.template;
  if (!asyncStorageWrites) persist(host.disk, ready);
  for (const m of ready.messages) {
    if (m.to === LOCAL_APPEND_THREAD) host.appends.push(m);
    else if (m.to === LOCAL_APPLY_THREAD) host.applies.push(m);
    else world.messages.push(m);
  }
  if (asyncStorageWrites) return;
  applyEntries(host, ready.committedEntries);
  host.node.advance(ready);
}

/** `process-append-thread n…`: performs the oldest write of each. */
export function processAppendThread(world: World, d: Directive): void {
  const ids = nodeIds(d, allIds(world));
  onEach(world, ids, "processing append thread", (host) => doAppend(world, host));
}

function doAppend(world: World, host: Host): void {
  const m = host.appends.shift();
  if (m === undefined) {
    world.print("no append work to perform");
    return;
  }
  const { term, vote, commit } = m;
  const hardState = term === 0 && vote === 0 && commit === 0 ? null : { term, vote, commit };
  persist(host.disk, { hardState, snapshot: m.snapshot, entries: m.entries });
  respond(world, m);
}

/** `process-apply-thread n…`: applies the oldest batch of each. */
export function processApplyThread(world: World, d: Directive): void {
  const ids = nodeIds(d, allIds(world));
  onEach(world, ids, "processing apply thread", (host) => doApply(world, host));
}

function doApply(world: World, host: Host): void {
  const m = host.applies.shift();
  if (m === undefined) {
    world.print("no apply work to perform");
    return;
  }
  applyEntries(host, m.entries);
  respond(world, m);
}

function respond(world: World, m: Message): void {
  world.print("Processing:");
  world.print(describeMessage({ ...m, responses: [] }));
  world.print("Responses:");
  for (const response of m.responses) world.print(describeMessage(response));
  world.messages.push(...m.responses);
}

/**
 * `deliver-msgs [n…] [drop=(…)] [type=MsgX]`: delivers what waits for some nodes and drops what waits for
 * others.
 */
export function deliverMsgs(world: World, d: Directive): void {
  const type = value(d, "type");
  const to = words(d).map((word) => count(word, "node"));
  const both = values(d, "drop").find((v) => to.includes(count(v, "drop")));
  if (both !== undefined) throw new ScenarioError(`can't both deliver and drop msgs to ${both}`);
  let moved = 0;
  for (const arg of d.args) {
    if (arg.values.length === 0) moved += deliver(world, count(arg.key, "node"), { type, drop: false });
    if (arg.key !== "drop") continue;
    for (const id of arg.values) moved += deliver(world, count(id, "drop"), { type, drop: true });
  }
  if (moved === 0) world.print("no messages");
}

interface Selection {
  readonly type: string | undefined;
  readonly drop: boolean;
}

function isFor(m: Message, id: number, { type, drop }: Selection): boolean {
  return m.to === id && (type === undefined || m.type === type) && !(drop && isLocal(m));
}

function deliver(world: World, id: number, selection: Selection): number {
  const batch = world.messages.filter((m) => isFor(m, id, selection));
  world.messages = world.messages.filter((m) => !isFor(m, id, selection));
  for (const m of batch) {
    world.print(`${selection.drop ? "dropped: " : ""}${describeMessage(m)}`);
    if (!selection.drop) world.step(m);
  }
  return batch.length;
}

/** `stabilize [n…] [log-level=l]`: these nodes work, in a fixed order, until nothing is left to do. */
export function stabilize(world: World, d: Directive): void {
  const ids = nodeIds(d, allIds(world));
  const before = world.quiet;
  const level = value(d, "log-level");
  if (level !== undefined) setLevel(world, level);
  let rounds = 0;
  while (round(world, ids)) {
    if (++rounds > 1000) throw new ScenarioError("the cluster does not stabilize");
  }
  world.quiet = before;
}

/** One round of work; false when there was none. */
function round(world: World, ids: readonly number[]): boolean {
  let busy = false;
  const under = (id: number, heading: string, work: () => void) => {
    busy = true;
    world.print(`> ${id} ${heading}`);
    world.indented(work);
  };
  const hosts = ids.map((id) => world.host(id));
  const everything = { type: undefined, drop: false };
  for (const host of hosts) {
    if (host.node.hasReady()) under(host.id, "handling Ready", () => doReady(world, host));
  }
  for (const { id } of hosts) {
    if (world.messages.some((m) => m.to === id))
      under(id, "receiving messages", () => deliver(world, id, everything));
  }
  for (const host of hosts) {
    if (host.appends.length === 0) continue;
    under(host.id, "processing append thread", () => {
      while (host.appends.length > 0) doAppend(world, host);
    });
  }
  for (const host of hosts) {
    if (host.applies.length === 0) continue;
    under(host.id, "processing apply thread", () => {
      while (host.applies.length > 0) doApply(world, host);
    });
  }
  return busy;
}
