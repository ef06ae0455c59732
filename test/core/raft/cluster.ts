/**
 * A small cluster in memory for the tests of the consensus room: real members, a network that is a list,
 * disks that know what is durable.
 *
 * Nothing here runs by itself. A test moves one thing at a time (a tick, a Ready, a write, a message) or
 * lets everything settle. Everything that a member hands out is frozen deeply at once, so that a member
 * which later changes what it gave away throws.
 */
import { logIndex, type NodeId, nodeId, term } from "../../../src/core/base/ids.js";
import {
  type Entry,
  type HardState,
  type Message,
  type RaftConfig,
  RawNode,
  type ReadState,
  type Recovering,
} from "../../../src/core/raft/raft.js";

/** What survives a crash. */
export interface Disk {
  hardState: HardState;
  entries: Entry[];
}

/** One member with its disk, its storage queues and its state machine (the entries applied so far). */
export interface Host {
  readonly id: NodeId;
  readonly disk: Disk;
  node: RawNode;
  up: boolean;
  appends: Message[];
  applies: Message[];
  applied: Entry[];
  readStates: ReadState[];
}

export type ClusterOptions = Partial<Omit<RaftConfig, "id" | "storage" | "recovering" | "voters">>;

export function text(data: Uint8Array): string {
  return Buffer.from(data).toString();
}

/** Freezes everything but bytes, which cannot be frozen. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  if (Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
}

/** Writes what a MsgStorageAppend says, as storage must: the conflicting end is replaced, not kept. */
export function persist(disk: Disk, m: Message): void {
  if (m.term !== 0 || m.vote !== 0 || m.commit !== 0)
    disk.hardState = { term: m.term, vote: m.vote, commit: m.commit };
  const from = m.entries[0]?.index;
  if (from !== undefined) disk.entries.splice(from - 1, disk.entries.length, ...m.entries);
}

export class Cluster {
  readonly hosts: Host[];
  network: Message[] = [];
  /** Sees each message at the instant at which it enters the network. */
  onSend: (m: Message) => void = () => {};
  readonly #options: ClusterOptions;

  constructor(size: number, options: ClusterOptions = {}) {
    this.#options = options;
    this.hosts = Array.from({ length: size }, (_, i) => {
      const disk: Disk = {
        hardState: { term: term(0), vote: nodeId(0), commit: logIndex(0) },
        entries: [],
      };
      return this.#boot(nodeId(i + 1), size, disk, null);
    });
  }

  #boot(id: NodeId, size: number, disk: Disk, recovering: Recovering | null): Host {
    const node = new RawNode({
      voters: Array.from({ length: size }, (_, i) => nodeId(i + 1)),
      electionTick: 10,
      heartbeatTick: 1,
      preVote: false,
      checkQuorum: false,
      asyncStorageWrites: true,
      seed: 1,
      maxSizePerMsg: 0,
      maxInflightMsgs: 0,
      maxCommittedSizePerReady: 0,
      maxUncommittedSize: 0,
      ...this.#options,
      id,
      storage: { hardState: disk.hardState, entries: [...disk.entries], applied: logIndex(0) },
      recovering,
    });
    return { id, disk, node, up: true, appends: [], applies: [], applied: [], readStates: [] };
  }

  host(id: number): Host {
    const host = this.hosts[id - 1];
    if (host === undefined) throw new Error(`no host ${id}`);
    return host;
  }

  node(id: number): RawNode {
    return this.host(id).node;
  }

  /** Power off: what was not written is gone; messages on the wire stay there. */
  crash(id: number): void {
    const host = this.host(id);
    host.up = false;
    host.appends = [];
    host.applies = [];
  }

  restart(id: number, recovering: Recovering | null = null): void {
    const host = this.host(id);
    const fresh = this.#boot(host.id, this.hosts.length, host.disk, recovering);
    Object.assign(host, fresh);
  }

  /** Takes out one Ready and queues its work; with synchronous storage does it at once. */
  takeReady(id: number): void {
    const host = this.host(id);
    const ready = deepFreeze(host.node.ready());
    host.readStates.push(...ready.readStates);
    if (this.#options.asyncStorageWrites === false) {
      if (ready.hardState !== null) host.disk.hardState = ready.hardState;
      const from = ready.entries[0]?.index;
      if (from !== undefined) host.disk.entries.splice(from - 1, host.disk.entries.length, ...ready.entries);
      host.applied.push(...ready.committedEntries);
      for (const m of ready.messages) this.#send(m);
      host.node.advance(ready);
      return;
    }
    for (const m of ready.messages) {
      if (m.type === "MsgStorageAppend") host.appends.push(m);
      else if (m.type === "MsgStorageApply") host.applies.push(m);
      else this.#send(m);
    }
  }

  #send(m: Message): void {
    this.onSend(m);
    this.network.push(m);
  }

  /** Performs the oldest write, after which its responses are free. */
  writeOne(id: number): void {
    const host = this.host(id);
    const m = host.appends.shift();
    if (m === undefined) return;
    persist(host.disk, m);
    this.#respond(host, m);
  }

  applyOne(id: number): void {
    const host = this.host(id);
    const m = host.applies.shift();
    if (m === undefined) return;
    host.applied.push(...m.entries);
    this.#respond(host, m);
  }

  #respond(host: Host, m: Message): void {
    for (const response of m.responses) {
      if (response.to === host.id) host.node.step(response);
      else this.#send(response);
    }
  }

  /** Delivers one message, if its target is up. */
  deliver(m: Message): void {
    const host = this.hosts[m.to - 1];
    if (host?.up) host.node.step(m);
  }

  /**
   * Everybody works and every message that `pass` lets through arrives, until nothing moves; the others are
   * lost.
   */
  settle(pass: (m: Message) => boolean = () => true): void {
    for (let round = 0; round < 1000; round++) if (!this.round(pass, () => false)) return;
    throw new Error("the cluster does not settle");
  }

  /**
   * One round of work: all Readys, writes and applies of `works`, then each message that passes, is held or
   * is lost. False when nothing moved.
   */
  round(
    pass: (m: Message) => boolean,
    hold: (m: Message) => boolean,
    works = (_id: number) => true,
  ): boolean {
    let moved = false;
    for (const host of this.hosts) {
      if (!works(host.id)) continue;
      while (host.up && host.node.hasReady()) {
        this.takeReady(host.id);
        moved = true;
      }
      moved ||= host.appends.length + host.applies.length > 0;
      while (host.appends.length > 0) this.writeOne(host.id);
      while (host.applies.length > 0) this.applyOne(host.id);
    }
    const batch = this.network;
    this.network = batch.filter((m) => !pass(m) && hold(m));
    for (const m of batch) {
      if (!pass(m)) continue;
      this.deliver(m);
      moved = true;
    }
    return moved;
  }

  /** Ticks a member `count` times. */
  tick(id: number, count: number): void {
    for (let i = 0; i < count; i++) this.node(id).tick();
  }

  campaign(id: number): void {
    this.node(id).campaign();
    this.settle();
  }

  propose(id: number, data: string): ReturnType<RawNode["propose"]> {
    return this.node(id).propose(Buffer.from(data));
  }

  /** "term/index data" of a host's durable log. */
  log(id: number): string[] {
    return this.host(id).disk.entries.map((e) => `${e.term}/${e.index} ${text(e.data)}`);
  }
}

/** True for messages between members of `ids` only. */
export function among(...ids: number[]): (m: Message) => boolean {
  return (m) => ids.includes(m.from) && ids.includes(m.to);
}
