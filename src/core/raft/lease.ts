/**
 * A leader's lease for reads (dissertation, section 6.4.1): while it holds, no other member can have been elected,
 * so a read needs no round of its own.
 *
 * A follower that heard a heartbeat gives no vote for an election timeout (check-quorum's stickiness). The leader
 * counts from when it SENT the heartbeat that a quorum has answered, never from the answers: on a slow line the
 * followers' timers have long been running by then. Each heartbeat therefore carries a number, and its echo says
 * which one it answers.
 *
 * The arithmetic, in ticks: a heartbeat sent after tick s is answered; at the leader's tick t less than t - s + 1
 * tick lengths have passed since, by its own clock. The follower refuses for `electionTick` ticks of its own, of
 * which the first may come at once: at least electionTick - 1 lengths. With rates that differ by the drift d from
 * true time, the lease holds while (t - s + 1) (1 + d) <= (electionTick - 1) (1 - d).
 *
 * It is void: before the first entry of the term is committed (the caller asks that); after a pause, since the
 * ticks then do not tell the time that passed (`void`); once a hand-over was asked for in this term, because the
 * one who is to take over overrides stickiness, and the message may arrive late (openraft #1747, TiKV #4688); in a
 * new term (a new object). Voters that were restarted refuse for an election timeout too (RAFT's own hole, see
 * `quietTicks` in member.ts).
 */
import { type LogIndex, logIndex, type NodeId } from "../base/ids.js";
import { type JointConfig, jointCommitted } from "./quorum.js";

/** One leadership's lease. Numbers of heartbeats and ticks only grow. */
export class Lease {
  readonly #maxAgeTicks: number;
  #now = 0;
  #handedOver = false;
  /** The tick after which each unanswered heartbeat was sent, by its number, oldest first. */
  #sentAt = new Map<number, number>();
  /** By voter: the sending tick of the newest heartbeat that it answered, plus one (0 is never). */
  readonly #answered = new Map<NodeId, number>();

  constructor(electionTick: number, maxClockDrift: number) {
    this.#maxAgeTicks = Math.floor(((electionTick - 1) * (1 - maxClockDrift)) / (1 + maxClockDrift)) - 1;
  }

  tick(): void {
    this.#now++;
  }

  /** The heartbeat of this number goes out now. */
  onSent(sequence: number): void {
    this.#sentAt.set(sequence, this.#now);
    for (const [old, at] of this.#sentAt) {
      if (this.#now - at <= this.#maxAgeTicks) break;
      this.#sentAt.delete(old);
    }
  }

  /** `from` answered that heartbeat. */
  onEcho(from: NodeId, sequence: number): void {
    const at = this.#sentAt.get(sequence);
    if (at !== undefined) this.#answered.set(from, Math.max(this.#answered.get(from) ?? 0, at + 1));
  }

  /** Time passed that the ticks do not tell: what was sent before proves nothing any more. */
  void(): void {
    this.#sentAt = new Map();
    this.#answered.clear();
  }

  /** Somebody was asked to take over: no lease again in this term. */
  handOver(): void {
    this.#handedOver = true;
  }

  /** True while no quorum of `config` can vote for another; `self` leads. */
  holds(self: NodeId, config: JointConfig): boolean {
    if (this.#handedOver) return false;
    const own: LogIndex = logIndex(this.#now + 1);
    const since = jointCommitted(config, (id) => {
      const at = this.#answered.get(id);
      return id === self ? own : at === undefined ? undefined : logIndex(at);
    });
    return since > 0 && this.#now - (since - 1) <= this.#maxAgeTicks;
  }
}
