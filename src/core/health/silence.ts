/**
 * How surprising is a run of silences? The arithmetic behind "down because nothing answers".
 *
 * A path is the way from this witness to one host. A run of n silences from a target that is alive needs n probes lost
 * one after the other:
 *
 *     chance(n) = h(0) · h(1) · … · h(n−1),   h(d) = P(silence | alive, and the d probes before were silent)
 *
 * With one h this is independent loss, with h(0) and h(1) a first-order Markov chain. Neither is safe: a line with
 * short total blackouts beside thin random loss (Gilbert-Elliott) has an h that *grows* with d, and the average of both
 * kinds promises runs of twenty to be impossible that come every hour. So h is kept by depth, in classes that double:
 * 0, 1, 2, 3-4, 5-8, 9-16, 17 and more.
 *
 * What a class is taught: of the probes that a living target was sent at that depth, how many were silent. A run is
 * counted only when an answer (good or bad) has ended it, and not when it grew so long that the target was called dead:
 * a dead host must not teach its path that it is lossy. Counts fade by 1/MEMORY a probe, so "recent" is about the last
 * thousand probes of the path. All targets of a host teach one path; a deep class is taught by those that get there, which
 * are the ones that lose most, so sharing errs to the safe side.
 *
 * From counts to a bound: h(d) is the mean of silent/sent with a prior, plus one standard deviation (Z). Prior of depths 0
 * and 1: 8 % with the weight of 8 probes; of deeper classes: the class before with the weight of 4. So a path that has
 * shown no silence yet gets n = 8 at one in a million, after 300 answers n = 6 (test/core/health/silence.test.ts has the table).
 *
 * What this cannot know: a path that turns bad at this moment. For the first twenty probes or so it is judged by its
 * past. The quorum, whose paths differ, stands against that.
 */

/** How many probes of a path are remembered: the counts fade by 1/MEMORY with each. */
const MEMORY = 1000;
/** How many standard deviations are added to each share. */
const Z = 1;
const PRIOR_SHARE = 0.08;
const PRIOR_WEIGHT = 8;
const INHERITED_WEIGHT = 4;

/**
 * A run of so many silences is taken for death however lossy the path is. Cost: on a path that loses more than 89 % of
 * its probes (0.89^120 = 1e-6) false alarms come more often than promised. Gain: a dead host is found after 120 probes at
 * the latest (12 s at ten a second, two minutes at one a second). On such a path a longer timeout, within which TCP
 * sends again, helps more than any arithmetic.
 */
export const RUN_MAX = 120;

/** Class of a depth: 0, 1, 2, 3-4, 5-8, 9-16, 17 and more. */
function classOf(depth: number): number {
  return depth < 2 ? depth : Math.min(CLASSES - 1, 33 - Math.clz32(depth - 1));
}
const CLASSES = 7;

/** What is known of the loss between this witness and one host. Mutable; times do not matter to it. */
export class PathLoss {
  readonly #sent = new Float64Array(CLASSES);
  readonly #silent = new Float64Array(CLASSES);

  /** A living target answered after `run` silences in a row (0: the probe before was answered too). */
  learn(run: number): void {
    for (let depth = 0; depth <= run; depth++) {
      for (let c = 0; c < CLASSES; c++) {
        this.#sent[c] = (this.#sent[c] ?? 0) * (1 - 1 / MEMORY);
        this.#silent[c] = (this.#silent[c] ?? 0) * (1 - 1 / MEMORY);
      }
      const c = classOf(depth);
      this.#sent[c] = (this.#sent[c] ?? 0) + 1;
      if (depth < run) this.#silent[c] = (this.#silent[c] ?? 0) + 1;
    }
  }

  /** Recent share of silent probes among those sent to living targets, 0 to 1; null before any. */
  get loss(): number | null {
    const sent = this.#sent.reduce((sum, count) => sum + count, 0);
    return sent === 0 ? null : this.#silent.reduce((sum, count) => sum + count, 0) / sent;
  }

  /** Upper estimate of the chance that a healthy target on this path gives `run` silences in a row; 1 for none. */
  chance(run: number): number {
    const bounds = this.#bounds();
    let chance = 1;
    for (let depth = 0; depth < run; depth++) chance *= bounds[classOf(depth)] ?? 1;
    return chance;
  }

  /** The least run whose chance is below `falseAlarm`, at most `RUN_MAX`. */
  requiredRun(falseAlarm: number): number {
    const bounds = this.#bounds();
    let chance = 1;
    for (let depth = 0; depth < RUN_MAX; depth++) {
      chance *= bounds[classOf(depth)] ?? 1;
      if (chance < falseAlarm) return depth + 1;
    }
    return RUN_MAX;
  }

  /** The upper estimate of h for each class. */
  #bounds(): number[] {
    const bounds: number[] = [];
    let before = PRIOR_SHARE;
    for (let c = 0; c < CLASSES; c++) {
      const sent = this.#sent[c] ?? 0;
      const priorShare = c < 2 ? PRIOR_SHARE : before;
      const priorWeight = c < 2 ? PRIOR_WEIGHT : INHERITED_WEIGHT;
      const weight = sent + priorWeight;
      const share = ((this.#silent[c] ?? 0) + priorShare * priorWeight) / weight;
      bounds.push(Math.min(1, share + Z * Math.sqrt((share * (1 - share)) / (weight + 1))));
      before = share;
    }
    return bounds;
  }
}
