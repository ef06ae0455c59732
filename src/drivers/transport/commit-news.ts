/**
 * The bare news of a commit, held back for a moment.
 *
 * A leader tells each peer a new commit index at once, in an append without entries. While writes follow one another
 * the next append says the same, so the bare one, its copies and what answers them are work for nothing: with one
 * client, half of all messages. So it waits a few milliseconds; a newer append of the same term takes its place,
 * everything else passes it by. Raft asks for nothing more: an append may be late, and one that a newer one follows
 * may be lost.
 * Invariants: what is held leaves at the latest `newsMs` after the first of a row was held, or is covered by an append
 * that was handed on.
 */
import type { Message } from "../../core/raft/types.js";

/** True for an append that carries nothing but a place in the log and a commit index. */
function isCommitNews({ type, entries, context }: Message): boolean {
  return type === "MsgApp" && entries.length === 0 && context.length === 0;
}

/**
 * True when whoever takes `newer` has no use for `older` any more: the same leader speaks, of the same place in the log
 * or a later one, and knows as much to be committed. Who would have refused the older refuses the newer.
 */
function covers(newer: Message, older: Message): boolean {
  return (
    newer.type === "MsgApp" &&
    newer.from === older.from &&
    newer.to === older.to &&
    newer.term === older.term &&
    newer.index >= older.index &&
    newer.commit >= older.commit
  );
}

/** The news that waits for one peer. */
export class CommitNews {
  private readonly newsMs: number;
  private readonly release: (message: Message) => void;
  private held: Message | null = null;
  private timer: NodeJS.Timeout | null = null;

  constructor(newsMs: number, release: (message: Message) => void) {
    this.newsMs = newsMs;
    this.release = release;
  }

  /** Takes a message on its way out; true: it is held, and will leave by `release` or be covered. */
  takes(message: Message): boolean {
    const { held } = this;
    if (held !== null && message.type === "MsgApp") {
      this.held = null;
      if (!covers(message, held)) this.release(held);
    }
    if (!isCommitNews(message)) return false;
    this.held = message;
    // One that runs for news which was covered meanwhile serves for this one: it may only leave sooner.
    this.timer ??= setTimeout(() => this.leave(), this.newsMs);
    return true;
  }

  /** Drops what waits, for good. */
  close(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.held = null;
  }

  private leave(): void {
    const { held } = this;
    this.timer = null;
    this.held = null;
    if (held !== null) this.release(held);
  }
}
