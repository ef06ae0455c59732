/**
 * Changes of the configuration as entries of the log: their shape, their bytes, and what they do.
 *
 * Two kinds of entry, as in etcd: EntryConfChange holds one simple change, EntryConfChangeV2 any number and the
 * way in and out of a joint configuration. An empty EntryConfChangeV2 leaves it. The bytes are those of etcd's
 * raftpb messages (fields and numbers alike), small enough to write by hand. Decoding is total.
 */
import { isCount, type NodeId, nodeId } from "../base/ids.js";
import {
  type Changed,
  type ConfChangeSingle,
  type ConfChangeType,
  type Configuration,
  enterJoint,
  leaveJoint,
  simple,
} from "./configuration.js";
import { NO_BYTES } from "./messages.js";
import type { Entry, EntryType } from "./types.js";

/**
 * How to get in and out of a joint configuration. Auto: only when more than one change asks for it, and out by
 * itself; implicit: always, and out by itself; explicit: always, and out when somebody proposes the empty change.
 */
export type ConfChangeTransition =
  | "ConfChangeTransitionAuto"
  | "ConfChangeTransitionJointImplicit"
  | "ConfChangeTransitionJointExplicit";

/** A change of the configuration. */
export interface ConfChange {
  readonly transition: ConfChangeTransition;
  readonly changes: readonly ConfChangeSingle[];
  /** Opaque to Raft: what the caller wants to know when the change is applied. */
  readonly context: Uint8Array;
}

const TRANSITIONS: readonly ConfChangeTransition[] = [
  "ConfChangeTransitionAuto",
  "ConfChangeTransitionJointImplicit",
  "ConfChangeTransitionJointExplicit",
];
const TYPES: readonly ConfChangeType[] = [
  "ConfChangeAddNode",
  "ConfChangeRemoveNode",
  "ConfChangeUpdateNode",
  "ConfChangeAddLearnerNode",
];

/** True for entries that change the configuration. */
export function isConfChange(type: EntryType): boolean {
  return type !== "EntryNormal";
}

/** True for the change that leaves a joint configuration. */
function leavesJoint(cc: ConfChange): boolean {
  return cc.changes.length === 0 && cc.transition === "ConfChangeTransitionAuto";
}

/** What `c` becomes by `cc`. */
export function changed(c: Configuration, cc: ConfChange): Changed {
  if (leavesJoint(cc)) return leaveJoint(c);
  const joint = cc.transition !== "ConfChangeTransitionAuto" || cc.changes.length > 1;
  if (!joint) return simple(c, cc.changes);
  return enterJoint(c, cc.changes, cc.transition !== "ConfChangeTransitionJointExplicit");
}

/** The bytes of `cc` for an entry of this type. An EntryConfChange takes exactly one change. */
export function encodeConfChange(type: Exclude<EntryType, "EntryNormal">, cc: ConfChange): Uint8Array {
  const out: number[] = [];
  if (type === "EntryConfChange") {
    const [first] = cc.changes;
    // Field 1, the id of the change, is always written by etcd; nobody reads it.
    varintField(out, 1, 0);
    varintField(out, 2, TYPES.indexOf(first?.type ?? "ConfChangeUpdateNode"));
    varintField(out, 3, first?.node ?? 0);
    if (cc.context.length > 0) bytesField(out, 4, cc.context);
    return Uint8Array.from(out);
  }
  const transition = TRANSITIONS.indexOf(cc.transition);
  // The empty change has no bytes.
  if (leavesJoint(cc) && cc.context.length === 0) return NO_BYTES;
  varintField(out, 1, transition);
  for (const { type: what, node } of cc.changes) {
    const single: number[] = [];
    varintField(single, 1, TYPES.indexOf(what));
    varintField(single, 2, node);
    bytesField(out, 2, Uint8Array.from(single));
  }
  if (cc.context.length > 0) bytesField(out, 3, cc.context);
  return Uint8Array.from(out);
}

/** The change in `entry`; `{error}` when its bytes are none. */
export function decodeConfChange(
  entry: Pick<Entry, "type" | "data">,
): ConfChange | { readonly error: string } {
  const fields = readFields(entry.data);
  if (fields === null) return { error: "not the bytes of a configuration change" };
  const changes: ConfChangeSingle[] = [];
  let transition: ConfChangeTransition = "ConfChangeTransitionAuto";
  let context: Uint8Array = NO_BYTES;
  if (entry.type === "EntryConfChange") {
    const single = singleOf(fields, 2, 3);
    if (single === null) return { error: "unknown type of configuration change" };
    changes.push(single);
    context = bytesOf(fields, 4);
  } else {
    for (const field of fields) {
      if (field.number === 1) {
        const known = TRANSITIONS[field.value];
        if (known === undefined) return { error: `unknown transition ${field.value}` };
        transition = known;
      }
      if (field.number !== 2) continue;
      const inner = readFields(field.bytes);
      const single = inner === null ? null : singleOf(inner, 1, 2);
      if (single === null) return { error: "unknown type of configuration change" };
      changes.push(single);
    }
    context = bytesOf(fields, 3);
  }
  return { transition, changes, context };
}

// ---- The little of protobuf that this needs: varints and length-delimited fields.

interface Field {
  readonly number: number;
  readonly value: number;
  readonly bytes: Uint8Array;
}

function singleOf(fields: readonly Field[], typeField: number, nodeField: number): ConfChangeSingle | null {
  const value = (number: number): number => fields.findLast((field) => field.number === number)?.value ?? 0;
  const type = TYPES[value(typeField)];
  const node: NodeId = nodeId(value(nodeField));
  return type === undefined ? null : { type, node };
}

function bytesOf(fields: readonly Field[], number: number): Uint8Array {
  return fields.findLast((field) => field.number === number)?.bytes.slice() ?? NO_BYTES;
}

function varint(out: number[], value: number): void {
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  out.push(rest);
}

function varintField(out: number[], number: number, value: number): void {
  varint(out, number * 8);
  varint(out, value);
}

function bytesField(out: number[], number: number, bytes: Uint8Array): void {
  varint(out, number * 8 + 2);
  varint(out, bytes.length);
  for (const byte of bytes) out.push(byte);
}

/** The fields of a message; null when `data` is none, or holds a number past 2^53. */
function readFields(data: Uint8Array): readonly Field[] | null {
  const fields: Field[] = [];
  let at = 0;
  const next = (): number | null => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = data[at++];
      if (byte === undefined || scale > 2 ** 56) return null;
      value += (byte % 128) * scale;
      if (byte < 128) return isCount(value) ? value : null;
    }
  };
  while (at < data.length) {
    const key = next();
    const value = key === null ? null : next();
    if (key === null || value === null) return null;
    const number = Math.floor(key / 8);
    if (key % 8 === 0) fields.push({ number, value, bytes: NO_BYTES });
    else if (key % 8 === 2 && at + value <= data.length) {
      fields.push({ number, value: 0, bytes: data.subarray(at, at + value) });
      at += value;
    } else return null;
  }
  return fields;
}
