/**
 * The world of a scenario: members, their disks and storage queues, and the messages under way. Commands
 * move it; it never moves itself.
 */
import { assert } from "../../src/core/base/assert.js";
import { type LogIndex, logIndex, type NodeId, nodeId, type Term, term } from "../../src/core/base/ids.js";
import {
  decodeConfChange,
  type Entry,
  type HardState,
  isConfChange,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  type RaftConfig,
  RawNode,
  type Recovering,
  type Snapshot,
} from "../../src/core/raft/raft.js";

/** What all members that one `add-nodes` makes have in common. */
export type NodeTemplate = Omit<RaftConfig, "id" | "storage" | "recovering">;

/** A durable log that begins after `base`, as a storage of its own, and what its state machine was. */
export interface Disk {
  hardState: HardState;
  base: { readonly index: LogIndex; readonly term: Term };
  entries: Entry[];
  /** The state after each applied entry, oldest first; its bytes are all normal entries' data in a row. */
  history: Snapshot[];
}

export interface Host {
  readonly id: NodeId;
  readonly template: NodeTemplate;
  readonly disk: Disk;
  node: RawNode;
  appends: Message[];
  applies: Message[];
}

/** An error that the scenario shows as output. */
export class ScenarioError extends Error {
  override readonly name = "ScenarioError";
}

export class World {
  readonly hosts: Host[] = [];
  messages: Message[] = [];
  /** `log-level none`: commands answer `ok` only. */
  quiet = false;
  #lines: string[] = [];
  #indent = "";

  /** Prints one or more lines at the current indentation. */
  print(text: string): void {
    if (this.quiet) return;
    for (const line of text.split("\n")) this.#lines.push(this.#indent + line);
  }

  indented(body: () => void): void {
    const before = this.#indent;
    this.#indent += "  ";
    body();
    this.#indent = before;
  }

  /** Takes out what was printed since the last time. */
  takeOutput(): string {
    const output = this.#lines.join("\n");
    this.#lines = [];
    return output;
  }

  /**
   * A member that begins after `index` (0: with nothing at all), where the state is `content`; a bootstrap is a
   * snapshot of term 1.
   */
  addHost(template: NodeTemplate, index: number, content: string): void {
    const id = nodeId(this.hosts.length + 1);
    const base = { index: logIndex(index), term: term(index === 0 ? 0 : 1) };
    // The commit index is not written at bootstrap: the base says as much.
    const hardState = { term: term(0), vote: nodeId(0), commit: logIndex(0) };
    const confState = {
      voters: template.voters,
      learners: template.learners ?? [],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    };
    const disk: Disk = { hardState, base, entries: [], history: [{ ...base, confState, data: content }] };
    const node = boot(id, template, disk, null);
    this.hosts.push({ id, template, disk, node, appends: [], applies: [] });
  }

  /** Power off and on: storage queues are lost, messages under way are not. */
  restart(host: Host, recovering: Recovering | null): void {
    host.appends = [];
    host.applies = [];
    host.node = boot(host.id, host.template, host.disk, recovering);
  }

  host(id: number): Host {
    const host = this.hosts[id - 1];
    if (host === undefined) throw new ScenarioError(`there is no node ${id}`);
    return host;
  }

  /** Takes a message to its member and prints what came of it, if it is worth a word. */
  step(m: Message): void {
    const outcome = this.host(m.to).node.step(m);
    if (outcome === "proposal_dropped") this.print("raft proposal dropped");
    if (outcome === "peer_not_found") this.print("raft: cannot step as peer not found");
  }
}

function boot(id: NodeId, template: NodeTemplate, disk: Disk, recovering: Recovering | null): RawNode {
  // A life begins with the state as of the log's base; what it applied later it applies again.
  disk.history = disk.history.filter((snapshot) => snapshot.index <= disk.base.index);
  const snapshot = disk.history.at(-1);
  assert(
    snapshot !== undefined && snapshot.index === disk.base.index,
    "a log stands on a snapshot of its base",
  );
  const { hardState, entries, base } = disk;
  const node = new RawNode({
    ...template,
    id,
    recovering,
    storage: { hardState, entries, applied: base.index, base, confState: snapshot.confState },
  });
  if (base.index > 0) node.setSnapshot(snapshot);
  return node;
}

/** Writes to a disk what a Ready or a MsgStorageAppend says; the overwritten end goes, and all of it for a snapshot. */
export function persist(
  disk: Disk,
  write: {
    readonly hardState: HardState | null;
    readonly snapshot: Snapshot | null;
    readonly entries: readonly Entry[];
  },
): void {
  const { hardState, snapshot, entries } = write;
  if (hardState !== null) disk.hardState = hardState;
  if (snapshot !== null) {
    disk.base = { index: snapshot.index, term: snapshot.term };
    disk.entries = [];
    disk.history.push(snapshot);
  }
  const from = entries[0]?.index;
  if (from === undefined) return;
  const keep = from - disk.base.index - 1;
  assert(keep <= disk.entries.length, () => `gap on disk: entry ${from} after ${disk.entries.length}`);
  disk.entries = [...disk.entries.slice(0, keep), ...entries];
}

/** Applies committed entries: normal ones to the state, which is kept after each; changes to the configuration. */
export function applyEntries(host: Host, entries: readonly Entry[]): void {
  for (const entry of entries) {
    const last = host.disk.history.at(-1);
    assert(last !== undefined, "there is always a state");
    let { confState } = last;
    let added = Buffer.from(entry.data).toString();
    if (isConfChange(entry.type)) {
      confState = host.node.applyConfChange(entry);
      const change = decodeConfChange(entry);
      added = "error" in change ? "" : Buffer.from(change.context).toString();
    }
    const { index, term: at } = entry;
    const snapshot: Snapshot = { index, term: at, confState, data: `${String(last.data)}${added}` };
    host.disk.history.push(snapshot);
    host.node.setSnapshot(snapshot);
  }
}

/** True for messages between a member and itself or its own storage: these are never lost. */
export function isLocal(m: Message): boolean {
  const local = (id: NodeId) => id === LOCAL_APPEND_THREAD || id === LOCAL_APPLY_THREAD;
  return m.from === m.to || local(m.from) || local(m.to);
}
