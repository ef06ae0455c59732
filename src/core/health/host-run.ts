/**
 * Silence of a whole host: when all its targets are silent, their probes count together.
 *
 * The results of all targets of one host, in the order in which they come, are one more sequence, judged with
 * the same arithmetic (silence.ts) from its own experience: if the targets usually fall silent together, this
 * sequence has learnt it. On a line that loses half of the probes three targets say in ten rounds what one
 * says in thirty.
 *
 * It may shorten the wait on a path that is known to lose, but never below what a path that is not known
 * needs from one target alone (8 silences at one in a million): three probes in one second are three, but a
 * blackout of that second is one.
 */
import { PathLoss } from "./silence.js";

export class HostRun {
  readonly #loss = new PathLoss();
  #run = 0;
  #calledAt: number | null = null;

  /** How many probes of the host in a row, of whatever target, were silent. */
  get length(): number {
    return this.#run;
  }

  /** Some target of the host stayed silent. */
  onSilence(): void {
    this.#run++;
  }

  /** Some target of the host answered, well or badly. */
  onAnswer(isOk: boolean): void {
    if (this.#calledAt === null) this.#loss.learn(this.#run);
    else if (isOk) this.#loss.learnAlarm(this.#run, this.#calledAt);
    this.#run = 0;
    this.#calledAt = null;
  }

  /**
   * The chance that a living host is silent for so long, when one of its targets has been for `own` probes in a row; 1
   * when that is too short for the neighbours to count.
   */
  chance(own: number, falseAlarm: number): number {
    if (this.#run <= own || own < UNKNOWN_PATH.requiredRun(falseAlarm)) return 1;
    return this.#loss.chance(this.#run);
  }

  /** The witness itself was blind: what came before is no run any more. */
  forget(): void {
    this.#run = 0;
    this.#calledAt = null;
  }

  /** A target of the host was taken for dead: if it is the host, its silence must not teach. */
  onCalled(): void {
    this.#calledAt ??= this.#run;
  }
}

/** A path of which nothing is known: what the prior alone says. */
const UNKNOWN_PATH = new PathLoss();
