/**
 * Door of the room: one witness's opinion of every target (`Detector`), and the quorum's verdict on them (`judge…`).
 *
 * The detector says which probes to start, takes in how they ended, and gives the whole view to be sent. A
 * change is to be sent at once (`takeChanged`), the whole view again at a steady pace: a lost message delays
 * and never hides.
 *
 * Time is an input: monotonic milliseconds. A gap between two inputs longer than `stallMs` means that this process was
 * itself stopped (swap, SIGSTOP, a frozen virtual machine). Then it distrusts itself, not the others: probes under way
 * are forgotten, runs of silence start again, and it abstains until each target has brought a fresh result. (Compare
 * Redis Sentinel's TILT, and the self-awareness of Lifeguard, Dadgar et al. 2018.)
 */
import type { WitnessId } from "../base/ids.js";
import { nextFraction, randomState } from "../base/random.js";
import { allTargets, type ClusterConfig, type ProbeSpec, type TargetKey } from "../model/config.js";
import type { ProbeResult, View } from "../model/observation.js";
import { HostRun } from "./host-run.js";
import { Neighbours } from "./neighbours.js";
import { PathLoss } from "./silence.js";
import { type Path, TargetWatch } from "./target-watch.js";
import * as verdict from "./verdict.js";

/** The majority's conclusion on one target (verdict.ts). */
export const judgeTarget = verdict.judgeTarget;
/** The conclusion on one site of a group (verdict.ts). */
export const judgeSite = verdict.judgeSite;
/** The conclusions on all sites of a group, in its order of priority (verdict.ts). */
export const judgeGroup = verdict.judgeGroup;

/**
 * How many silences in a row take a target down on a path of which nothing is known, `fall` apart; a path
 * that was clean of late needs as many or one fewer, one that loses needs more. For the published bound on
 * detection.
 */
export function silencesNeeded(falseAlarm: number): number {
  return new PathLoss().requiredRun(falseAlarm);
}

export interface DetectorOptions {
  readonly config: ClusterConfig;
  readonly witness: WitnessId;
  /** Spreads the probes of the targets over their intervals. */
  readonly seed: number;
  /** Distinguishes lives of the process; stands in each view. */
  readonly life: number;
  /** A longer gap between two inputs is a stall of this witness. */
  readonly stallMs: number;
}

/** A probe to start now. Its result comes back with the same `probe` number. */
export interface ProbeOrder {
  readonly target: TargetKey;
  readonly probe: number;
  readonly spec: ProbeSpec;
  readonly timeoutMs: number;
}

/** A watched target and when to probe it. */
interface Schedule {
  readonly watch: TargetWatch;
  /** The next probe is due; on a grid of `intervalMs` with a random phase. Null before the first tick. */
  dueMs: number | null;
  running: { readonly probe: number; readonly sentMs: number; readonly giveUpMs: number } | null;
}

export class Detector {
  readonly #options: DetectorOptions;
  readonly #schedules = new Map<TargetKey, Schedule>();
  readonly #paths = new Map<string, Path>();
  #nowMs: number | null = null;
  #probe = 0;
  #seq = 0;
  #abstaining = false;
  #changed = false;
  #stallSeen = false;

  constructor(options: DetectorOptions) {
    this.#options = options;
    this.#watchAll(options.config);
  }

  /** True when an opinion has changed since `takeChanged` was called last. */
  get changed(): boolean {
    return this.#changed;
  }

  /** Whether an opinion has changed since the last call; the witness then sends its view at once. */
  takeChanged(): boolean {
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  /**
   * Time has come to `nowMs`: which probes to start now, and whether a stall was noticed since the last tick.
   * At most one probe of a target runs at a time; one that is due while another runs starts at the tick after its end.
   */
  tick(nowMs: number): { readonly probes: readonly ProbeOrder[]; readonly stalled: boolean } {
    this.#passTo(nowMs);
    const stalled = this.#stallSeen;
    this.#stallSeen = false;
    const probes: ProbeOrder[] = [];
    for (const schedule of this.#schedules.values()) {
      const order = this.#startIfDue(schedule, nowMs);
      if (order !== null) probes.push(order);
    }
    return { probes, stalled };
  }

  /**
   * A probe ended at `nowMs`. True when an opinion changed. Results of unknown, repeated or given-up probes,
   * and of those started before a stall, are ignored.
   */
  onProbed(target: TargetKey, probe: number, result: ProbeResult, nowMs: number): boolean {
    const stalled = this.#passTo(nowMs);
    const schedule = this.#schedules.get(target);
    const running = schedule?.running;
    if (schedule === undefined || running === null || running?.probe !== probe) return stalled;
    schedule.running = null;
    const changed = schedule.watch.onResult(result, running.sentMs, nowMs);
    if (changed) this.#changed = true;
    return this.#endAbstention() || changed;
  }

  /** The whole view, to be sent; its number grows with each call. */
  view(): View {
    this.#seq++;
    const remark = this.#blindnessRemark();
    return {
      witness: this.#options.witness,
      life: this.#options.life,
      seq: this.#seq,
      abstaining: this.#abstaining,
      observations: [...this.#schedules.values()].map(({ watch }) =>
        this.#abstaining ? watch.abstention() : watch.observation(remark),
      ),
    };
  }

  /** Another document: targets whose probe is the same keep their opinion, others start anew. */
  reconfigure(config: ClusterConfig, nowMs: number): void {
    this.#passTo(nowMs);
    this.#watchAll(config);
    this.#changed = true;
    this.#endAbstention();
  }

  #watchAll(config: ClusterConfig): void {
    const old = new Map(this.#schedules);
    this.#schedules.clear();
    const hosts = new Set<string>();
    for (const { key, target } of allTargets(config)) {
      const host = hostOf(target.probe, key);
      hosts.add(host);
      const path = this.#paths.get(host) ?? {
        loss: new PathLoss(),
        neighbours: new Neighbours(),
        host: new HostRun(),
      };
      this.#paths.set(host, path);
      const kept = old.get(key);
      if (kept !== undefined && sameProbe(kept.watch.config.probe, target.probe)) {
        if (kept.watch.config.intervalMs !== target.intervalMs) kept.dueMs = null;
        kept.watch.config = target;
        this.#schedules.set(key, kept);
      } else {
        this.#schedules.set(key, { watch: new TargetWatch(key, target, path), dueMs: null, running: null });
      }
    }
    for (const host of [...this.#paths.keys()]) if (!hosts.has(host)) this.#paths.delete(host);
  }

  /** Moves the clock. True when the gap was a stall and opinions changed with it. */
  #passTo(nowMs: number): boolean {
    const gapMs = this.#nowMs === null ? 0 : nowMs - this.#nowMs;
    this.#nowMs = nowMs;
    if (gapMs <= this.#options.stallMs) return false;
    this.#stallSeen = true;
    this.#abstaining = this.#schedules.size > 0;
    for (const schedule of this.#schedules.values()) {
      schedule.running = null;
      schedule.watch.onStall(gapMs);
    }
    for (const path of this.#paths.values()) path.host.forget();
    this.#changed = true;
    return true;
  }

  #startIfDue(schedule: Schedule, nowMs: number): ProbeOrder | null {
    const { watch } = schedule;
    const { intervalMs, timeoutMs, probe: spec } = watch.config;
    if (schedule.dueMs === null) {
      const phase = nextFraction(randomState(this.#options.seed, `probe phase of ${watch.key}`));
      schedule.dueMs = nowMs + phase * intervalMs;
    }
    if (schedule.running !== null && nowMs >= schedule.running.giveUpMs) {
      // The driver owes a result within the timeout; that it brought none is no evidence about the target.
      const { sentMs } = schedule.running;
      schedule.running = null;
      const text = `the probe brought no result in ${Math.round(nowMs - sentMs)} ms, though its timeout is ${timeoutMs} ms`;
      if (watch.onResult({ kind: "failed", text }, sentMs, nowMs)) this.#changed = true;
      this.#endAbstention();
    }
    if (schedule.running !== null || nowMs < schedule.dueMs) return null;
    // Back on the grid: neither drift from late ticks, nor a volley to make up for what was missed.
    schedule.dueMs += intervalMs * (Math.floor((nowMs - schedule.dueMs) / intervalMs) + 1);
    this.#probe++;
    schedule.running = { probe: this.#probe, sentMs: nowMs, giveUpMs: nowMs + 2 * timeoutMs + GIVE_UP_MS };
    return { target: watch.key, probe: this.#probe, spec, timeoutMs };
  }

  /** True when abstention ended now. */
  #endAbstention(): boolean {
    if (!this.#abstaining) return false;
    for (const { watch } of this.#schedules.values()) if (!watch.fresh) return false;
    this.#abstaining = false;
    this.#changed = true;
    return true;
  }

  /** All hosts silent at once is more likely this witness's own network; the quorum decides, but people should know. */
  #blindnessRemark(): string {
    if (this.#paths.size < 2) return "";
    for (const { watch } of this.#schedules.values()) if (!watch.silent) return "";
    return "; every other target is silent too, so this witness's own network may be the cause";
  }
}

/** On top of twice the timeout: how long a probe's result is waited for before the driver is given up on. */
const GIVE_UP_MS = 5000;

/** What a path leads to: the host of the probe. A command has no host that we know of; it is its own path. */
function hostOf(spec: ProbeSpec, key: TargetKey): string {
  switch (spec.kind) {
    case "tcp":
      return spec.host.toLowerCase();
    case "http": {
      const host = /^[a-z]+:\/\/(?:[^/?#@]*@)?(\[[^\]]*\]|[^:/?#]*)/i.exec(spec.url)?.[1] ?? spec.url;
      return host.replace(/^\[|\]$/g, "").toLowerCase();
    }
    case "exec":
      return `command of ${key}`;
  }
}

function sameProbe(a: ProbeSpec, b: ProbeSpec): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
