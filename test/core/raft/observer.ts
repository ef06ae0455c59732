/**
 * An all-seeing observer of a cluster under test: it looks at every disk and every message, remembers over crashes
 * what the members forget, and has the checkers (checkers/) judge what it sees.
 *
 * What only it can judge is here: that state machines are equal, whether they got their state entry by entry or by
 * a snapshot, and that no read is older than what was committed when it began.
 */
import assert from "node:assert/strict";
import { logIndex } from "../../../src/core/base/ids.js";
import type { ConfState, Entry, Message } from "../../../src/core/raft/raft.js";
import { brokenPromise, type Change, LOCAL } from "./checkers/local.js";
import { PAIRS } from "./checkers/pairs.js";
import { committedOnQuorum } from "./checkers/quorum.js";
import { entryAt, NO_MEMORY, place, remember, type Seen, sameEntry, viewOf } from "./checkers/seen.js";
import { type Cluster, type Host, text } from "./cluster.js";

/** Not for members whose disks forget: counting copies, and what was once on a disk, prove nothing there. */
const NEEDS_DISKS = new Set([
  "I9 AppliedIsDurable",
  "I11 MatchMonotonic",
  "I11 MatchIsDurable",
  "I12 AckDurability",
  "I13 OneChangeAtATime",
  "I20 NoAnomaly",
]);

export class Observer {
  readonly #cluster: Cluster;
  readonly #disksKeep: boolean;
  readonly #seen = new Map<number, Seen>();
  readonly #sent = new Map<number, Message[]>();
  readonly #restarted = new Set<number>();
  readonly #applied = new Map<number, number>();
  readonly #reads = new Map<string, number>();
  readonly #answered = new Map<number, number>();
  /** What was seen last, so that what did not change is not looked at again. */
  readonly #looks = new Map<number, string>();
  /** Everything known committed, from index 1. */
  readonly committed: Entry[] = [];

  constructor(cluster: Cluster, options: { readonly disksKeep: boolean }) {
    this.#cluster = cluster;
    this.#disksKeep = options.disksKeep;
    cluster.onSend = (m) => this.#onSend(m);
    // What a cluster is founded with is committed by definition.
    this.committed.push(...(cluster.hosts[0]?.applied ?? []));
  }

  /** Looks at everything. To be called after each step. */
  look(): void {
    const up = this.#cluster.hosts.filter((host) => host.up);
    // All first, else one member would be compared with what another was.
    const changes = up.map((host) => this.#refresh(host));
    for (const change of changes) if (change !== null) this.#judge(change);
    for (const [i, host] of up.entries()) if (changes[i] !== null) this.#lookAtState(host);
  }

  /** A read is about to begin: it must see all that is committed now. */
  readBegins(context: string): void {
    this.#reads.set(context, this.committed.length);
  }

  /** A member was restarted: its state machine starts again from its snapshot. */
  restarted(id: number): void {
    this.#restarted.add(id);
    this.#applied.set(id, 0);
    this.#answered.set(id, 0);
  }

  #onSend(m: Message): void {
    const sent = this.#sent.get(m.from) ?? [];
    this.#sent.set(m.from, [...sent, m]);
    const { disk } = this.#cluster.host(m.from);
    const broken = brokenPromise(m, { ...disk, base: disk.base.index });
    assert.equal(broken, null, `I12 AckDurability: member ${m.from}: ${broken}`);
  }

  #unchanged(host: Host): boolean {
    const { term, state, commit, applied, lastIndex, firstIndex, progress } = host.node.status();
    const { hardState, base, entries } = host.disk;
    const last = entries.at(-1);
    const disk = [hardState.term, hardState.vote, hardState.commit, base.index, last?.term, last?.index];
    const matches = progress.map(({ match, next }) => `${match}-${next}`);
    const sizes = [host.applied.length, host.readStates.length, this.#sent.get(host.id)?.length ?? 0];
    const now = [term, state, commit, applied, firstIndex, lastIndex, ...disk, ...matches, ...sizes].join(
      " ",
    );
    if (this.#looks.get(host.id) === now) return true;
    this.#looks.set(host.id, now);
    return false;
  }

  /** What changed at a member since the last look; null for nothing. */
  #refresh(host: Host): Change | null {
    if (this.#unchanged(host)) return null;
    const { id, node, disk } = host;
    const onDisk = { ...disk, base: disk.base.index, entries: [...disk.entries] };
    const view = viewOf(id, node, node.entriesFrom(logIndex(1)), onDisk);
    const before = this.#seen.get(id);
    const after = remember(before ?? NO_MEMORY, view, this.#sent.get(id) ?? []);
    this.#seen.set(id, after);
    this.#sent.delete(id);
    // Promises were checked as they left; the disk has moved on since.
    return { before: before ?? after, after, sent: [], crashed: this.#restarted.delete(id) };
  }

  #judge(change: Change): void {
    const { before, after } = change;
    for (const [name, check] of Object.entries(LOCAL)) {
      if (!this.#disksKeep && NEEDS_DISKS.has(name)) continue;
      const wrong = check(change);
      assert.equal(wrong, null, `${name}: member ${after.id}: ${wrong}`);
    }
    for (const other of this.#seen.values()) {
      for (const [name, check] of Object.entries(PAIRS)) {
        if (!this.#disksKeep && NEEDS_DISKS.has(name)) continue;
        const wrong = check(after, other) ?? check(other, after);
        assert.equal(wrong, null, `${name}: ${wrong}`);
      }
    }
    this.#lookAtCommits(after, before.confState);
  }

  /** New commits: on a quorum of disks at this instant, in the configuration in force now or just before. */
  #lookAtCommits(by: Seen, earlier: ConfState): void {
    const known = this.committed.length;
    if (by.commit <= known) return;
    if (this.#disksKeep) {
      const all = this.#cluster.hosts.map(({ id, disk }) => {
        return { ...by, id, disk: { ...disk, base: disk.base.index } };
      });
      const wrong =
        committedOnQuorum(all, by, known, earlier) && committedOnQuorum(all, by, known, by.confState);
      assert.equal(wrong, null, `I8 CommittedOnQuorum: ${wrong}`);
    }
    for (let index = known + 1; index <= by.commit; index++) {
      const entry = entryAt(by.log, index) ?? this.#cluster.host(by.id).applied[index - 1];
      assert.ok(entry !== undefined, `${by.id} committed ${index}, which nobody has`);
      this.committed.push(entry);
    }
  }

  #lookAtState({ id, applied, readStates }: Host): void {
    // A snapshot may have replaced all of it, so equal lengths prove nothing; the last entry stands for the rest.
    const from = Math.min(this.#applied.get(id) ?? 0, applied.length);
    for (let i = from; i < applied.length; i++) {
      const [entry, known] = [applied[i], this.committed[i]];
      assert.ok(
        entry !== undefined && known !== undefined && sameEntry(entry, known),
        `I7 StateMachineSafety, I16: ${id} has ${place(entry)} applied at ${i + 1}, committed is ${place(known)}`,
      );
    }
    this.#applied.set(id, applied.length);
    for (const read of readStates.slice(this.#answered.get(id) ?? 0)) {
      const floor = this.#reads.get(text(read.context)) ?? Number.POSITIVE_INFINITY;
      assert.ok(
        read.index >= floor,
        `I15: read ${text(read.context)} answered at ${read.index}, began at ${floor}`,
      );
    }
    this.#answered.set(id, readStates.length);
  }
}
