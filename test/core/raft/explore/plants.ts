/**
 * Bugs that other Raft implementations have had, each as a change of one line of ours.
 *
 * They are made to a copy (glass.ts), to see whether and how soon the explorer finds them: a search that finds
 * nothing proves little if nobody knows what it would have found. Names are those of docs/raft-explorer.md, which
 * has the result for each.
 */
import type { Edit } from "./glass.js";

/** One bug. */
export interface Plant {
  /** The mechanism, and who had it. */
  readonly what: string;
  readonly edits: readonly Edit[];
}

const edit = (file: string, find: string, replace: string): Edit => ({ file, find, replace });

/** By short name. */
export const PLANTS: Readonly<Record<string, Plant>> = {
  "vote-not-durable": {
    what: "a vote is sent before it is on disk (liferaft)",
    edits: [
      edit(
        "member.js",
        "if (promises) {",
        'if (promises && (queued.type !== "MsgVoteResp" || queued.to === this.id)) {',
      ),
    ],
  },
  "ack-not-durable": {
    what: "an append is acknowledged before it is on disk (NATS 2.12.1, by Jepsen)",
    edits: [
      edit(
        "member.js",
        "if (promises) {",
        'if (promises && (queued.type !== "MsgAppResp" || queued.to === this.id)) {',
      ),
    ],
  },
  "term-not-stored": {
    what: "a new term alone is not written (liferaft)",
    edits: [edit("ready.js", "a.term === b.term && a.vote === b.vote", "a.vote === b.vote")],
  },
  "old-votes": {
    what: "a candidate counts answers to an earlier campaign (Xraft #33)",
    edits: [
      edit(
        "step.js",
        "m.term !== 0 && m.term < r.term",
        'm.term !== 0 && m.term < r.term && m.type !== "MsgVoteResp"',
      ),
    ],
  },
  "votes-counted-twice": {
    what: "a doubled vote counts twice (liferaft)",
    edits: [
      edit(
        "tracker.js",
        "if (!this.#votes.has(id))\n            this.#votes.set(id, granted);",
        "this.#votes.set(this.#votes.has(id) ? this.voters.find((other) => !this.#votes.has(other)) ?? id : id, granted);",
      ),
    ],
  },
  "votes-for-all": {
    what: "a member that voted votes again if it follows nobody",
    edits: [edit("election.js", "(r.vote === NO_NODE && r.lead === NO_NODE)", "r.lead === NO_NODE")],
  },
  "up-to-date-or": {
    what: "the log comparison of an election joins term and index wrongly (liferaft, openraft a48a3282)",
    edits: [
      edit(
        "log.js",
        "id.term > last.term || (id.term === last.term && id.index >= last.index)",
        "id.term >= last.term || id.index >= last.index",
      ),
    ],
  },
  "up-to-date-index": {
    what: "the log comparison of an election looks at the index only (skiff)",
    edits: [
      edit(
        "log.js",
        "id.term > last.term || (id.term === last.term && id.index >= last.index)",
        "id.index >= last.index",
      ),
    ],
  },
  "term-before-role": {
    what: "a leader takes over a later term and stays leader (NuRaft #294)",
    edits: [
      edit(
        "step.js",
        "r.becomeFollower(m.term, fromLeader ? m.from : NO_NODE);",
        'if (r.state === "StateLeader") { r.term = m.term; r.vote = NO_NODE; } else r.becomeFollower(m.term, fromLeader ? m.from : NO_NODE);',
      ),
    ],
  },
  "commit-by-counting": {
    what: "an entry of an earlier term is committed by counting copies (LogCabin #44, PySyncObj #169)",
    edits: [edit("replication.js", " || r.log.term(index) !== r.term", "")],
  },
  "commit-past-append": {
    what: "a follower takes the leader's commit index past what the append verified (etcd b927fa8, NuRaft #57)",
    edits: [edit("log.js", "Math.min(commit, lastIndex)", "Math.min(commit, this.lastIndex)")],
  },
  "heartbeat-commit": {
    what: "a heartbeat carries the commit index past what the peer acknowledged (etcd, comment of sendHeartbeat)",
    edits: [edit("replication.js", "Math.min(progress.match, r.log.committed)", "r.log.committed")],
  },
  "commit-goes-back": {
    what: "a late message takes the commit index back (PySyncObj #166)",
    edits: [edit("log.js", "if (index <= this.#committed)\n            return;", "")],
  },
  "match-goes-back": {
    what: "a late acknowledgement takes the match index back (RaftOS #25)",
    edits: [edit("progress.js", "if (index <= this.match)", "if (index === this.match)")],
  },
  "append-truncates": {
    what: "a late append cuts off what was acknowledged after it (willemt/raft #37, openraft 9540c904)",
    edits: [
      edit("log.js", "entries.findIndex((entry) => !this.matches(entry))", "entries.length > 0 ? 0 : -1"),
    ],
  },
  "own-copy-not-durable": {
    what: "a leader counts its own copy before its disk has it (etcd #14370)",
    edits: [
      edit(
        "member.js",
        "this.sendAppResp({ to: this.id, index: this.log.lastIndex });",
        "this.tracker.progress(this.id)?.maybeUpdate(this.log.lastIndex);",
      ),
    ],
  },
  "quorum-off-by-one": {
    what: "the quorum is one too small (hashicorp 163a55f)",
    edits: [edit("quorum.js", "(Math.floor(indexes.length / 2) + 1)", "Math.floor(indexes.length / 2)")],
  },
  "quorum-not-sorted": {
    what: "the quorum's index is picked from an unsorted list (openraft #1802)",
    edits: [edit("quorum.js", "acked(id) ?? 0).sort((a, b) => a - b)", "acked(id) ?? 0)")],
  },
  "ack-of-overwritten": {
    what: "a write's completion marks entries durable that were overwritten since (etcd ee0757a)",
    edits: [
      edit("unstable.js", "if (this.at(index)?.term !== term)", "if (this.at(index) === undefined)"),
      edit(
        "step.js",
        "m.term !== 0 && m.term < r.term",
        'm.term !== 0 && m.term < r.term && m.type !== "MsgStorageAppendResp"',
      ),
    ],
  },
  "new-leader-changes-at-once": {
    what: "a new leader lets a change in before it has applied those in its log (raft-dev 2015, NuRaft #67)",
    edits: [edit("member.js", "        this.pendingConfIndex = this.log.lastIndex;\n", "")],
  },
  "campaign-before-change": {
    what: "a member stands with a change of the members committed and not applied (etcd #7625)",
    edits: [edit("election.js", "if (r.log.hasUnappliedConfChange)\n        return;", "")],
  },
  "two-changes-at-once": {
    what: "a second change of the members is let in before the first is committed (etcd bd3c759)",
    edits: [
      edit("raft.js", "const pending = r.pendingConfIndex > r.log.applied;", "const pending = false;"),
      edit("membership.js", "let pending = r.pendingConfIndex > r.log.applied;", "let pending = false;"),
    ],
  },
  "joint-counts-one-half": {
    what: "a joint configuration commits by its new half alone (openraft 6c0ccaf3)",
    edits: [
      edit(
        "quorum.js",
        "Math.min(majorityCommitted(config.incoming, acked), majorityCommitted(config.outgoing, acked))",
        "majorityCommitted(config.incoming, acked)",
      ),
    ],
  },
  "joint-elects-one-half": {
    what: "a joint configuration elects by its new half alone (etcd a424e5b, openraft 6c0ccaf3)",
    edits: [
      edit(
        "quorum.js",
        "const outgoing = majorityVote(config.outgoing, votes);",
        "const outgoing = incoming;",
      ),
    ],
  },
  "compacted-term-is-known": {
    what: "entries that were dropped are taken for present, so no snapshot is sent (WRaft #118.2, etcd 76f1249)",
    edits: [
      edit(
        "log.js",
        "return this.#at(index)?.term ?? null;",
        "return this.#at(index)?.term ?? (index < this.#base.index ? 0 : null);",
      ),
    ],
  },
  "snapshot-wipes-log": {
    what: "a snapshot throws away what follows it in the log (etcd 80615be)",
    edits: [edit("snapshot.js", "const matches = r.log.matches({ index, term });", "const matches = false;")],
  },
  "learner-counts": {
    what: "a learner is counted in the quorum (openraft d882e743)",
    edits: [
      edit(
        "tracker.js",
        "jointCommitted(this.#config,",
        "jointCommitted({ ...this.#config, incoming: [...this.#config.incoming, ...this.#config.learners] },",
      ),
    ],
  },
};
