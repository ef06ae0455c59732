/**
 * An all-seeing observer of a cluster under test: it looks at every disk and every message and checks the
 * safety properties of Raft from the outside, by means that share nothing with the implementation.
 *
 * Names in brackets are those of the paper, figure 3, and of the usual catalogue: one leader a term, one
 * vote a term across crashes, log matching, leader completeness, state machine safety, commits on a quorum
 * of durable copies, acknowledgements only of what is durable.
 */
import assert from "node:assert/strict";
import { logIndex } from "../../../src/core/base/ids.js";
import type { Entry, Message } from "../../../src/core/raft/raft.js";
import { type Cluster, type Host, text } from "./cluster.js";

const same = (a: Entry | undefined, b: Entry | undefined): boolean =>
  a !== undefined && b !== undefined && a.term === b.term && text(a.data) === text(b.data);

/** What a host's log is, in its own view: what it holds and has not written counts. */
const wholeLog = (host: Host): readonly Entry[] => host.node.entriesFrom(logIndex(1));

export class Observer {
  readonly #cluster: Cluster;
  /** False where members lose durable log: counting copies then proves nothing. */
  readonly #disksKeep: boolean;
  readonly #leaders = new Map<number, number>();
  readonly #votes = new Map<string, number>();
  readonly #diskTerms = new Map<number, number>();
  readonly #leaderLogs = new Map<string, readonly Entry[]>();
  /** "term/index" to the data and the term before it: by induction, equal pairs mean equal prefixes. */
  readonly #pairs = new Map<string, string>();
  readonly #applied = new Map<number, number>();
  readonly #reads = new Map<string, number>();
  readonly #answered = new Map<number, number>();
  /** What was seen last, so that what did not change is not looked at again. */
  readonly #seen = new Map<string, string>();
  /** Everything known committed, from index 1. */
  readonly committed: Entry[] = [];

  constructor(cluster: Cluster, options: { readonly disksKeep: boolean }) {
    this.#cluster = cluster;
    this.#disksKeep = options.disksKeep;
    cluster.onSend = (m) => this.#onSend(m);
  }

  /** Looks at everything. To be called after each step. */
  look(): void {
    for (const host of this.#cluster.hosts) {
      this.#lookAtDisk(host);
      if (host.up) this.#lookAtMember(host);
    }
  }

  #changed(what: string, ...parts: readonly unknown[]): boolean {
    const now = parts.join(" ");
    if (this.#seen.get(what) === now) return false;
    this.#seen.set(what, now);
    return true;
  }

  /** A read is about to begin: it must see all that is committed now. */
  readBegins(context: string): void {
    this.#reads.set(context, this.committed.length);
  }

  /** A member was restarted: its state machine starts again from nothing. */
  restarted(id: number): void {
    this.#applied.set(id, 0);
    this.#answered.set(id, 0);
  }

  #onSend(m: Message): void {
    const { disk } = this.#cluster.host(m.from);
    if (m.type === "MsgVoteResp" && !m.reject) {
      // [OneVotePerTerm, AckDurability]
      const key = `${m.from} in term ${m.term}`;
      assert.equal(this.#votes.get(key) ?? m.to, m.to, `second vote of ${key}`);
      this.#votes.set(key, m.to);
      const { term, vote } = disk.hardState;
      assert.ok(
        term > m.term || (term === m.term && vote === m.to),
        `vote of ${key} left before it was durable`,
      );
    }
    if (m.type === "MsgAppResp" && !m.reject && m.index > 0) {
      assert.ok(
        disk.hardState.term >= m.term,
        `${m.from} acknowledged in term ${m.term}, which is not durable`,
      );
      assert.ok(
        disk.entries.length >= m.index,
        `${m.from} acknowledged ${m.index} of ${disk.entries.length}`,
      );
    }
  }

  #lookAtDisk({ id, disk }: Host): void {
    const { term } = disk.hardState;
    const last = disk.entries.at(-1);
    if (!this.#changed(`disk ${id}`, term, last?.term, last?.index)) return;
    assert.ok(term >= (this.#diskTerms.get(id) ?? 0), `durable term of ${id} went back to ${term}`);
    this.#diskTerms.set(id, term);
    // [LogMatching]
    let before = 0;
    for (const [i, entry] of disk.entries.entries()) {
      assert.equal(entry.index, i + 1, `gap in the log of ${id}`);
      const key = `${entry.term}/${entry.index}`;
      const what = `${text(entry.data)} after term ${before}`;
      assert.equal(this.#pairs.get(key) ?? what, what, `two entries ${key}`);
      this.#pairs.set(key, what);
      before = entry.term;
    }
  }

  #lookAtMember(host: Host): void {
    const { id, node } = host;
    const status = node.status();
    assert.equal(
      status.anomalyCount > 0 && this.#disksKeep,
      false,
      `anomaly at ${id}: ${status.lastAnomaly}`,
    );
    const { term, state, commit, lastIndex } = status;
    const durable = this.#cluster.hosts.map(({ disk }) => disk.entries.length);
    if (
      !this.#changed(
        `member ${id}`,
        term,
        state,
        commit,
        lastIndex,
        host.applied.length,
        host.readStates.length,
        ...durable,
      )
    )
      return;
    const log = wholeLog(host);
    if (status.state === "StateLeader") this.#lookAtLeader(id, status.term, log);
    this.#lookAtCommit(host, status.commit);
    // [StateMachineSafety]
    for (let i = this.#applied.get(id) ?? 0; i < host.applied.length; i++) {
      const entry = host.applied[i];
      assert.ok(same(entry, this.committed[i]), `${id} applied another entry at ${i + 1}`);
    }
    this.#applied.set(id, host.applied.length);
    for (const read of host.readStates.slice(this.#answered.get(id) ?? 0)) {
      const floor = this.#reads.get(text(read.context)) ?? Number.POSITIVE_INFINITY;
      assert.ok(
        read.index >= floor,
        `read ${text(read.context)} answered at ${read.index}, began at ${floor}`,
      );
    }
    this.#answered.set(id, host.readStates.length);
  }

  #lookAtLeader(id: number, term: number, log: readonly Entry[]): void {
    // [ElectionSafety]
    assert.equal(this.#leaders.get(term) ?? id, id, `two leaders in term ${term}`);
    this.#leaders.set(term, id);
    const key = `${id} in term ${term}`;
    const earlier = this.#leaderLogs.get(key);
    // [LeaderCompleteness] once, [LeaderAppendOnly] from then on. A leader that was deposed unawares may
    // lack what came after.
    const must = earlier ?? this.committed.filter((entry) => entry.term < term);
    for (const entry of must)
      assert.ok(same(log[entry.index - 1], entry), `leader ${key} lacks ${entry.index}`);
    if (earlier === undefined || earlier.length < log.length) this.#leaderLogs.set(key, log);
    if (!this.#disksKeep) return;
    for (const progress of this.#cluster.node(id).status().progress) {
      const peer = this.#cluster.host(progress.id);
      if (peer.disk.hardState.term !== term) continue;
      assert.ok(
        progress.match <= peer.disk.entries.length || progress.id === id,
        `match of ${progress.id} is not durable`,
      );
    }
  }

  /**
   * New commits: on a quorum of disks at this instant, the last one of the leader's own term, never changed
   * afterwards.
   */
  #lookAtCommit(host: Host, commit: number): void {
    const log = wholeLog(host);
    const { state, term } = host.node.status();
    if (commit > this.committed.length && state === "StateLeader")
      assert.equal(log[commit - 1]?.term, term, `${host.id} committed an entry of an older term by counting`);
    for (let i = 0; i < commit; i++) {
      const entry = log[i];
      assert.ok(entry !== undefined, `${host.id} committed ${i + 1}, which it does not have`);
      const known = this.committed[i];
      if (known !== undefined) {
        assert.ok(same(known, entry), `committed entry ${i + 1} changed at ${host.id}`);
        continue;
      }
      if (this.#disksKeep) {
        const copies = this.#cluster.hosts.filter(({ disk }) => same(disk.entries[i], entry)).length;
        assert.ok(
          copies * 2 > this.#cluster.hosts.length,
          `${i + 1} is committed with ${copies} durable copies`,
        );
      }
      this.committed.push(entry);
    }
  }
}
