/**
 * How surprising is a run of silences? The arithmetic behind "down because nothing answers".
 *
 * A path is the way from this witness to one host. A living target gives a run of n silences when n probes are lost
 * one after the other:
 *
 *     chance(n) = h(0) · h(1) · … · h(n−1),   h(d) = P(silence | alive, and the d probes before were silent)
 *
 * With one h for all d this is independent loss, with h(0) and one other a first-order Markov chain. Neither
 * is safe: on a line with short blackouts beside thin random loss (Gilbert-Elliott) h *grows* with d, and the
 * average of both kinds promises runs of twenty to be impossible that come every hour. So h is kept by depth,
 * in classes that double: 0, 1, 2, 3-4, 5-8, 9-16, 17 and more.
 *
 * What a class is taught: of the probes sent to a living target at that depth, how many were silent. A run
 * counts only once the target's own answer (good or bad) has ended it, and not when the target had been
 * called dead by then: a dead host must not teach its path that it is lossy. Except the second time that a
 * target called dead answers well soon after: that was no death, and a path that does such things must be
 * known for it. Counts fade by 1/MEMORY a probe. All targets of a host teach one path; a deep class is taught
 * by those that get there, the ones that lose most, so sharing errs to the safe side.
 *
 * From counts to a bound: each h is the mean of silent/sent with a prior, plus one standard deviation (Z).
 * Prior of depths 0 and 1: 8 % with the weight of 8 probes; of deeper classes: the class before, with the
 * same weight. h(0), how often runs begin, is also counted over the last sixty probes, and the larger counts:
 * a path that turns bad is believed in seconds. At one in a million a path not yet known gets n = 8, one with
 * 300 answers 7, one that loses half of the probes about 28 (test/core/health/silence.test.ts measures them).
 *
 * What this cannot know: a path that turns bad at this very moment. Against that stand the neighbours on the same host
 * (neighbours.ts), and the quorum, whose paths differ.
 */

/** How many probes of a path are remembered: counts fade by 1/MEMORY with each. */
const MEMORY = 1000;
/** The shorter memory of how often runs begin. */
const MEMORY_RECENT = 60;
/** How many standard deviations are added to each share. */
const Z = 1;
const PRIOR_SHARE = 0.08;
const PRIOR_WEIGHT = 8;

/**
 * A run of so many silences is taken for death however lossy the path is. Cost: on a path that loses more
 * than 89 % of its probes (0.89^120 = 1e-6) false alarms come more often than promised. Gain: a dead host is
 * found after 120 probes at the latest (12 s at ten a second, two minutes at one a second). On such a path a
 * longer timeout, within which TCP sends again, helps more than any arithmetic.
 */
export const RUN_MAX = 120;

const CLASSES = 7;

/** Class of a depth: 0, 1, 2, 3-4, 5-8, 9-16, 17 and more. */
function classOf(depth: number): number {
  return depth < 2 ? depth : Math.min(CLASSES - 1, 33 - Math.clz32(depth - 1));
}

/** Fading counts of probes that were sent, and of those that stayed silent. */
interface Counts {
  sent: number;
  silent: number;
}

/** What is known of the loss between this witness and one host. */
export class PathLoss {
  readonly #classes: readonly Counts[] = Array.from({ length: CLASSES }, () => ({ sent: 0, silent: 0 }));
  readonly #recent: Counts = { sent: 0, silent: 0 };
  /** Fading count of targets called dead that soon answered well. */
  #alarms = 0;

  /** A living target answered after `run` silences in a row (0: the probe before was answered too). */
  learn(run: number): void {
    for (let depth = 0; depth <= run; depth++) {
      const silent = depth < run ? 1 : 0;
      this.#alarms *= 1 - 1 / MEMORY;
      for (const counts of this.#classes) count(counts, MEMORY, 0, 0);
      const at = this.#classes[classOf(depth)];
      if (at !== undefined) count(at, Number.POSITIVE_INFINITY, 1, silent);
      if (depth === 0) count(this.#recent, MEMORY_RECENT, 1, silent);
    }
  }

  /** A target that was called dead at `calledAt` silences answered well after `run` of them. */
  learnAlarm(run: number, calledAt: number): void {
    // Nothing that died comes back so soon, except a service that was restarted; one such is forgiven.
    if (run > Math.max(12, 2 * calledAt)) return;
    const before = this.#alarms;
    this.#alarms++;
    if (before > 0.5) this.learn(run);
  }

  /** Recent share of silent probes among those sent to living targets, 0 to 1; null before any. */
  get loss(): number | null {
    const sent = this.#classes.reduce((sum, counts) => sum + counts.sent, 0);
    return sent === 0 ? null : this.#classes.reduce((sum, counts) => sum + counts.silent, 0) / sent;
  }

  /**
   * Upper estimate of the chance that a healthy target on this path gives `run` silences in a row; 1 for none.
   * `floor`: no h is taken to be lower (what the neighbours see at this moment).
   */
  chance(run: number, floor = 0): number {
    const bounds = this.#bounds();
    let chance = 1;
    for (let depth = 0; depth < run; depth++) chance *= Math.max(floor, bounds[classOf(depth)] ?? 1);
    return chance;
  }

  /** The least run whose chance is below `falseAlarm`, at most `RUN_MAX`. */
  requiredRun(falseAlarm: number, floor = 0): number {
    const bounds = this.#bounds();
    let chance = 1;
    for (let depth = 0; depth < RUN_MAX; depth++) {
      chance *= Math.max(floor, bounds[classOf(depth)] ?? 1);
      if (chance < falseAlarm) return depth + 1;
    }
    return RUN_MAX;
  }

  /** The upper estimate of h for each class. */
  #bounds(): number[] {
    let prior = PRIOR_SHARE;
    return this.#classes.map((counts, c) => {
      const { mean, bound } = upperShare(
        counts.silent,
        counts.sent,
        c < 2 ? PRIOR_SHARE : prior,
        PRIOR_WEIGHT,
      );
      prior = mean;
      if (c > 0) return bound;
      return Math.max(
        bound,
        upperShare(this.#recent.silent, this.#recent.sent, PRIOR_SHARE, PRIOR_WEIGHT).bound,
      );
    });
  }
}

/** The share of `silent` among `sent` with a prior of that weight: its mean, and Z standard deviations above it. */
export function upperShare(
  silent: number,
  sent: number,
  prior: number,
  weight: number,
): { readonly mean: number; readonly bound: number } {
  const mean = (silent + prior * weight) / (sent + weight);
  return { mean, bound: Math.min(1, mean + Z * Math.sqrt((mean * (1 - mean)) / (sent + weight + 1))) };
}

function count(counts: Counts, memory: number, sent: number, silent: number): void {
  counts.sent = counts.sent * (1 - 1 / memory) + sent;
  counts.silent = counts.silent * (1 - 1 / memory) + silent;
}
