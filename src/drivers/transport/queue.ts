/**
 * What waits for a connection that can take it: two bounded lanes per peer, urgent and bulk.
 *
 * It drops rather than grows, because Raft sends again what still matters and a backlog of old news only
 * delays the new. In the urgent lane a newer message takes the place of an older one with the same key (a
 * heartbeat, an acknowledgement, a view): the key says that the newer one makes the older pointless. A full
 * lane drops its oldest. What waited longer than `staleMs` is dropped when taken.
 */
import type { PeerMessage } from "../../core/witness/contract.js";

/** One encoded message on its way out. */
export interface Outgoing {
  readonly seq: number;
  readonly bytes: Buffer;
  readonly urgent: boolean;
  /** Newer ones with this key replace it; null: each counts. */
  readonly key: string | null;
  /** When it was handed over, on the monotonic clock. */
  readonly madeMs: number;
}

export interface QueueLimits {
  readonly urgentMessages: number;
  readonly bulkMessages: number;
  /** Of each lane. */
  readonly bytes: number;
  readonly staleMs: number;
}

/** Counters, growing only. */
export interface QueueDrops {
  superseded: number;
  overflow: number;
  stale: number;
}

/** Bounded queue of one peer. Invariant: no lane holds more messages or bytes than its limits. */
export class PeerQueue {
  readonly drops: QueueDrops = { superseded: 0, overflow: 0, stale: 0 };
  private readonly limits: QueueLimits;
  private readonly lanes = { urgent: new Lane(), bulk: new Lane() };

  constructor(limits: QueueLimits) {
    this.limits = limits;
  }

  get messages(): number {
    return this.lanes.urgent.items.length + this.lanes.bulk.items.length;
  }

  get bytes(): number {
    return this.lanes.urgent.bytes + this.lanes.bulk.bytes;
  }

  push(item: Outgoing): void {
    const lane = item.urgent ? this.lanes.urgent : this.lanes.bulk;
    const limit = item.urgent ? this.limits.urgentMessages : this.limits.bulkMessages;
    if (item.key !== null) {
      const older = lane.items.findIndex((waiting) => waiting.key === item.key);
      if (older >= 0) {
        lane.remove(older);
        this.drops.superseded += 1;
      }
    }
    lane.add(item);
    this.trim(lane, limit);
  }

  /** Puts a message that was taken before to the front, if there is room. */
  putBack(item: Outgoing): void {
    const lane = item.urgent ? this.lanes.urgent : this.lanes.bulk;
    const limit = item.urgent ? this.limits.urgentMessages : this.limits.bulkMessages;
    lane.addFirst(item);
    this.trim(lane, limit);
  }

  private trim(lane: Lane, limit: number): void {
    while (lane.items.length > limit || lane.bytes > this.limits.bytes) {
      lane.remove(0);
      this.drops.overflow += 1;
    }
  }

  /** The next message of a lane without taking it, after dropping what is stale at `nowMs`. */
  peek(kind: "urgent" | "bulk", nowMs: number): Outgoing | undefined {
    const lane = this.lanes[kind];
    for (let first = lane.items[0]; first !== undefined; first = lane.items[0]) {
      if (nowMs - first.madeMs <= this.limits.staleMs) return first;
      lane.remove(0);
      this.drops.stale += 1;
    }
    return undefined;
  }

  /** Takes what `peek` showed. */
  take(kind: "urgent" | "bulk"): void {
    this.lanes[kind].remove(0);
  }
}

class Lane {
  readonly items: Outgoing[] = [];
  bytes = 0;

  add(item: Outgoing): void {
    this.items.push(item);
    this.bytes += item.bytes.length;
  }

  addFirst(item: Outgoing): void {
    this.items.unshift(item);
    this.bytes += item.bytes.length;
  }

  remove(at: number): void {
    const [gone] = this.items.splice(at, 1);
    this.bytes -= gone?.bytes.length ?? 0;
  }
}

/**
 * The key under which a newer message makes an older one pointless, or null. Messages that carry a ReadIndex
 * context are kept apart from those that do not, and rejections from acknowledgements: neither says what the
 * other says.
 */
export function supersedingKey(message: PeerMessage): string | null {
  if (message.kind === "view" || message.kind === "refused") return message.kind;
  if (message.kind !== "raft") return null;
  const { type, context, reject, entries } = message.message;
  const mark = `${type} ${context.length > 0 ? "marked" : "plain"} ${reject ? "reject" : "accept"}`;
  switch (type) {
    case "MsgHeartbeat":
    case "MsgHeartbeatResp":
    case "MsgAppResp":
    case "MsgVote":
    case "MsgVoteResp":
    case "MsgPreVote":
    case "MsgPreVoteResp":
      return mark;
    case "MsgApp":
      return entries.length === 0 ? mark : null;
    default:
      return null;
  }
}
