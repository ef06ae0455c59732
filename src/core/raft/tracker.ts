/**
 * The configuration, and what this member knows of each other one: progress (when it leads) and votes (when
 * it stands).
 *
 * The configuration is shaped as a joint one from the start, though nothing changes it yet. Members are
 * visited in sorted id order, always: the order of a Map depends on its history, and two equal states must
 * act alike (etcd 65dbcbd).
 */
import { type LogIndex, logIndex, type NodeId } from "../base/ids.js";
import { ZERO_INDEX } from "./messages.js";
import { Progress } from "./progress.js";
import { type JointConfig, jointCommitted, jointIds, jointVote, type VoteResult } from "./quorum.js";

export class Tracker {
  readonly config: JointConfig;
  readonly learners: readonly NodeId[];
  readonly #ids: readonly NodeId[];
  readonly #voters: readonly NodeId[];
  readonly #maxInflight: number;
  #progress = new Map<NodeId, Progress>();
  #votes = new Map<NodeId, boolean>();

  constructor(options: {
    readonly voters: readonly NodeId[];
    readonly learners: readonly NodeId[];
    readonly maxInflight: number;
  }) {
    const sorted = (ids: readonly NodeId[]) => [...new Set(ids)].sort((a, b) => a - b);
    this.config = { incoming: sorted(options.voters), outgoing: [] };
    this.#voters = jointIds(this.config);
    this.learners = sorted(options.learners).filter((id) => !this.#voters.includes(id));
    this.#ids = sorted([...this.#voters, ...this.learners]);
    this.#maxInflight = options.maxInflight;
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

  /** True when one voter decides alone. */
  get isSingleton(): boolean {
    return this.config.incoming.length === 1 && this.config.outgoing.length === 0;
  }

  progress(id: NodeId): Progress | undefined {
    return this.#progress.get(id);
  }

  /** Forgets all progress: a new term or role begins with nothing known but this member's own log. */
  resetProgress(self: NodeId, lastIndex: LogIndex): void {
    this.#progress = new Map(
      this.#ids.map((id) => [
        id,
        new Progress({
          match: id === self ? lastIndex : ZERO_INDEX,
          next: logIndex(lastIndex + 1),
          isLearner: this.learners.includes(id),
          maxInflight: this.#maxInflight,
        }),
      ]),
    );
  }

  /** The index that the acknowledgements so far commit, by counting alone. */
  committed(): number {
    return jointCommitted(this.config, (id) => this.#progress.get(id)?.match);
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
    return jointVote(this.config, this.#votes);
  }

  /** True when a quorum was heard from since the last `resetActive`. */
  quorumActive(): boolean {
    const heard = new Map<NodeId, boolean>(
      this.#voters.map((id) => [id, this.#progress.get(id)?.recentActive ?? false]),
    );
    return jointVote(this.config, heard) === "VoteWon";
  }

  /** Starts a new span of listening; the member itself is always there. */
  resetActive(self: NodeId): void {
    for (const [id, progress] of this.#progress) {
      progress.formerlyActive = progress.recentActive;
      progress.recentActive = id === self;
    }
  }
}
