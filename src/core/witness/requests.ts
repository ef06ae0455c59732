/**
 * Requests of people and programs: who waits for what, and what they are told.
 *
 * A write is answered when its command was applied, never before; a follower passes it to the leader and
 * passes the answer back. What may have been decided and is not known to be is answered `unknown_outcome`,
 * never as a failure (docs/adr/0005): a leader that loses its leadership answers all that waits so. A
 * passed-on write is sent again until answered, to the same leader of the same term only; that leader knows
 * it by its id and decides it once. A client that asks again after an unknown outcome gives its write a name
 * (model/sessions.ts): what stands under that name is answered before anything is judged. Reads are asked again until
 * their index is confirmed.
 */
import type { LogIndex, Term, WitnessId } from "../base/ids.js";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.js";
import type { AdminResponse, Refusal, WriteRequest } from "../model/admin.js";
import { mayAskAgain, type RefusalCode } from "../model/code.js";
import type { Command } from "../model/command.js";
import type { SessionKey, WriteOutcome } from "../model/state.js";
import type { ReadState } from "../raft/types.js";
import type { AppliedEntry } from "./replica.js";

/** Who is waiting: a client of this witness, or a peer that passed its client's write on. */
export type Origin = { readonly kind: "client" } | { readonly kind: "peer"; readonly witness: WitnessId };

/** Where answers go. */
export interface Counter {
  reply(id: string, response: AdminResponse): void;
  answerPeer(to: WitnessId, request: string, response: AdminResponse): void;
  passOn(to: WitnessId, request: string, term: Term, write: WriteRequest): void;
  /** Asks Raft from which index on the state may be read; the answer comes to `onReadState`. */
  askIndex(context: Uint8Array): void;
}

interface Passed {
  readonly write: WriteRequest;
  readonly to: WitnessId;
  /** The term in which `to` leads. */
  readonly term: Term;
  sentAtMonoMs: number;
  /** When that leadership was first seen to be over; its answer may still be on the way. */
  lostAtMonoMs: number | null;
  readonly deadlineMonoMs: number;
}

interface Read {
  readonly deadlineMonoMs: number;
  askedAtMonoMs: number;
  index: LogIndex | null;
  readonly answer: () => AdminResponse;
}

/** Requests that may wait at once; past it clients are told to come again. */
const WAITING_MAX = 1024;
/**
 * Answers to passed-on writes that are kept, so that a repeated one is answered and not decided again. More
 * than all peers can have waiting, for an answer that is forgotten while its write may still be repeated
 * would be a second decision.
 */
const ANSWERED_MAX = 8 * WAITING_MAX;

/** The client's own name for a write as one text. */
function nameOf(session: SessionKey | undefined): string | null {
  return session === undefined ? null : `${session.id} ${session.sequence}`;
}

/** A refusal. */
export function refuse(code: RefusalCode, message: string, leader: WitnessId | null = null): Refusal {
  return { kind: "refused", code, message, leader };
}

/** The answer that tells an outcome. */
export function responseOf(outcome: WriteOutcome): AdminResponse {
  return outcome.kind === "accepted" ? outcome : refuse(outcome.code, outcome.message);
}

/**
 * What is written into the log for a write that the leader judged: the command; for a refusal of a write that
 * its client named, the refusal as a command, because an earlier copy of it may still be on its way. A
 * refusal that comes back is told at once: the write has no name, or is to be asked again.
 */
export function entryOf(write: WriteRequest, judged: Command | Refusal): Command | Refusal {
  if (judged.kind !== "refused") return judged;
  if (write.session === undefined || mayAskAgain(judged.code)) return judged;
  return { kind: "refuse", code: judged.code, message: judged.message };
}

export class Requests {
  private readonly counter: Counter;
  private readonly resendMs: number;
  private readonly patienceMs: number;
  /** Proposed by this leader, waiting to be applied; `name` is the client's own, if it gave one. */
  private readonly proposed = new Map<string, { readonly origin: Origin; readonly name: string | null }>();
  /** Names of the writes that this leader has proposed and not yet seen applied, also those that nobody waits for. */
  private readonly named = new Set<string>();
  private readonly passed = new Map<string, Passed>();
  private readonly reads = new Map<string, Read>();
  private readonly answered = new Map<string, AdminResponse>();

  constructor(counter: Counter, options: { readonly resendMs: number; readonly patienceMs: number }) {
    this.counter = counter;
    this.resendMs = options.resendMs;
    this.patienceMs = options.patienceMs;
  }

  get full(): boolean {
    return this.proposed.size + this.passed.size + this.reads.size >= WAITING_MAX;
  }

  /** True when the write is known already: it was answered again, or still waits for its decision. */
  isRepeated(id: string, origin: Origin): boolean {
    const answer = this.answered.get(id);
    if (answer !== undefined) this.answer(id, origin, answer);
    return answer !== undefined || this.proposed.has(id);
  }

  /**
   * True when an earlier copy of the write is in the log of this leadership and not applied yet: it waits for that
   * one, so that a slow disk is not given more to write by those who ask again because it is slow.
   */
  joins(id: string, origin: Origin, session: SessionKey | undefined): boolean {
    const name = nameOf(session);
    if (name === null || !this.named.has(name)) return false;
    this.proposed.set(id, { origin, name });
    return true;
  }

  /** The write of `id` was proposed; it is answered when it is applied. */
  onProposed(id: string, origin: Origin, session?: SessionKey): void {
    const name = nameOf(session);
    this.proposed.set(id, { origin, name });
    if (name !== null) this.named.add(name);
  }

  answer(id: string, origin: Origin, response: AdminResponse): void {
    if (origin.kind === "client") {
      this.counter.reply(id, response);
      return;
    }
    this.answered.set(id, response);
    for (const oldest of this.answered.keys()) {
      if (this.answered.size <= ANSWERED_MAX) break;
      this.answered.delete(oldest);
    }
    this.counter.answerPeer(origin.witness, id, response);
  }

  /** An entry was applied: whoever waits for it is answered. */
  onApplied(entry: AppliedEntry): void {
    if (entry.envelope === null || entry.applied === null) return;
    const { request, session } = entry.envelope;
    const name = nameOf(session);
    const ids = request === null ? [] : [request];
    if (name !== null && this.named.delete(name)) {
      for (const [id, waiting] of this.proposed) if (waiting.name === name && id !== request) ids.push(id);
    }
    for (const id of ids) {
      const origin = this.proposed.get(id)?.origin;
      if (origin === undefined) continue;
      this.proposed.delete(id);
      this.answer(id, origin, responseOf(entry.applied.outcome));
    }
  }

  /** This witness leads no longer: nobody here learns what became of the proposals. */
  onLeadershipLost(leader: WitnessId | null): void {
    this.named.clear();
    for (const [id, { origin }] of this.proposed) {
      const message =
        "the leader lost its leadership before the request was decided: look at status and history";
      this.answer(id, origin, refuse("unknown_outcome", message, leader));
    }
    this.proposed.clear();
  }

  /** Passes a client's write to the leader. */
  pass(id: string, write: WriteRequest, leader: WitnessId, term: Term, monoMs: number): void {
    this.passed.set(id, {
      write,
      to: leader,
      term,
      sentAtMonoMs: monoMs,
      lostAtMonoMs: null,
      deadlineMonoMs: monoMs + this.patienceMs,
    });
    this.counter.passOn(leader, id, term, write);
  }

  /** The leader answered a write that was passed on. */
  onForwarded(id: string, from: WitnessId, response: AdminResponse): void {
    if (this.passed.get(id)?.to !== from) return;
    this.passed.delete(id);
    this.counter.reply(id, response);
  }

  /** A read waits for Raft to confirm its index (`onReadState`) and for the state to get there. */
  read(id: string, answer: () => AdminResponse, monoMs: number): void {
    const deadlineMonoMs = monoMs + this.patienceMs;
    this.reads.set(id, { deadlineMonoMs, askedAtMonoMs: monoMs, index: null, answer });
    this.counter.askIndex(encodeUtf8(id));
  }

  onReadState(read: ReadState, applied: LogIndex): void {
    const waiting = this.reads.get(decodeUtf8(read.context) ?? "");
    if (waiting !== undefined) waiting.index = read.index;
    this.answerReads(applied);
  }

  /** Answers the reads whose index is applied. */
  answerReads(applied: LogIndex): void {
    for (const [id, read] of this.reads) {
      if (read.index === null || read.index > applied) continue;
      this.reads.delete(id);
      this.counter.reply(id, read.answer());
    }
  }

  /** The client of `id` went away. */
  abandon(id: string): void {
    this.passed.delete(id);
    this.reads.delete(id);
    if (this.proposed.get(id)?.origin.kind === "client") this.proposed.delete(id);
  }

  /** This witness stops: whoever still waits is told, and what may have been decided is not called a failure. */
  end(leader: WitnessId | null): void {
    this.onLeadershipLost(leader);
    const message = "this witness stopped before the leader answered: look at status and history";
    for (const id of this.passed.keys()) this.counter.reply(id, refuse("unknown_outcome", message, leader));
    for (const id of this.reads.keys())
      this.counter.reply(id, refuse("stopping", "this witness is stopping; ask another one", leader));
    this.passed.clear();
    this.reads.clear();
  }

  /** Sends again what has no answer, and gives up what waited for too long. */
  onTick(monoMs: number, now: { readonly leader: WitnessId | null; readonly term: Term }): void {
    const { leader } = now;
    for (const [id, passed] of this.passed) {
      if (now.term !== passed.term) passed.lostAtMonoMs ??= monoMs;
      const lost = passed.lostAtMonoMs !== null && monoMs - passed.lostAtMonoMs >= this.resendMs;
      if (lost || monoMs >= passed.deadlineMonoMs) {
        this.passed.delete(id);
        const message = `${passed.to} led and did not answer: the request may have been decided; look at status and history`;
        this.counter.reply(id, refuse("unknown_outcome", message, leader));
      } else if (passed.lostAtMonoMs === null && monoMs - passed.sentAtMonoMs >= this.resendMs) {
        passed.sentAtMonoMs = monoMs;
        this.counter.passOn(passed.to, id, passed.term, passed.write);
      }
    }
    for (const [id, read] of this.reads) {
      if (monoMs < read.deadlineMonoMs) {
        if (read.index !== null || monoMs - read.askedAtMonoMs < this.resendMs) continue;
        read.askedAtMonoMs = monoMs;
        this.counter.askIndex(encodeUtf8(id));
        continue;
      }
      this.reads.delete(id);
      this.counter.reply(
        id,
        refuse("no_leader", "no majority confirmed the read in time; ask again, or without --linearizable"),
      );
    }
  }
}
