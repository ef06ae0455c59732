/**
 * The world of a scenario: members, their disks and storage queues, and the messages under way. Commands
 * move it; it never moves itself.
 */
import { assert } from "../../src/core/base/assert.js";
import { logIndex, type NodeId, nodeId, term } from "../../src/core/base/ids.js";
import {
  type Entry,
  type HardState,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  type RaftConfig,
  RawNode,
  type Recovering,
} from "../../src/core/raft/raft.js";

/** What all members that one `add-nodes` makes have in common. */
export type NodeTemplate = Omit<RaftConfig, "id" | "storage" | "recovering">;

/** A durable log that begins after `baseIndex`, as a storage of its own. */
export interface Disk {
  hardState: HardState;
  readonly baseIndex: number;
  entries: Entry[];
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

  addHost(template: NodeTemplate, baseIndex: number): void {
    const id = nodeId(this.hosts.length + 1);
    const hardState = { term: term(0), vote: nodeId(0), commit: logIndex(0) };
    const disk: Disk = { hardState, baseIndex, entries: [] };
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
  const base = disk.baseIndex === 0 ? {} : { base: { index: logIndex(disk.baseIndex), term: term(1) } };
  return new RawNode({
    ...template,
    id,
    recovering,
    storage: { hardState: disk.hardState, entries: disk.entries, applied: logIndex(disk.baseIndex), ...base },
  });
}

/** Writes to a disk what a Ready or a MsgStorageAppend says; the overwritten end goes. */
export function persist(disk: Disk, hardState: HardState | null, entries: readonly Entry[]): void {
  if (hardState !== null) disk.hardState = hardState;
  const from = entries[0]?.index;
  if (from === undefined) return;
  const keep = from - disk.baseIndex - 1;
  assert(keep <= disk.entries.length, () => `gap on disk: entry ${from} after ${disk.entries.length}`);
  disk.entries = [...disk.entries.slice(0, keep), ...entries];
}

/** True for messages between a member and itself or its own storage: these are never lost. */
export function isLocal(m: Message): boolean {
  const local = (id: NodeId) => id === LOCAL_APPEND_THREAD || id === LOCAL_APPLY_THREAD;
  return m.from === m.to || local(m.from) || local(m.to);
}
