/**
 * Making, measuring and judging messages.
 *
 * `malformed` is the border guard of the room: the core promises never to throw on what comes over the
 * network, so whatever the rest of the room takes for granted (integers in range, entries in sequence,
 * terms that only grow) is checked here, once. Sizes count as etcd counts them (the protobuf encoding of
 * raftpb.Entry), so that limits mean the same in both.
 */
import { isCount, type LogIndex, logIndex, NO_NODE, type NodeId, type Term, term } from "../base/ids.js";
import { flawOf, fromConfState } from "./configuration.js";
import {
  type Entry,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  type Message,
  type MessageType,
} from "./types.js";

export const ZERO_TERM: Term = term(0);
export const ZERO_INDEX: LogIndex = logIndex(0);
export const NO_BYTES = new Uint8Array(0);
const NO_ENTRIES: readonly Entry[] = [];
const NO_MESSAGES: readonly Message[] = [];

/**
 * The mark in a vote request's `context` of a campaign that its leader asked for; it overrides leader
 * stickiness.
 */
const CAMPAIGN_TRANSFER = "CampaignTransfer";
const CAMPAIGN_TRANSFER_BYTES = Uint8Array.from(CAMPAIGN_TRANSFER, (ch) => ch.charCodeAt(0));

/** A message with every field that is not given at zero. */
export function message(
  fields: Partial<Message> & { readonly type: MessageType; readonly from: NodeId; readonly to: NodeId },
): Message {
  return {
    term: ZERO_TERM,
    logTerm: ZERO_TERM,
    index: ZERO_INDEX,
    entries: NO_ENTRIES,
    commit: ZERO_INDEX,
    vote: NO_NODE,
    reject: false,
    rejectHint: ZERO_INDEX,
    context: NO_BYTES,
    responses: NO_MESSAGES,
    snapshot: null,
    recovering: false,
    ...fields,
  };
}

/** The mark that says "my leader asked me to campaign", as bytes. */
export function campaignTransferContext(): Uint8Array {
  return CAMPAIGN_TRANSFER_BYTES.slice();
}

/** True when a vote request carries that mark. */
export function isCampaignTransfer(m: Message): boolean {
  const { context } = m;
  return (
    context.length === CAMPAIGN_TRANSFER_BYTES.length &&
    CAMPAIGN_TRANSFER_BYTES.every((byte, i) => byte === context[i])
  );
}

/** True for the two targets (and senders) that stand for this member's own disk and state machine. */
function isLocalTarget(id: NodeId): boolean {
  return id === LOCAL_APPEND_THREAD || id === LOCAL_APPLY_THREAD;
}

const STORAGE_RESPONSES: ReadonlySet<MessageType> = new Set(["MsgStorageAppendResp", "MsgStorageApplyResp"]);
const STORAGE_ORDERS: ReadonlySet<MessageType> = new Set(["MsgStorageAppend", "MsgStorageApply"]);
const RESPONSES: ReadonlySet<MessageType> = new Set([
  "MsgAppResp",
  "MsgVoteResp",
  "MsgPreVoteResp",
  "MsgHeartbeatResp",
  "MsgReadIndexResp",
]);
/** Types that may not carry term 0 from another member: they speak for a term. */
const TERMED: ReadonlySet<MessageType> = new Set([
  "MsgApp",
  "MsgAppResp",
  "MsgVote",
  "MsgVoteResp",
  "MsgPreVote",
  "MsgPreVoteResp",
  "MsgHeartbeat",
  "MsgHeartbeatResp",
  "MsgSnap",
  "MsgTimeoutNow",
]);

/**
 * One election each millisecond takes 8,900 years to get here; a foreign number past it must not wedge the
 * term.
 */
const MAX_TERM = 2 ** 48;

/** True for answers, which only a known peer may give. */
export function isResponse(type: MessageType): boolean {
  return RESPONSES.has(type);
}

/** What a member sends to itself: promises that wait behind a write, and the caller's own wishes. */
const TO_SELF: ReadonlySet<MessageType> = new Set([
  "MsgAppResp",
  "MsgVoteResp",
  "MsgPreVoteResp",
  "MsgProp",
  "MsgReadIndex",
  "MsgTransferLeader",
  "MsgForgetLeader",
]);

/** True for types that may come from the member itself. */
export function isToSelf(type: MessageType): boolean {
  return TO_SELF.has(type);
}

/**
 * True for a storage message that does not come from this member's own storage (an order is never for us to
 * take).
 */
export function isStrayStorageMessage(m: Message): boolean {
  if (STORAGE_ORDERS.has(m.type)) return true;
  return STORAGE_RESPONSES.has(m.type) !== isLocalTarget(m.from);
}

/**
 * Says why no correct member could have sent this message, or null. Proposals carry entries without term
 * and index; everything else that carries entries carries a run of the log.
 */
export function malformed(m: Message): string | null {
  const counts = [m.from, m.to, m.term, m.logTerm, m.index, m.commit, m.vote, m.rejectHint];
  if (!counts.every(isCount))
    return `${m.type} from ${m.from}: a number is not a count (${counts.join(", ")})`;
  if (m.from === NO_NODE) return `${m.type} comes from nobody`;
  if (m.term > MAX_TERM || m.index > MAX_TERM)
    return `${m.type} from ${m.from}: term ${m.term} or index ${m.index} is absurd`;
  if (TERMED.has(m.type) && m.term === 0) return `${m.type} from ${m.from} has no term`;
  if (m.type === "MsgProp") return m.entries.length === 0 ? `MsgProp from ${m.from} proposes nothing` : null;
  if (m.type === "MsgApp") return malformedRun(m);
  if (m.type === "MsgSnap") return malformedSnapshot(m);
  return null;
}

function malformedRun(m: Message): string | null {
  let index: number = m.index;
  let last: number = m.logTerm;
  for (const entry of m.entries) {
    if (entry.index !== index + 1 || !isCount(entry.index))
      return `MsgApp from ${m.from}: entry ${entry.index} after ${index}`;
    if (!isCount(entry.term) || entry.term === 0 || entry.term < last || entry.term > m.term)
      return `MsgApp from ${m.from}: entry ${entry.index} has term ${entry.term}, not in [${last}, ${m.term}]`;
    index = entry.index;
    last = entry.term;
  }
  return null;
}

function malformedSnapshot(m: Message): string | null {
  const { snapshot } = m;
  if (snapshot === null) return `MsgSnap from ${m.from} carries no snapshot`;
  const { index, term: at } = snapshot;
  if (!isCount(index) || !isCount(at) || index === 0 || index > MAX_TERM || at === 0 || at > m.term)
    return `MsgSnap from ${m.from}: index ${index}, term ${at} of a leader of term ${m.term}`;
  const configuration = fromConfState(snapshot.confState);
  const flaw = flawOf(configuration);
  if (flaw !== null) return `MsgSnap from ${m.from}: ${flaw}`;
  return configuration.incoming.length === 0 ? `MsgSnap from ${m.from} names no voters` : null;
}

/** Bytes of a varint. */
function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

/**
 * Unit: bytes of `entry` as encoded by etcd's raftpb (type, term and index always, data when there is any).
 */
export function entrySize(entry: Entry): number {
  const { length } = entry.data;
  const data = length === 0 ? 0 : 1 + varintSize(length) + length;
  return 2 + 1 + varintSize(entry.term) + 1 + varintSize(entry.index) + data;
}

/** Unit: bytes; the sum of `entrySize`. */
export function entriesSize(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entrySize(entry), 0);
}

/** Unit: bytes of the callers' data alone. */
export function payloadsSize(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entry.data.length, 0);
}
