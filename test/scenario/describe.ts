/**
 * Entries, messages and Readys as text, in the notation of etcd's scenario files.
 */

import type {
  Entry,
  HardState,
  Message,
  ProgressStatus,
  ReadState,
  Ready,
  Snapshot,
} from "../../src/core/raft/raft.js";
import {
  decodeConfChange,
  isConfChange,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
} from "../../src/core/raft/raft.js";
import { formatChanges } from "./changes.js";

function describeTarget(id: number): string {
  if (id === 0) return "None";
  if (id === LOCAL_APPEND_THREAD) return "AppendThread";
  if (id === LOCAL_APPLY_THREAD) return "ApplyThread";
  return id.toString(16);
}

/** `term/index type "data"`; the data of a change of the configuration is the changes. */
export function describeEntry(entry: Entry): string {
  const head = `${entry.term}/${entry.index} ${entry.type}`;
  if (!isConfChange(entry.type)) return `${head} ${JSON.stringify(Buffer.from(entry.data).toString())}`;
  const change = decodeConfChange(entry);
  const text = "error" in change ? change.error : formatChanges(change.changes);
  return text === "" ? head : `${head} ${text}`;
}

/** A snapshot without its state. */
export function describeSnapshot({ index, term, confState: c }: Snapshot): string {
  const list = (ids: readonly number[]): string => `[${ids.join(" ")}]`;
  const conf =
    `Voters:${list(c.voters)} VotersOutgoing:${list(c.votersOutgoing)} Learners:${list(c.learners)} ` +
    `LearnersNext:${list(c.learnersNext)} AutoLeave:${c.autoLeave}`;
  return `Index:${index} Term:${term} ConfState:${conf}`;
}

/** One line, or several when it carries several entries or responses. */
export function describeMessage(m: Message, indent = ""): string {
  let out = `${indent}${describeTarget(m.from)}->${describeTarget(m.to)} ${m.type} Term:${m.term} Log:${m.logTerm}/${m.index}`;
  if (m.reject) out += ` Rejected (Hint: ${m.rejectHint})`;
  // Ours alone: etcd knows no member that rebuilds a lost log.
  if (m.recovering) out += " Recovering";
  if (m.commit !== 0) out += ` Commit:${m.commit}`;
  if (m.vote !== 0) out += ` Vote:${m.vote}`;
  const [first, second] = m.entries;
  if (first !== undefined && second === undefined) out += ` Entries:[${describeEntry(first)}]`;
  else if (m.entries.length > 1) {
    const lines = m.entries.map((entry) => `\n${indent}  ${describeEntry(entry)}`);
    out += ` Entries:[${lines.join("")}\n${indent}]`;
  }
  if (m.snapshot !== null) out += `\n${indent}  Snapshot: ${describeSnapshot(m.snapshot)}`;
  if (m.responses.length > 0) {
    const lines = m.responses.map((response) => `\n${describeMessage(response, `${indent}  `)}`);
    out += ` Responses:[${lines.join("")}\n${indent}]`;
  }
  return out;
}

function describeHardState(hs: HardState): string {
  return `Term:${hs.term}${hs.vote === 0 ? "" : ` Vote:${hs.vote}`} Commit:${hs.commit}`;
}

function describeReadState({ index, context }: ReadState): string {
  return `{${index} ${JSON.stringify(Buffer.from(context).toString())}}`;
}

/** All parts of a Ready that hold something, one a line. */
export function describeReady(ready: Ready): string {
  const lines: string[] = [];
  const { softState, hardState } = ready;
  if (softState !== null) lines.push(`Lead:${softState.lead} State:${softState.state}`);
  if (hardState !== null) lines.push(`HardState ${describeHardState(hardState)}`);
  if (ready.readStates.length > 0)
    lines.push(`ReadStates [${ready.readStates.map(describeReadState).join(" ")}]`);
  const part = (title: string, texts: readonly string[]) => {
    if (texts.length > 0) lines.push(`${title}:`, ...texts);
  };
  part("Entries", ready.entries.map(describeEntry));
  if (ready.snapshot !== null) lines.push(`Snapshot ${describeSnapshot(ready.snapshot)}`);
  part("CommittedEntries", ready.committedEntries.map(describeEntry));
  part(
    "Messages",
    ready.messages.map((m) => describeMessage(m)),
  );
  if (lines.length === 0) return "<empty Ready>";
  return [`Ready MustSync=${ready.mustSync}:`, ...lines].join("\n");
}

/** A leader's view of one member. */
export function describeProgress(p: ProgressStatus): string {
  let out = `${p.id}: ${p.state} match=${p.match} next=${p.next}`;
  if (p.isLearner) out += " learner";
  if (p.paused) out += " paused";
  if (p.pendingSnapshot > 0) out += ` pendingSnap=${p.pendingSnapshot}`;
  if (!p.recentActive) out += " inactive";
  if (p.inflight > 0) out += ` inflight=${p.inflight}${p.inflightFull ? "[full]" : ""}`;
  if (p.recovering) out += " recovering";
  return out;
}
