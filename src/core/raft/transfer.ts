/**
 * Handing the leadership over (dissertation, section 3.10).
 *
 * The leader stops taking proposals, brings the other up to date, and asks it to campaign at once; that campaign
 * overrides stickiness, since it is the leader's own wish. The attempt ends with the leadership, or after an
 * election timeout, upon which proposals are taken again (tick.ts).
 */
import { NO_NODE, type NodeId } from "../base/ids.js";
import type { Member } from "./member.js";
import type { Progress } from "./progress.js";
import { sendAppend } from "./replication.js";

/** `to` shall lead; ignored for learners, and for members that lost log. */
export function startTransfer(r: Member, to: NodeId, progress: Progress): void {
  if (progress.isLearner || progress.recovering || r.leadTransferee === to) return;
  r.leadTransferee = NO_NODE;
  if (to === r.id) return;
  r.electionElapsed = 0;
  r.leadTransferee = to;
  if (progress.match === r.log.lastIndex) sendTimeoutNow(r);
  else sendAppend(r, to);
}

/** Asks the one who is to lead to campaign. */
export function sendTimeoutNow(r: Member): void {
  r.lease?.handOver();
  r.send({ type: "MsgTimeoutNow", to: r.leadTransferee });
}
