/**
 * Gathering a Ready, and the two ways in which its storage work is ordered.
 *
 * Synchronous: the caller persists, then sends everything, then applies, then calls `advance`, upon which
 * the member hears its own answers. Asynchronous: MsgStorageAppend carries the answers that its durability
 * sets free (other members' included), MsgStorageApply likewise; both kinds are processed in order, each on
 * its own.
 */
import { assert } from "../base/assert.js";
import type { Member } from "./member.js";
import { message } from "./messages.js";
import {
  type Entry,
  type HardState,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  type Ready,
  type Snapshot,
  type SoftState,
} from "./types.js";

/** What the caller has been told so far, and what it will be taken to have done at `advance`. */
export interface Shown {
  softState: SoftState;
  hardState: HardState;
  /** The Ready that `advance` must follow. */
  awaited: Ready | null;
  onAdvance: Message[];
}

function sameHardState(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote && a.commit === b.commit;
}

function sameSoftState(a: SoftState, b: SoftState): boolean {
  return a.lead === b.lead && a.state === b.state;
}

/** True when there is anything to do. */
export function hasReady(r: Member, shown: Shown): boolean {
  return (
    !sameSoftState(r.softState(), shown.softState) ||
    !sameHardState(r.hardState(), shown.hardState) ||
    r.messages.length > 0 ||
    r.messagesAfterAppend.length > 0 ||
    r.log.nextSnapshot() !== null ||
    r.log.hasNextUnstable ||
    r.log.hasNextCommitted(!r.settings.asyncStorageWrites) ||
    r.readStates.length > 0
  );
}

/** Everything to do, without taking it out. */
export function buildReady(r: Member, shown: Shown): Ready {
  const { asyncStorageWrites } = r.settings;
  const hardState = r.hardState();
  const softState = r.softState();
  const snapshot = r.log.nextSnapshot();
  const entries = r.log.nextUnstable();
  const committedEntries = r.log.nextCommitted(!asyncStorageWrites);
  const hardStateNews = sameHardState(hardState, shown.hardState) ? null : hardState;
  const messages = asyncStorageWrites
    ? [...r.messages, ...storageOrders(r, { hardState: hardStateNews, snapshot, entries }, committedEntries)]
    : [...r.messages, ...r.messagesAfterAppend.filter((m) => m.to !== r.id)];
  return {
    softState: sameSoftState(softState, shown.softState) ? null : softState,
    hardState: hardStateNews,
    readStates: r.readStates,
    snapshot,
    entries,
    committedEntries,
    messages,
    mustSync:
      entries.length > 0 ||
      hardState.term !== shown.hardState.term ||
      hardState.vote !== shown.hardState.vote,
  };
}

function storageOrders(
  r: Member,
  write: {
    readonly hardState: HardState | null;
    readonly snapshot: Snapshot | null;
    readonly entries: readonly Entry[];
  },
  committedEntries: readonly Entry[],
): readonly Message[] {
  const orders: Message[] = [];
  const { hardState, snapshot, entries } = write;
  if (entries.length > 0 || hardState !== null || snapshot !== null || r.messagesAfterAppend.length > 0) {
    orders.push(
      message({
        type: "MsgStorageAppend",
        from: r.id,
        to: LOCAL_APPEND_THREAD,
        entries,
        snapshot,
        // No hard state to write: all three stay 0.
        ...(hardState ?? {}),
        // The own acknowledgements go first, so that they find their entries before those move to the
        // stable part.
        responses: [...r.messagesAfterAppend, ...appendDone(r)],
      }),
    );
  }
  if (committedEntries.length > 0) {
    orders.push(
      message({
        type: "MsgStorageApply",
        from: r.id,
        to: LOCAL_APPLY_THREAD,
        entries: committedEntries,
        responses: [applyDone(r, committedEntries)],
      }),
    );
  }
  return orders;
}

/**
 * What storage will say when this write and all before it are durable. It names the log's last entry by
 * term and index, and the term of now: if the term has changed when it arrives it is dropped, since a later
 * leader may have overwritten those entries by others that are not durable. It is attached to each write
 * while anything is unconfirmed, not only to those with entries: the one before may be dropped for that
 * reason.
 */
function appendDone(r: Member): readonly Message[] {
  const { pendingSnapshot: snapshot, hasUnstable } = r.log;
  if (!hasUnstable && snapshot === null) return [];
  const last = r.log.last();
  return [
    message({
      type: "MsgStorageAppendResp",
      from: LOCAL_APPEND_THREAD,
      to: r.id,
      term: r.term,
      ...(hasUnstable ? { index: last.index, logTerm: last.term } : {}),
      snapshot,
    }),
  ];
}

function applyDone(r: Member, entries: readonly Entry[]): Message {
  return message({ type: "MsgStorageApplyResp", from: LOCAL_APPLY_THREAD, to: r.id, entries });
}

/** Takes out what `ready` holds. */
export function acceptReady(r: Member, shown: Shown, ready: Ready): void {
  if (ready.softState !== null) shown.softState = ready.softState;
  if (ready.hardState !== null) shown.hardState = ready.hardState;
  if (!r.settings.asyncStorageWrites) {
    assert(shown.awaited === null, "ready was called twice without advance");
    shown.awaited = ready;
    shown.onAdvance = [
      ...r.messagesAfterAppend.filter((m) => m.to === r.id),
      ...appendDone(r),
      ...(ready.committedEntries.length > 0 ? [applyDone(r, ready.committedEntries)] : []),
    ];
  }
  // New arrays, never emptied ones: the old belong to the caller now.
  r.messages = [];
  r.messagesAfterAppend = [];
  r.readStates = [];
  r.log.acceptUnstable();
  r.log.acceptApplying(ready.committedEntries, !r.settings.asyncStorageWrites);
}
