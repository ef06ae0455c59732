/**
 * The door of the consensus room: Raft (Ongaro and Ousterhout 2014; Ongaro's dissertation) over opaque
 * bytes, in the shape of etcd's RawNode.
 *
 * Synchronous and pure: ticks and messages in, `Ready` out, no I/O, no clock, no promise. The caller writes
 * what `Ready` says, sends what it says, applies what it says, and in that order; with asynchronous storage
 * writes the order is data (types.ts), and several writes may be under way while the leader already sends
 * its appends. Equal seeds and inputs give equal outputs.
 *
 * Where to read on: types.ts (the words) → member.ts (all that a member is) → step.ts (one message in) → election,
 * replication, snapshot, membership, reads (what happens then) → ready.ts (what comes out); log, unstable, progress,
 * tracker, quorum and configuration are the leaves.
 */

import { assert } from "../base/assert.js";
import { type LogIndex, NO_NODE, type NodeId, type Term } from "../base/ids.js";
import { type ConfChange, decodeConfChange, encodeConfChange, isConfChange } from "./conf-change.js";
import type { RaftConfig } from "./config.js";
import { configurationOf, toConfState } from "./configuration.js";
import { hup } from "./election.js";
import { Member } from "./member.js";
import { applyChange, changeRefusal, switchConfiguration } from "./membership.js";
import { message, ZERO_INDEX, ZERO_TERM } from "./messages.js";
import { acceptReady, buildReady, hasReady, type Shown } from "./ready.js";
import { statusOf } from "./status.js";
import { step } from "./step.js";
import { tick } from "./tick.js";
import type { ConfState, Entry, Message, Ready, Snapshot, Status, StepOutcome } from "./types.js";
import { LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD } from "./types.js";

export type { ConfChange, ConfChangeTransition } from "./conf-change.js";
export type { RaftConfig, RaftStorageState } from "./config.js";
export type { ConfChangeSingle, ConfChangeType } from "./configuration.js";
export type {
  ConfState,
  Entry,
  EntryType,
  HardState,
  Message,
  MessageType,
  ProgressStateType,
  ProgressStatus,
  ReadState,
  Ready,
  Recovering,
  Snapshot,
  SoftState,
  StateType,
  Status,
  StepOutcome,
} from "./types.js";
export { decodeConfChange, encodeConfChange, isConfChange, LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, message };

/**
 * What became of a proposal. Accepted is not committed: it may still be overwritten by another leader's
 * entry.
 */
export type ProposeResult =
  | { readonly kind: "accepted"; readonly index: LogIndex; readonly term: Term }
  | {
      readonly kind: "refused";
      readonly code: "not_leader" | "no_leader" | "transferring" | "uncommitted_limit";
      /** Whom to ask instead; 0 when unknown. */
      readonly lead: NodeId;
    };

/** What became of a proposed change of the configuration; `change_pending` and `invalid_change` changed nothing. */
export type ProposeChangeResult =
  | Exclude<ProposeResult, { readonly kind: "refused" }>
  | {
      readonly kind: "refused";
      readonly code:
        | Extract<ProposeResult, { readonly kind: "refused" }>["code"]
        | "change_pending"
        | "invalid_change";
      readonly lead: NodeId;
      /** One sentence for people. */
      readonly reason: string;
    };

/** One member of the cluster. Each method leaves the local invariants true or throws `InvariantError`. */
export class RawNode {
  readonly #member: Member;
  readonly #shown: Shown;

  constructor(config: RaftConfig) {
    this.#member = new Member(config);
    this.#shown = {
      softState: this.#member.softState(),
      hardState: this.#member.hardState(),
      awaited: null,
      onAdvance: [],
    };
  }

  /** One tick of the caller's clock. */
  tick(): void {
    tick(this.#member);
    this.#member.check();
  }

  /**
   * A message from a peer, or from this member's own storage. Never throws on stale, doubled, foreign or
   * malformed ones.
   */
  step(m: Message): StepOutcome {
    const outcome = step(this.#member, m);
    this.#member.check();
    return outcome;
  }

  /** Stands for election now, as if the election timer had run out. */
  campaign(): void {
    hup(this.#member, this.#member.settings.preVote ? "pre-election" : "election");
    this.#member.check();
  }

  /** Proposes `data` (copied) for the log. Only the leader accepts; followers name it. */
  propose(data: Uint8Array): ProposeResult {
    const r = this.#member;
    const { lead } = r;
    if (r.state !== "StateLeader")
      return { kind: "refused", code: lead === NO_NODE ? "no_leader" : "not_leader", lead };
    if (r.leadTransferee !== NO_NODE)
      return { kind: "refused", code: "transferring", lead: r.leadTransferee };
    // A leader that was removed reigns on until somebody else does, and must not take work.
    if (r.tracker.progress(r.id) === undefined) return { kind: "refused", code: "not_leader", lead: NO_NODE };
    return this.#propose({ type: "EntryNormal", data: data.slice() });
  }

  /**
   * Proposes a change of the configuration. It takes effect when its entry is applied: the caller then says so by
   * `applyConfChange`. Refused, with nothing done, while another change is not applied and for changes that do not fit
   * the configuration in force.
   */
  proposeConfChange(change: ConfChange, type: "EntryConfChange" | "EntryConfChangeV2"): ProposeChangeResult {
    const r = this.#member;
    const { lead } = r;
    if (r.state !== "StateLeader") {
      const code = lead === NO_NODE ? "no_leader" : "not_leader";
      return { kind: "refused", code, lead, reason: "this member does not lead" };
    }
    const proposal = { type, data: encodeConfChange(type, change) };
    const pending = r.pendingConfIndex > r.log.applied;
    const reason = r.settings.disableConfChangeValidation ? null : changeRefusal(r, proposal, pending);
    if (reason !== null)
      return { kind: "refused", code: pending ? "change_pending" : "invalid_change", lead, reason };
    if (r.leadTransferee !== NO_NODE) {
      const why = "a transfer of the leadership is under way";
      return { kind: "refused", code: "transferring", lead: r.leadTransferee, reason: why };
    }
    const result = this.#propose(proposal);
    return result.kind === "accepted" ? result : { ...result, reason: "too much is not committed yet" };
  }

  #propose(proposal: Pick<Entry, "type" | "data">): ProposeResult {
    const r = this.#member;
    const entry = { ...proposal, term: ZERO_TERM, index: ZERO_INDEX };
    const outcome = step(r, message({ type: "MsgProp", from: r.id, to: r.id, entries: [entry] }));
    r.check();
    if (outcome !== "stepped") return { kind: "refused", code: "uncommitted_limit", lead: r.lead };
    return { kind: "accepted", index: r.log.lastIndex, term: r.term };
  }

  /**
   * The caller has applied `entry`, a change of the configuration: it takes effect. Order: for every such entry of
   * `committedEntries`, before the answer to their MsgStorageApply (or `advance`). A change that the caller refused is
   * not passed on to here, by every member alike. Returns the configuration in force.
   */
  applyConfChange(entry: Pick<Entry, "type" | "data">): ConfState {
    applyChange(this.#member, entry);
    this.#member.check();
    return toConfState(this.#member.tracker.config);
  }

  /**
   * What a peer that has fallen behind the log can be sent from now on: the state after an applied entry. Cheap; call
   * it whenever the state moved. Order: after the entries up to `snapshot.index` were applied.
   */
  setSnapshot(snapshot: Snapshot): void {
    const { applying } = this.#member.log;
    assert(
      snapshot.index <= applying,
      () => `snapshot ${snapshot.index} is past what is applied, ${applying}`,
    );
    this.#member.snapshot = snapshot;
  }

  /** Drops the log up to `index`, which is applied and which a durable snapshot stands for. */
  compact(index: LogIndex): void {
    this.#member.log.compact(index);
    this.#member.check();
  }

  /**
   * What became of the MsgSnap that was to be sent to `id`: given to it whole (`ok`; it may still refuse it), or not.
   * Until this is said, or the peer acknowledges it, nothing else is sent to it.
   */
  reportSnapshot(id: NodeId, ok: boolean): void {
    const { id: to } = this.#member;
    if (id !== to) this.step(message({ type: "MsgSnapStatus", from: id, to, reject: !ok }));
  }

  /**
   * Asks from which applied index on the state may be read for `context` (copied). The answer is a
   * `ReadState` of a later Ready; there is none when there is no leader or it changes, so the caller keeps
   * a timeout and asks again.
   */
  readIndex(context: Uint8Array): void {
    const { id } = this.#member;
    this.step(message({ type: "MsgReadIndex", from: id, to: id, context: context.slice() }));
  }

  /**
   * Asks the leader (this member, or the one that it follows) to hand over to `to`. May fail in silence;
   * see `status().leadTransferee`.
   */
  transferLeader(to: NodeId): void {
    this.step(message({ type: "MsgTransferLeader", from: to, to: this.#member.id }));
  }

  /**
   * The caller's storage has not answered a write for longer than an election timeout, or answers again. While it is
   * stalled this member does not campaign, and hands over if it leads. (Its votes and acknowledgements wait for their
   * writes anyway.)
   */
  setStorageStalled(stalled: boolean): void {
    this.#member.storageStalled = stalled;
  }

  /** Whether this member shall lead among equals; takes effect when an election timeout is next drawn. */
  setPreferred(preferred: "yes" | "no" | "equal"): void {
    this.#member.preferred = preferred;
  }

  /** More time passed than the ticks say (the process stood still): a lease for reads counts from anew. */
  voidLease(): void {
    this.#member.lease?.void();
  }

  /** A follower gives up its leader without campaigning, so that it may vote for another at once. */
  forgetLeader(): void {
    const { id } = this.#member;
    this.step(message({ type: "MsgForgetLeader", from: id, to: id }));
  }

  /** The transport could not deliver to `id`: appends in flight are likely lost, so go back to probing. */
  reportUnreachable(id: NodeId): void {
    const r = this.#member;
    const progress = r.state === "StateLeader" && id !== r.id ? r.tracker.progress(id) : undefined;
    if (progress?.state === "StateReplicate") progress.becomeProbe();
    r.check();
  }

  /** True when `ready` has something to say. */
  hasReady(): boolean {
    return hasReady(this.#member, this.#shown);
  }

  /**
   * Takes out all work that waits. Without asynchronous storage writes, `advance` must follow before the
   * next call.
   */
  ready(): Ready {
    const ready = buildReady(this.#member, this.#shown);
    acceptReady(this.#member, this.#shown, ready);
    this.#member.check();
    return ready;
  }

  /** All of `ready`, the last one, is written, sent and applied. Only without asynchronous storage writes. */
  advance(ready: Ready): void {
    assert(!this.#member.settings.asyncStorageWrites, "advance does not go with asynchronous storage writes");
    assert(ready === this.#shown.awaited, "advance is for the last Ready, once");
    this.#shown.awaited = null;
    for (const m of this.#shown.onAdvance.splice(0)) step(this.#member, m);
    this.#member.check();
  }

  /**
   * Sets the current election timeout, in ticks, until it is next drawn; for scenarios, which want to say
   * who campaigns first.
   */
  setRandomizedElectionTimeout(ticks: number): void {
    this.#member.setRandomizedElectionTimeout(ticks);
  }

  /**
   * The log from `index` on, as this member sees it, durable or not: for checks and inspection. Empty past
   * the end.
   */
  entriesFrom(index: LogIndex): readonly Entry[] {
    const { log } = this.#member;
    const from = index < log.firstIndex ? log.firstIndex : index;
    return log.entriesFrom(from, Number.POSITIVE_INFINITY);
  }

  /** What a caller looks at after each input: the first lines of `status`, without copies of the rest. */
  get standing(): Pick<Status, "term" | "state" | "lead" | "anomalyCount" | "lastAnomaly"> {
    const { term, state, lead, anomalyCount, lastAnomaly } = this.#member;
    return { term, state, lead, anomalyCount, lastAnomaly };
  }

  /** Leader only: a change of the configuration may be in the log and not applied. */
  get hasPendingChange(): boolean {
    return this.#member.pendingConfIndex > this.#member.log.applied;
  }

  /** The term of the entry at `index`, which the log knows; 0 before the first. */
  termAt(index: LogIndex): Term {
    const known = this.#member.log.term(index);
    assert(known !== null, () => `the log does not know the term of entry ${index}`);
    return known;
  }

  /**
   * The configuration is these voters and nothing else. For a caller whose log names the first voters in an entry of
   * its own: to be called when that entry is applied, by every member alike, before any change of the configuration.
   */
  resetVoters(voters: readonly NodeId[]): ConfState {
    switchConfiguration(this.#member, configurationOf(voters, []));
    this.#member.check();
    return toConfState(this.#member.tracker.config);
  }

  /** This member as it sees itself now. */
  status(): Status {
    return statusOf(this.#member);
  }
}
