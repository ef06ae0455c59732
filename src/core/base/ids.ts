/**
 * The six names and numbers that must never be swapped for one another, as branded types.
 *
 * A brand exists only for the compiler: at run time a `Term` is a number and a `SiteId` a string. Values enter
 * through the functions below, which check ranges, so that a number past 2^53 or a negative index is refused at
 * the border and never met inside. Each cast to a brand is in this file.
 */
import { assert } from "./assert.js";

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Raft's term, and nothing else's. Integer, 0 before any election. */
export type Term = Brand<number, "Term">;
/** Position in the Raft log. Integer, first entry 1, 0 is "before the log". */
export type LogIndex = Brand<number, "LogIndex">;
/** Count of grants of a group's ticket; grows by one a grant; the fencing token. 0 is "never granted". */
export type Epoch = Brand<number, "Epoch">;
/** Raft's name of a member, one witness on one disk; given once and never again. 0 is "none". */
export type NodeId = Brand<number, "NodeId">;
/** The operator's name of a witness. */
export type WitnessId = Brand<string, "WitnessId">;
/** The operator's name of a site. */
export type SiteId = Brand<string, "SiteId">;

/** True for integers from 0 to 2^53 - 1. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** A term from a number already known to be a count; asserts that it is. */
export function term(value: number): Term {
  assert(isCount(value), () => `term out of range: ${value}`);
  return value as Term;
}

/** A log index from a number already known to be a count; asserts that it is. */
export function logIndex(value: number): LogIndex {
  assert(isCount(value), () => `log index out of range: ${value}`);
  return value as LogIndex;
}

/** An epoch from a number already known to be a count; asserts that it is. */
export function epoch(value: number): Epoch {
  assert(isCount(value), () => `epoch out of range: ${value}`);
  return value as Epoch;
}

/** A Raft node id from a number already known to be a count; asserts that it is. */
export function nodeId(value: number): NodeId {
  assert(isCount(value), () => `node id out of range: ${value}`);
  return value as NodeId;
}

/** A witness id; the text is checked where configuration and messages enter. */
export function witnessId(value: string): WitnessId {
  return value as WitnessId;
}

/** A site id; the text is checked where configuration enters. */
export function siteId(value: string): SiteId {
  return value as SiteId;
}

/** No node: Raft's "no leader" and "no vote". */
export const NO_NODE: NodeId = nodeId(0);
