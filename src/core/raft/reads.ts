/**
 * The leader's and the followers' side of ReadIndex (`read-only.ts` has the argument).
 *
 * A new leader knows what is committed only after an entry of its own term is: reads that come earlier wait
 * for that (etcd #7331).
 */
import { NO_NODE } from "../base/ids.js";
import type { Member } from "./member.js";
import type { PendingRead } from "./read-only.js";
import { broadcastHeartbeat } from "./replication.js";
import type { Message } from "./types.js";

/** A read at the leader, its own or one that a follower passed on. */
export function leaderRead(r: Member, m: Message): void {
  if (!r.committedInTerm) {
    r.earlyReads.push(m);
    return;
  }
  const read: PendingRead = { from: m.from, context: m.context, index: r.log.committed };
  const alone = r.tracker.isSingleton && r.tracker.isVoter(r.id);
  if (alone || r.lease?.holds(r.id, r.tracker.config) === true) {
    answerRead(r, read);
    return;
  }
  r.reads.add(read, r.id);
  broadcastHeartbeat(r);
}

/** The commit index moved: reads that waited for the first commit of this term go on. */
export function releaseEarlyReads(r: Member): void {
  if (!r.committedInTerm || r.earlyReads.length === 0) return;
  const early = r.earlyReads;
  r.earlyReads = [];
  for (const m of early) leaderRead(r, m);
}

/** Hands a confirmed read to who asked. */
export function answerRead(r: Member, read: PendingRead): void {
  const { index, context } = read;
  if (read.from === NO_NODE || read.from === r.id) r.readStates.push({ index, context });
  else r.send({ type: "MsgReadIndexResp", to: read.from, index, context });
}

/**
 * A read at a follower: the leader must answer it; without one it is dropped and the caller's timeout
 * speaks.
 */
export function forwardRead(r: Member, m: Message): void {
  if (r.lead === NO_NODE) return;
  r.send({ type: "MsgReadIndex", from: m.from, to: r.lead, context: m.context });
}
