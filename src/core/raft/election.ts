/**
 * Standing for election and voting (paper, section 5.2 and 5.4.1; pre-vote and stickiness: dissertation,
 * sections 9.6 and 4.2.3).
 *
 * With pre-vote a member first asks whether it would win, in the name of the next term, and changes
 * nothing; a member that was cut off thus cannot raise the term on its return. A vote is a promise: the
 * answer leaves only after it is durable, and so does a candidate's vote for itself.
 */
import { NO_NODE, type Term } from "../base/ids.js";
import type { Member } from "./member.js";
import { campaignTransferContext, isCampaignTransfer, NO_BYTES } from "./messages.js";
import type { Message } from "./types.js";

/** Why a campaign: an election timeout asks first, a transfer by the leader does not need to. */
export type CampaignKind = "pre-election" | "election" | "transfer";

/**
 * The election timer ran out, or somebody asked for a campaign. Ignored by those that lead or may not lead.
 */
export function hup(r: Member, kind: CampaignKind): void {
  if (r.state === "StateLeader" || !r.promotable) return;
  // What is committed and not applied may have changed who votes: by the old configuration this member could win
  // against a leader of the new one (etcd #7625).
  if (r.log.hasUnappliedConfChange) return;
  campaign(r, kind);
}

/** Begins a campaign; the caller knows that this member may lead. */
export function campaign(r: Member, kind: CampaignKind): void {
  const asking = kind === "pre-election";
  if (asking) r.becomePreCandidate();
  else r.becomeCandidate();
  const term = asking ? ((r.term + 1) as Term) : r.term;
  const last = r.log.last();
  for (const to of r.tracker.voters) {
    if (to === r.id) {
      r.send({ type: asking ? "MsgPreVoteResp" : "MsgVoteResp", to, term });
      continue;
    }
    r.send({
      type: asking ? "MsgPreVote" : "MsgVote",
      to,
      term,
      index: last.index,
      logTerm: last.term,
      context: kind === "transfer" ? campaignTransferContext() : NO_BYTES,
    });
  }
}

/**
 * True when a vote request must not even be looked at: this member has heard from a leader within the election
 * timeout (or is one, or was started within it and may have), and the request does not come on that leader's
 * behalf. Its term is not adopted either, else a returning member could depose a good leader.
 */
export function isSticky(r: Member, m: Message): boolean {
  if (m.type !== "MsgVote" && m.type !== "MsgPreVote") return false;
  const heard = r.settings.checkQuorum && r.lead !== NO_NODE && r.electionElapsed < r.settings.electionTick;
  return (heard || r.quietTicks > 0) && !isCampaignTransfer(m);
}

/** Answers a vote or pre-vote request of the current or, for a pre-vote, a later term. */
export function answerVote(r: Member, m: Message): void {
  const asking = m.type === "MsgPreVote";
  const type = asking ? "MsgPreVoteResp" : "MsgVoteResp";
  const free = r.vote === m.from || (r.vote === NO_NODE && r.lead === NO_NODE) || (asking && m.term > r.term);
  // Learners vote when asked: a member may have been promoted without knowing it yet (etcd #10998).
  const grant = r.recovering === null && free && r.log.isUpToDate({ index: m.index, term: m.logTerm });
  if (!grant) {
    r.send({ type, to: m.from, term: r.term, reject: true });
    return;
  }
  // The term of the request, not ours: a pre-candidate waits for answers in its future term (etcd d4471b2).
  r.send({ type, to: m.from, term: m.term });
  if (!asking) {
    r.electionElapsed = 0;
    r.vote = m.from;
  }
}
