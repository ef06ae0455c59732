/**
 * A small cluster in memory for the tests of the consensus room: real members, a network that is a list,
 * disks that know what is durable.
 *
 * Nothing here runs by itself. A test moves one thing at a time (a tick, a Ready, a write, a message) or
 * lets everything settle. Everything that a member hands out is frozen deeply at once, so that a member
 * which later changes what it gave away throws.
 */
import { type LogIndex, logIndex, type NodeId, nodeId, type Term, term } from "../../../src/core/base/ids.js";
import {
  type Entry,
  type HardState,
  isConfChange,
  type Message,
  type RaftConfig,
  RawNode,
  type ReadState,
  type Recovering,
  type Snapshot,
} from "../../../src/core/raft/raft.js";

/** What survives a crash. */
export interface Disk {
  hardState: HardState;
  /** The place before the first of `entries`; the snapshot stands for what is up to there, and maybe for more. */
  base: { readonly index: LogIndex; readonly term: Term };
  entries: Entry[];
  /** Its data are the entries that it stands for: that is what the state machine of these tests is. */
  snapshot: Snapshot | null;
}

/** A disk on which nothing was ever written. */
export function emptyDisk(): Disk {
  return {
    hardState: { term: term(0), vote: nodeId(0), commit: logIndex(0) },
    base: { index: logIndex(0), term: term(0) },
    entries: [],
    snapshot: null,
  };
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
export function persist(
  disk: Disk,
  m: Pick<Message, "term" | "vote" | "commit" | "entries" | "snapshot">,
): void {
  if (m.term !== 0 || m.vote !== 0 || m.commit !== 0)
    disk.hardState = { term: m.term, vote: m.vote, commit: m.commit };
  if (m.snapshot !== null) {
    disk.snapshot = m.snapshot;
    disk.base = { index: m.snapshot.index, term: m.snapshot.term };
    disk.entries = [];
  }
  const from = m.entries[0]?.index;
  if (from !== undefined) disk.entries.splice(from - disk.base.index - 1, disk.entries.length, ...m.entries);
}

/** What a snapshot of these tests stands for. */
export function snapshotEntries(snapshot: Snapshot | null): Entry[] {
  return snapshot === null ? [] : [...(snapshot.data as readonly Entry[])];
}

/**
 * Where the members of a cluster whose membership changes begin: with a snapshot of the first entry. Who joins later
 * does not know the first members, so it must not begin at the beginning of the log.
 */
export function founded(size: number): Disk {
  const first: Entry = { term: term(1), index: logIndex(1), type: "EntryNormal", data: new Uint8Array() };
  const voters = Array.from({ length: size }, (_, i) => nodeId(i + 1));
  const confState = { voters, learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
  return {
    hardState: { term: term(1), vote: nodeId(0), commit: logIndex(1) },
    base: { index: first.index, term: first.term },
    entries: [],
    snapshot: deepFreeze({ index: first.index, term: first.term, confState, data: [first] }),
  };
}

export class Cluster {
  readonly hosts: Host[];
  network: Message[] = [];
  /** Sees each message at the instant at which it enters the network. */
  onSend: (m: Message) => void = () => {};
  readonly #options: ClusterOptions;
  readonly #voters: readonly NodeId[];

  /** `spares` more members that belong to nobody yet. */
  constructor(size: number, options: ClusterOptions = {}, { spares } = { spares: 0 }) {
    this.#options = options;
    this.#voters = spares > 0 ? [] : Array.from({ length: size }, (_, i) => nodeId(i + 1));
    this.hosts = Array.from({ length: size + spares }, (_, i) => {
      const disk = spares > 0 && i < size ? founded(size) : emptyDisk();
      return this.#boot(nodeId(i + 1), disk, null);
    });
  }

  #boot(id: NodeId, disk: Disk, recovering: Recovering | null): Host {
    const { hardState, base, snapshot } = disk;
    const node = new RawNode({
      voters: this.#voters,
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
      storage: {
        hardState,
        base,
        entries: [...disk.entries],
        applied: snapshot?.index ?? logIndex(0),
        ...(snapshot === null ? {} : { confState: snapshot.confState }),
      },
      recovering,
    });
    if (snapshot !== null) node.setSnapshot(snapshot);
    const applied = snapshotEntries(snapshot);
    return { id, disk, node, up: true, appends: [], applies: [], applied, readStates: [] };
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
    const fresh = this.#boot(host.id, host.disk, recovering);
    Object.assign(host, fresh);
  }

  /** Takes out one Ready and queues its work; with synchronous storage does it at once. */
  takeReady(id: number): void {
    const host = this.host(id);
    const ready = deepFreeze(host.node.ready());
    host.readStates.push(...ready.readStates);
    if (this.#options.asyncStorageWrites === false) {
      const { snapshot, entries } = ready;
      const nothing = { term: term(0), vote: nodeId(0), commit: logIndex(0) };
      this.#write(host, { ...(ready.hardState ?? nothing), snapshot, entries });
      this.#applyEntries(host, ready.committedEntries);
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
    this.#write(host, m);
    this.#respond(host, m);
  }

  #write(host: Host, write: Parameters<typeof persist>[1]): void {
    persist(host.disk, write);
    if (write.snapshot !== null) host.applied = snapshotEntries(write.snapshot);
  }

  #applyEntries(host: Host, entries: readonly Entry[]): void {
    for (const entry of entries) {
      // Orders from before a snapshot that was taken over meanwhile.
      if (entry.index <= host.applied.length) continue;
      host.applied.push(entry);
      if (isConfChange(entry.type)) host.node.applyConfChange(entry);
    }
    if (entries.at(-1)?.index === host.applied.length) this.#offerSnapshot(host);
  }

  /** What a peer that has fallen behind can be sent: the state of now, in clusters whose logs are cut. */
  #offerSnapshot(host: Host): void {
    const last = host.applied.at(-1);
    if (last === undefined || host.disk.snapshot === null) return;
    const { confState } = host.node.status();
    const data = [...host.applied];
    host.node.setSnapshot(deepFreeze({ index: last.index, term: last.term, confState, data }));
  }

  /** Takes a snapshot of what is applied, and drops the log up to `keep` entries before it. */
  compact(id: number, keep: number): void {
    const host = this.host(id);
    const { applied, confState } = host.node.status();
    const last = host.applied[applied - 1];
    if (last === undefined || applied <= (host.disk.snapshot?.index ?? 0)) return;
    const data = host.applied.slice(0, applied);
    const snapshot = deepFreeze({ index: last.index, term: last.term, confState, data });
    host.disk.snapshot = snapshot;
    host.node.setSnapshot(snapshot);
    const upTo = host.applied[applied - 1 - keep];
    if (upTo === undefined || upTo.index <= host.disk.base.index) return;
    host.node.compact(upTo.index);
    host.disk.entries = host.disk.entries.filter(({ index }) => index > upTo.index);
    host.disk.base = { index: upTo.index, term: upTo.term };
  }

  applyOne(id: number): void {
    const host = this.host(id);
    const m = host.applies.shift();
    if (m === undefined) return;
    this.#applyEntries(host, m.entries);
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
    if (m.type === "MsgSnap") this.snapshotSent(m, host?.up ?? false);
  }

  /** Tells the sender what became of a snapshot, as a transport does. */
  snapshotSent(m: Message, ok: boolean): void {
    const sender = this.hosts[m.from - 1];
    if (sender?.up) sender.node.reportSnapshot(m.to, ok);
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
      if (m.type === "MsgSnap" && !pass(m) && !hold(m)) this.snapshotSent(m, false);
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
