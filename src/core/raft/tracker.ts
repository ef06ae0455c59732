/**
 * The configuration in force, and what this member knows of each other one: progress (when it leads) and votes
 * (when it stands).
 *
 * Members are visited in sorted id order, always: the order of a Map depends on its history, and two equal
 * states must act alike (etcd 65dbcbd). Invariant: exactly the members of the configuration have progress.
 */
import { type LogIndex, logIndex, type NodeId } from "../base/ids.js";
import { type Configuration, memberIds, NO_CONFIGURATION } from "./configuration.js";
import { ZERO_INDEX } from "./messages.js";
import { Progress } from "./progress.js";
import { jointCommitted, jointIds, jointVote, type VoteResult } from "./quorum.js";

export interface FlowLimits {
  /** Unit: appends in flight to one peer. */
  readonly maxInflight: number;
  /** Unit: bytes of entries in flight to one peer. */
  readonly maxInflightBytes: number;
}

export class Tracker {
  readonly #limits: FlowLimits;
  #config: Configuration = NO_CONFIGURATION;
  #ids: readonly NodeId[] = [];
  #voters: readonly NodeId[] = [];
  #progress = new Map<NodeId, Progress>();
  #votes = new Map<NodeId, boolean>();

  /** Starts with nobody; `switchTo` brings the members. */
  constructor(limits: FlowLimits) {
    this.#limits = limits;
  }

  get config(): Configuration {
    return this.#config;
  }
  /** Every member, voters and learners, sorted. */
  get ids(): readonly NodeId[] {
    return this.#ids;
  }
  /** Every voter of either half, sorted. */
  get voters(): readonly NodeId[] {
    return this.#voters;
  }

  isVoter(id: NodeId): boolean {
    return this.#voters.includes(id);
  }

  isLearner(id: NodeId): boolean {
    return this.#config.learners.includes(id);
  }

  /** True when one voter decides alone. */
  get isSingleton(): boolean {
    return this.#config.incoming.length === 1 && this.#config.outgoing.length === 0;
  }

  /**
   * Takes another configuration. Who was a member keeps its progress; a new one is probed after `lastIndex`, and
   * counts as heard from, else a leader could lose its quorum to members that had no chance to answer yet.
   */
  switchTo(config: Configuration, lastIndex: LogIndex): void {
    this.#config = config;
    this.#ids = memberIds(config);
    this.#voters = jointIds(config);
    const former = this.#progress;
    this.#progress = new Map(
      this.#ids.map((id) => {
        const progress = former.get(id) ?? this.#fresh(ZERO_INDEX, logIndex(Math.max(lastIndex, 1)), true);
        progress.isLearner = this.isLearner(id);
        return [id, progress];
      }),
    );
  }

  progress(id: NodeId): Progress | undefined {
    return this.#progress.get(id);
  }

  #fresh(match: LogIndex, next: LogIndex, recentActive: boolean): Progress {
    const progress = new Progress({ match, next, isLearner: false, ...this.#limits });
    progress.recentActive = recentActive;
    return progress;
  }

  /** Forgets all progress: a new term or role begins with nothing known but this member's own log. */
  resetProgress(self: NodeId, lastIndex: LogIndex): void {
    this.#progress = new Map(
      this.#ids.map((id) => {
        const match = id === self ? lastIndex : ZERO_INDEX;
        const progress = this.#fresh(match, logIndex(lastIndex + 1), false);
        progress.isLearner = this.isLearner(id);
        return [id, progress];
      }),
    );
  }

  /** The index that the acknowledgements so far commit, by counting alone; Infinity for a cluster of nobody. */
  committed(): number {
    return jointCommitted(this.#config, (id) => this.#progress.get(id)?.match);
  }

  resetVotes(): void {
    this.#votes = new Map();
  }

  /**
   * Notes a vote; the first of each member counts, so that a doubled message cannot (liferaft counted it).
   */
  recordVote(id: NodeId, granted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
  }

  voteResult(): VoteResult {
    return jointVote(this.#config, this.#votes);
  }

  /** True when a quorum was heard from since the last `resetActive`. */
  quorumActive(): boolean {
    const heard = new Map<NodeId, boolean>(
      this.#voters.map((id) => [id, this.#progress.get(id)?.recentActive ?? false]),
    );
    return jointVote(this.#config, heard) === "VoteWon";
  }

  /** Starts a new span of listening; the member itself is always there. */
  resetActive(self: NodeId): void {
    for (const [id, progress] of this.#progress) {
      progress.formerlyActive = progress.recentActive;
      progress.recentActive = id === self;
    }
  }
}
