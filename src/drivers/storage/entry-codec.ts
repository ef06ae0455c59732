/**
 * One log entry as a LevelDB key and value, and the hash chain over the log.
 *
 *   key    "e" index:8            big-endian, so that iteration is in log order
 *   value  version:1 type:1 term:8 previousHash:16 data:* crc:4
 *
 * The CRC-32C covers key and value: a value that rotted, or that LevelDB handed out for another key, does not
 * pass. A CRC cannot see that a whole record is an *older* one, or missing; the chain can: each value holds
 * the hash of its predecessor, so that the hash of the last entry pins every byte of the log before it
 * (SHA-256, cut to 128 bits). The chain starts from zeros, or anew after a snapshot that another witness sent
 * (`hashPlace`); it contains nothing local.
 */
import { createHash } from "node:crypto";
import { assert } from "../../core/base/assert.js";
import { crc32c } from "../../core/base/crc32c.js";
import { type LogIndex, logIndex, type Term, term } from "../../core/base/ids.js";
import type { Entry, EntryType } from "../../core/raft/types.js";
import { equalBytes, getCount, putCount, viewOf } from "./bytes.js";

/** Length of a hash in the chain. Unit: bytes. */
export const HASH_LENGTH = 16;
/** The hash before the first entry of the log. */
export const NO_HASH: Uint8Array = new Uint8Array(HASH_LENGTH);
/** First byte of every entry key; no other key starts with it. */
export const ENTRY_PREFIX = 0x65;

const VERSION = 1;
const TYPES: readonly EntryType[] = ["EntryNormal", "EntryConfChange", "EntryConfChangeV2"];
const KEY_LENGTH = 9;
const HEADER_LENGTH = 1 + 1 + 8 + HASH_LENGTH;
const CRC_LENGTH = 4;

/** The LevelDB key of the entry at `index`. */
export function entryKey(index: LogIndex): Uint8Array {
  const key = new Uint8Array(KEY_LENGTH);
  key[0] = ENTRY_PREFIX;
  putCount(viewOf(key), 1, index);
  return key;
}

/** The index in an entry key, or null if the key is not one. */
export function decodeEntryKey(key: Uint8Array): LogIndex | null {
  if (key.length !== KEY_LENGTH || key[0] !== ENTRY_PREFIX) return null;
  const index = getCount(viewOf(key), 1);
  return index === null || index === 0 ? null : logIndex(index);
}

/** The LevelDB value of `entry`, whose predecessor has the hash `previousHash`. */
export function encodeEntry(entry: Entry, previousHash: Uint8Array): Uint8Array {
  const type = TYPES.indexOf(entry.type);
  assert(type >= 0, () => `unknown entry type ${entry.type}`);
  const value = new Uint8Array(HEADER_LENGTH + entry.data.length + CRC_LENGTH);
  const view = viewOf(value);
  value[0] = VERSION;
  value[1] = type;
  putCount(view, 2, entry.term);
  value.set(previousHash, 10);
  value.set(entry.data, HEADER_LENGTH);
  view.setUint32(value.length - CRC_LENGTH, checksum(entryKey(entry.index), value));
  return value;
}

/**
 * The entry of `key` and `value` if it is whole and follows an entry with the hash `previousHash`; else the
 * reason in words. The data is a copy.
 */
export function decodeEntry(
  key: Uint8Array,
  value: Uint8Array,
  previousHash: Uint8Array,
): { readonly entry: Entry } | { readonly problem: string } {
  const index = decodeEntryKey(key);
  if (index === null) return { problem: "a key that is not an entry's" };
  if (value.length < HEADER_LENGTH + CRC_LENGTH) return { problem: `entry ${index} is cut short` };
  const view = viewOf(value);
  if (view.getUint32(value.length - CRC_LENGTH) !== checksum(key, value)) {
    return { problem: `the checksum of entry ${index} is wrong` };
  }
  const type = TYPES[value[1] ?? -1];
  const entryTerm = getCount(view, 2);
  if (value[0] !== VERSION || type === undefined || entryTerm === null) {
    return { problem: `entry ${index} has an unknown layout` };
  }
  if (!equalBytes(value.subarray(10, HEADER_LENGTH), previousHash)) {
    return { problem: `entry ${index} does not follow the entry before it` };
  }
  const data = Uint8Array.from(value.subarray(HEADER_LENGTH, value.length - CRC_LENGTH));
  return { entry: { index, term: term(entryTerm), type, data } };
}

/** The hash of `entry` in the chain after `previousHash`. */
export function hashEntry(entry: Entry, previousHash: Uint8Array): Uint8Array {
  const head = new Uint8Array(HASH_LENGTH + 8 + 8 + 1);
  const view = viewOf(head);
  head.set(previousHash);
  putCount(view, HASH_LENGTH, entry.term);
  putCount(view, HASH_LENGTH + 8, entry.index);
  head[HASH_LENGTH + 16] = TYPES.indexOf(entry.type);
  return Uint8Array.from(
    createHash("sha256").update(head).update(entry.data).digest().subarray(0, HASH_LENGTH),
  );
}

/**
 * The hash with which the chain begins after a snapshot that was not taken from this log: its place says by
 * the log matching property all that there is to say.
 */
export function hashPlace(index: LogIndex, inTerm: Term): Uint8Array {
  const bytes = new Uint8Array(16);
  putCount(viewOf(bytes), 0, index);
  putCount(viewOf(bytes), 8, inTerm);
  return Uint8Array.from(createHash("sha256").update(bytes).digest().subarray(0, HASH_LENGTH));
}

function checksum(key: Uint8Array, value: Uint8Array): number {
  return crc32c(value.subarray(0, value.length - CRC_LENGTH), crc32c(key));
}
