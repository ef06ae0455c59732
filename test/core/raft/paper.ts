/**
 * What the tests of the paper's claims (paper-*.test.ts) share: messages and disks written down by hand.
 *
 * "paper" is Ongaro and Ousterhout 2014, "dissertation" is Ongaro 2014; a test names the section whose claim it
 * shows. Claims that the tests of the parts (elections, replication, reads, lease, ...) show stand there.
 */
import { logIndex, nodeId, term } from "../../../src/core/base/ids.js";
import {
  type ConfChange,
  type Entry,
  encodeConfChange,
  type Message,
  message,
} from "../../../src/core/raft/raft.js";
import type { Cluster } from "./cluster.js";

/** A message as a peer would send it. */
export function from(
  type: Message["type"],
  sender: number,
  to: number,
  rest: Partial<Message> = {},
): Message {
  return message({ ...rest, type, from: nodeId(sender), to: nodeId(to) });
}

/** An entry of the log. */
export function entry(inTerm: number, index: number, data = ""): Entry {
  const bytes = new Uint8Array(Buffer.from(data));
  return { type: "EntryNormal", term: term(inTerm), index: logIndex(index), data: bytes };
}

/** Entries of these terms, from index 1 on. */
export function logOf(terms: readonly number[]): Entry[] {
  return terms.map((inTerm, i) => entry(inTerm, i + 1));
}

/** Member `id` starts anew, from a disk that holds entries of `terms` and the rest as given. */
export function restartFrom(
  cluster: Cluster,
  id: number,
  terms: readonly number[],
  { at = terms.at(-1) ?? 0, vote = 0, commit = 0 } = {},
): void {
  const { disk } = cluster.host(id);
  cluster.crash(id);
  disk.entries = logOf(terms);
  disk.hardState = { term: term(at), vote: nodeId(vote), commit: logIndex(commit) };
  cluster.restart(id);
}

/** The terms of a member's log, durable or not. */
export function termsOf(cluster: Cluster, id: number): number[] {
  return cluster
    .node(id)
    .entriesFrom(logIndex(1))
    .map((e) => Number(e.term));
}

/** A member's role in a word. */
export function roleOf(cluster: Cluster, id: number): string {
  return cluster.node(id).status().state.slice(5);
}

/** All that waits at `id` is done and sent; the messages stay on the wire. Returns what it sent. */
export function work(cluster: Cluster, id: number): Message[] {
  const before = cluster.network.length;
  const host = cluster.host(id);
  while (host.node.hasReady() || host.appends.length + host.applies.length > 0) {
    if (host.node.hasReady()) cluster.takeReady(id);
    while (host.appends.length > 0) cluster.writeOne(id);
    while (host.applies.length > 0) cluster.applyOne(id);
  }
  return cluster.network.slice(before);
}

type Single = ConfChange["changes"][number]["type"];

/** Proposes a change of the configuration to `id`: what to do to whom. */
export function change(
  cluster: Cluster,
  id: number,
  changes: readonly (readonly [Single, number])[],
  transition: ConfChange["transition"] = "ConfChangeTransitionAuto",
): ReturnType<ReturnType<Cluster["node"]>["proposeConfChange"]> {
  const singles = changes.map(([type, node]) => ({ type, node: nodeId(node) }));
  const cc = { transition, changes: singles, context: new Uint8Array() };
  return cluster.node(id).proposeConfChange(cc, "EntryConfChangeV2");
}

/** The entry of such a change, for logs written by hand. */
export function changeEntry(
  inTerm: number,
  index: number,
  changes: readonly (readonly [Single, number])[],
): Entry {
  const singles = changes.map(([type, node]) => ({ type, node: nodeId(node) }));
  const type = "EntryConfChangeV2";
  const cc = { transition: "ConfChangeTransitionAuto", changes: singles, context: new Uint8Array() } as const;
  return { ...entry(inTerm, index), type, data: encodeConfChange(type, cc) };
}
