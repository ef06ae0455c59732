/**
 * Raft messages as wire fields and back. Names follow etcd's raftpb.
 *
 * Only what members say to one another may travel: messages to a member's own storage, and the orders that
 * hang on them (`responses`, `vote`), stay at home. A MsgSnap travels without the state in it, as an offer
 * (wire-snapshot.ts). A message that contradicts itself is refused here, so
 * that consensus never has to ask whether an append's third entry has the third index.
 */
import { assert } from "../../core/base/assert.js";
import { logIndex, NO_NODE, nodeId, term } from "../../core/base/ids.js";
import type { Entry, EntryType, Message, MessageType } from "../../core/raft/types.js";
import {
  FieldError,
  type Fields,
  invert,
  readBytes,
  readChoice,
  readCount,
  readFlag,
  readList,
  writeCount,
} from "./fields.js";

/** Most entries in one message. */
const ENTRY_LIMIT = 16_384;
/** Longest `context`: an 8-byte ReadIndex mark or the word of a transfer; this is generous. Unit: bytes. */
export const CONTEXT_LIMIT = 1024;
/** Node ids count the members that there ever were. */
export const NODE_LIMIT = 65_535;
/** No entry can be larger than a frame, whose size is limited first. Unit: bytes. */
const ENTRY_BYTES_LIMIT = 64 * 1024 * 1024;

const TYPES: ReadonlyMap<string, MessageType> = new Map<string, MessageType>([
  ["MSG_APP", "MsgApp"],
  ["MSG_APP_RESP", "MsgAppResp"],
  ["MSG_VOTE", "MsgVote"],
  ["MSG_VOTE_RESP", "MsgVoteResp"],
  ["MSG_PRE_VOTE", "MsgPreVote"],
  ["MSG_PRE_VOTE_RESP", "MsgPreVoteResp"],
  ["MSG_HEARTBEAT", "MsgHeartbeat"],
  ["MSG_HEARTBEAT_RESP", "MsgHeartbeatResp"],
  ["MSG_TIMEOUT_NOW", "MsgTimeoutNow"],
  ["MSG_TRANSFER_LEADER", "MsgTransferLeader"],
  ["MSG_READ_INDEX", "MsgReadIndex"],
  ["MSG_READ_INDEX_RESP", "MsgReadIndexResp"],
  ["MSG_PROP", "MsgProp"],
  ["MSG_SNAP", "MsgSnap"],
]);
const ENTRY_TYPES: ReadonlyMap<string, EntryType> = new Map<string, EntryType>([
  ["NORMAL", "EntryNormal"],
  ["CONF_CHANGE", "EntryConfChange"],
  ["CONF_CHANGE_V2", "EntryConfChangeV2"],
]);
const TYPE_NAMES = invert(TYPES);
const ENTRY_TYPE_NAMES = invert(ENTRY_TYPES);

/** The message types that can travel as they are: all but MsgSnap. */
export const WIRE_MESSAGE_TYPES: readonly MessageType[] = [...TYPES.values()].filter(
  (type) => type !== "MsgSnap",
);

/** The wire fields of `message`, but for a snapshot in it. Asserts that it is one between members. */
export function writeRaft(message: Message): object {
  const type = TYPE_NAMES.get(message.type);
  assert(type !== undefined, () => `${message.type} is no message between members`);
  assert(message.responses.length === 0, () => `${message.type} carries responses, which belong to storage`);
  assert(message.snapshot === null, () => `${message.type} carries a snapshot, which travels in chunks`);
  assert(message.vote === NO_NODE, () => `${message.type} carries a vote, which belongs to storage`);
  return {
    type,
    from: writeCount(message.from),
    to: writeCount(message.to),
    term: writeCount(message.term),
    logTerm: writeCount(message.logTerm),
    index: writeCount(message.index),
    entries: message.entries.map((entry) => ({
      term: writeCount(entry.term),
      index: writeCount(entry.index),
      type: ENTRY_TYPE_NAMES.get(entry.type),
      data: entry.data,
    })),
    commit: writeCount(message.commit),
    reject: message.reject,
    rejectHint: writeCount(message.rejectHint),
    context: message.context,
    recovering: message.recovering,
  };
}

/** The message in `fields`, but for a snapshot in it, or a `FieldError`. */
export function readRaft(fields: Fields): Message {
  const message: Message = {
    type: readChoice(fields, "type", TYPES),
    from: nodeId(readCount(fields, "from", NODE_LIMIT)),
    to: nodeId(readCount(fields, "to", NODE_LIMIT)),
    term: term(readCount(fields, "term")),
    logTerm: term(readCount(fields, "logTerm")),
    index: logIndex(readCount(fields, "index")),
    entries: readList(fields, "entries", ENTRY_LIMIT).map(readEntry),
    commit: logIndex(readCount(fields, "commit")),
    vote: NO_NODE,
    reject: readFlag(fields, "reject"),
    rejectHint: logIndex(readCount(fields, "rejectHint")),
    context: readBytes(fields, "context", CONTEXT_LIMIT),
    responses: [],
    snapshot: null,
    recovering: readFlag(fields, "recovering"),
  };
  checkEntries(message);
  return message;
}

function readEntry(fields: Fields): Entry {
  return {
    term: term(readCount(fields, "term")),
    index: logIndex(readCount(fields, "index")),
    type: readChoice(fields, "type", ENTRY_TYPES),
    data: readBytes(fields, "data", ENTRY_BYTES_LIMIT),
  };
}

/** An append continues the log from `index`, in terms that never fall (paper, 5.3). Proposals have no place yet. */
function checkEntries(message: Message): void {
  if (message.entries.length === 0 || message.type === "MsgProp") return;
  // The whole of a ReadIndex request is one entry without a place, as in etcd.
  if (message.type === "MsgReadIndex" || message.type === "MsgReadIndexResp") return;
  if (message.type !== "MsgApp") throw new FieldError(`${message.type} carries entries`);
  let previousIndex: number = message.index;
  let previousTerm: number = message.logTerm;
  for (const entry of message.entries) {
    if (entry.index !== previousIndex + 1) {
      throw new FieldError(`entry ${entry.index} stands after ${previousIndex}`);
    }
    if (entry.term < previousTerm || entry.term > message.term) {
      throw new FieldError(
        `entry ${entry.index} has term ${entry.term}, outside ${previousTerm}..${message.term}`,
      );
    }
    previousIndex = entry.index;
    previousTerm = entry.term;
  }
}
