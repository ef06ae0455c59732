/**
 * One witness's opinion of one target, from the results of its probes.
 *
 *   up     after `rise` successes
 *   down   after `fall` definite failures, or after a run of silences that a healthy target on this path gives with a
 *          chance below `falseAlarm` (silence.ts), and not before `fall` silences
 *   unknown at the start, after a stall of the witness, or when the witness cannot probe at all
 *
 * Successes and definite failures reset each other. Silence in between neither counts nor resets: on a line that loses
 * half of the probes a killed service is seen with `fall` delivered refusals, and a healed one comes back with
 * `rise` delivered answers. Any answer ends a run of silences: whoever refuses is there.
 *
 * After a stall the opinion from before is not trusted, but one fresh result that agrees with it brings it
 * back: a pause of the witness must not cost a standby its stability. Silence never brings it back.
 */
import type { TargetConfig, TargetKey } from "../model/config.js";
import type { Evidence, EvidenceKind, Observation, Opinion, ProbeResult } from "../model/observation.js";
import type { HostRun } from "./host-run.js";
import type { Neighbours } from "./neighbours.js";
import { type PathLoss, RUN_MAX } from "./silence.js";
import { sayChance, sayCount, sayLoss, sayMs } from "./words.js";

/** The way to a host: shared by all its targets. */
export interface Path {
  readonly loss: PathLoss;
  readonly neighbours: Neighbours;
  readonly host: HostRun;
}

/** What was settled last, with the evidence of that moment. */
interface Settled {
  readonly opinion: Opinion;
  readonly kind: EvidenceKind;
  readonly text: string;
  readonly count: number;
  readonly falseAlarm: number | null;
}

export class TargetWatch {
  readonly key: TargetKey;
  readonly path: Path;
  config: TargetConfig;
  #settled: Settled = {
    opinion: "unknown",
    kind: "start",
    text: "not probed yet",
    count: 0,
    falseAlarm: null,
  };
  /** The opinion that a stall suspended; null when none, or when a fresh result contradicted it. */
  #suspended: Opinion | null = null;
  /** Had a result since the start or the last stall. */
  #fresh = false;
  #successes = 0;
  #definites = 0;
  #silences = 0;
  #failures = 0;
  /** When the first silent probe of the run was sent. */
  #silentSinceMs = 0;
  /** The length at which the run was taken for death; null while it is not. */
  #calledAt: number | null = null;
  #lastText = "";
  #rttMs: number | null = null;

  constructor(key: TargetKey, config: TargetConfig, path: Path) {
    this.key = key;
    this.config = config;
    this.path = path;
  }

  get opinion(): Opinion {
    return this.#settled.opinion;
  }

  get fresh(): boolean {
    return this.#fresh;
  }

  /** The last probe, or more, brought no answer. */
  get silent(): boolean {
    return this.#silences > 0;
  }

  /** Takes in how a probe sent at `sentMs` ended. True when the opinion changed. */
  onResult(result: ProbeResult, sentMs: number, nowMs: number): boolean {
    const before = this.opinion;
    this.#fresh = true;
    this.#lastText = result.text;
    if (result.kind !== "failed") this.path.neighbours.note(this.key, sentMs, result.kind === "ambiguous");
    if (result.kind === "failed") this.#onFailed();
    else if (result.kind === "ambiguous") this.#onSilence(sentMs, nowMs);
    else this.#onAnswer(result);
    return this.opinion !== before;
  }

  /** The witness itself was stopped for `gapMs`: own blindness is not evidence. True when the opinion changed. */
  onStall(gapMs: number): boolean {
    const before = this.opinion;
    if (before !== "unknown") this.#suspended = before;
    this.#fresh = false;
    this.#forget();
    this.#settle("unknown", "stall", `this witness was itself stopped for ${sayMs(gapMs)}`, 0);
    return before !== "unknown";
  }

  /** The opinion with its evidence. `remark` is added to evidence of silence. */
  observation(remark = ""): Observation {
    const { opinion, kind, text, count, falseAlarm } = this.#settled;
    const evidence: Evidence = {
      kind,
      text: `${text}${kind === "ambiguous" ? remark : ""}${this.#meanwhile()}`,
      count,
      falseAlarm,
      rttMs: this.#rttMs,
      loss: this.path.loss.loss,
    };
    return { target: this.key, opinion, evidence };
  }

  /** What is said of it while the witness distrusts itself: unknown, whatever has come in so far. */
  abstention(): Observation {
    const text = "this witness was itself stopped and abstains until each target has brought a fresh result";
    const { evidence } = this.observation();
    return {
      target: this.key,
      opinion: "unknown",
      evidence: { ...evidence, kind: "stall", text, count: 0, falseAlarm: null },
    };
  }

  #onAnswer(result: Extract<ProbeResult, { kind: "ok" | "definite" }>): void {
    if (this.#calledAt === null) this.path.loss.learn(this.#silences);
    else if (result.kind === "ok") this.path.loss.learnAlarm(this.#silences, this.#calledAt);
    this.path.host.onAnswer(result.kind === "ok");
    this.#silences = 0;
    this.#calledAt = null;
    this.#failures = 0;
    const { fall, rise } = this.config;
    if (result.kind === "ok") {
      this.#rttMs = this.#rttMs === null ? result.rttMs : this.#rttMs + (result.rttMs - this.#rttMs) / 8;
      this.#successes++;
      this.#definites = 0;
      const known = this.#agrees("up");
      if (this.#successes >= rise || known) this.#settle("up", "ok", result.text, this.#successes);
    } else {
      this.#definites++;
      this.#successes = 0;
      const known = this.#agrees("down");
      if (this.#definites >= fall || known) {
        this.#settle("down", "definite", sayCount(result.text, this.#definites), this.#definites);
      }
    }
  }

  #onSilence(sentMs: number, nowMs: number): void {
    this.#failures = 0;
    if (this.#silences === 0) this.#silentSinceMs = sentMs;
    this.#silences++;
    // One that is taken for dead alone (hung, say) has no more to say about its host.
    if (this.#calledAt === null) this.path.host.onSilence();
    const { fall, falseAlarm } = this.config;
    if (this.#silences < fall) return;
    const alone = this.path.loss.chance(this.#silences, this.#floor());
    const together = this.path.host.chance(this.#silences, falseAlarm);
    const chance = Math.min(alone, together);
    if (chance >= falseAlarm && this.#silences < RUN_MAX && this.#calledAt === null) return;
    this.#calledAt ??= this.#silences;
    this.path.host.onCalled();
    // Answers from before the silence do not help it up again.
    this.#successes = 0;
    // The site's own word weighs more than silence: a definite "down" keeps its evidence.
    if (this.#definites >= fall) return;
    const host = together < alone ? `, ${this.path.host.length} with the other targets of the host` : "";
    const text =
      `no answer for ${sayMs(nowMs - this.#silentSinceMs)}: ${this.#silences} silences in a row${host}` +
      ` (${this.#lastText}), a healthy target on this path (${sayLoss(this.path.loss.loss)})` +
      ` does that at most ${sayChance(chance)}`;
    this.#settle("down", "ambiguous", text, this.#silences, chance);
  }

  #onFailed(): void {
    this.#failures++;
    if (this.#failures < this.config.fall) return;
    if (this.opinion !== "unknown") this.#suspended = this.opinion;
    const failures = this.#failures;
    this.#forget();
    this.#failures = failures;
    const text = sayCount(`this witness cannot probe: ${this.#lastText}`, failures);
    this.#settle("unknown", "stall", text, failures);
  }

  #settle(opinion: Opinion, kind: EvidenceKind, text: string, count: number, chance?: number): void {
    if (opinion !== "unknown") this.#suspended = null;
    this.#settled = { opinion, kind, text, count, falseAlarm: chance ?? null };
  }

  /** Whether a suspended opinion is confirmed; one that is contradicted is dropped. */
  #agrees(opinion: Opinion): boolean {
    const agrees = this.#suspended === opinion;
    this.#suspended = null;
    return agrees;
  }

  /** What the neighbours say of the path since this target fell silent. */
  #floor(): number {
    return this.path.neighbours.floor(this.key, this.#silentSinceMs);
  }

  #forget(): void {
    this.#successes = 0;
    this.#definites = 0;
    this.#silences = 0;
    this.#failures = 0;
    this.#calledAt = null;
  }

  /** What has been seen since that does not (yet) change the opinion. */
  #meanwhile(): string {
    const { opinion, kind } = this.#settled;
    const parts: string[] = [];
    const { fall, rise, falseAlarm } = this.config;
    if (this.#successes > 0 && opinion !== "up")
      parts.push(`${this.#successes} of ${rise} answers that bring it up`);
    if (this.#definites > 0 && opinion !== "down")
      parts.push(`${this.#definites} of ${fall} failures that take it down (${this.#lastText})`);
    if (this.#silences > 0 && kind !== "ambiguous") {
      const needed = Math.max(fall, this.path.loss.requiredRun(falseAlarm, this.#floor()));
      const of = opinion === "down" ? "" : ` of ${needed} that mean down`;
      parts.push(`${this.#silences} silences in a row${of} (${this.#lastText})`);
    }
    if (this.#failures > 0 && kind !== "stall") parts.push(`the last probe failed here (${this.#lastText})`);
    return parts.length === 0 ? "" : `; since then ${parts.join(", ")}`;
  }
}
