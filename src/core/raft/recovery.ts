/**
 * A member that lost durable log (our own addition to Raft; docs/adr/0006).
 *
 * The store is known to drop the end of its log in silence after one flipped bit. A small mirror beside it
 * remembers term, vote and the last acknowledged index, so the loss is seen at start. Entries that this
 * member R acknowledged, and that count as committed because of that, may then be missing from it; a vote
 * by R could elect a leader without them. So, while recovering, R gives no vote or pre-vote and does not
 * campaign. It goes on taking and acknowledging entries: what it acknowledges now, it has.
 *
 * Why nothing committed is lost meanwhile: let e be committed by a quorum Q that counts R's lost copy. R
 * does not vote, so every leader elected meanwhile has a quorum Q' without R; Q and Q' meet in a member
 * other than R, which truly has e and refuses less complete candidates. Leader completeness holds as if R
 * did not exist; what is lost is only availability, which is the right way round.
 *
 * R has recovered when it again holds every committed entry that it ever acknowledged. Either rule shows
 * that:
 *  1. its commit index, learnt anew from a leader, reached `ackedIndex`. All that it acknowledged lies at
 *     or below, and a log that is committed up to there holds the committed entries of those places, which
 *     are unique.
 *  2. it committed an entry of a term u > `term`. R voted in no term after `term`, so the leader of u was
 *     elected by voters other than R, one of which stored e before it voted in u (afterwards it would have
 *     refused the older leader's append). So the leader of u had e before its own entry, and R's log equals
 *     that leader's up to the committed entry, e included.
 *
 * Two things R must not trust meanwhile: the commit index it stored (it may speak of entries since
 * overwritten and now back), hence it starts again at what was applied; and a heartbeat's commit index,
 * which rests on acknowledgements from before the loss: it counts only as far as appends of this term were
 * found to match in this process (`verifiedIndex`).
 *
 * What follows for the caller: a second loss while recovering is reported with the larger of both
 * `ackedIndex` and the latest term. A majority that recovers at once elects nobody, and a single voter
 * never recovers: somebody must then decide by hand what was lost.
 */
import type { LogIndex } from "../base/ids.js";
import type { RaftLog } from "./log.js";
import type { Recovering } from "./types.js";

/** True when `log`'s committed part covers everything that may have been promised before the loss. */
export function hasRecovered(recovering: Recovering, log: RaftLog): boolean {
  if (log.committed >= recovering.ackedIndex) return true;
  // Terms never decrease along a log, so the last committed entry has the greatest committed term.
  return (log.term(log.committed) ?? 0) > recovering.term;
}

/** How far a heartbeat's commit index may be believed. */
export function believableCommit(
  commit: LogIndex,
  recovering: Recovering | null,
  verifiedIndex: LogIndex,
): LogIndex {
  if (recovering === null || commit <= verifiedIndex) return commit;
  return verifiedIndex;
}
