/**
 * A cluster of real witnesses in a world of virtual time: network, disks, clocks and the outside come from one seed, so that every run
 * can be repeated to the byte. The witnesses are the production core, unchanged.
 *
 * The disk keeps what was written durably; a crash loses what is in flight, whole writes at a time, in order. Messages are lost,
 * delayed, doubled and overtaken; cuts are directed. Probes and orders to the outside cross the same kind of network.
 */
import { logIndex, NO_NODE, term, type WitnessId } from "../src/core/base/ids.js";
import { nextBelow, nextFraction, type RandomState, randomState } from "../src/core/base/random.js";
import type { AdminRequest, AdminResponse } from "../src/core/model/admin.js";
import type { ClusterConfig } from "../src/core/model/config.js";
import type { Entry, HardState } from "../src/core/raft/types.js";
import type { Effect, Input } from "../src/core/witness/contract.js";
import { Witness } from "../src/core/witness/witness.js";
import { Agenda } from "./events.js";
import { Outside } from "./outside.js";

interface Disk {
  hardState: HardState;
  entries: Entry[];
}

/** One witness process with its disk. `life` grows with each start; effects of former lives come to nothing. */
export interface Process {
  readonly id: WitnessId;
  readonly disk: Disk;
  witness: Witness | null;
  life: number;
  paused: boolean;
  /** One write at a time, in order: the next one begins when the last one is done. */
  diskFreeAtMs: number;
  /** Rate of its clock: 1.01 runs 1 % fast. */
  readonly clockRate: number;
}

export interface WorldOptions {
  readonly seed: number;
  readonly config: ClusterConfig;
  /** Share of messages and probes lost, 0 to 1. */
  readonly loss: number;
  readonly delayMs: readonly [number, number];
}

const DISK_MS = [0, 5] as const;

export class World {
  readonly agenda = new Agenda();
  readonly outside = new Outside();
  readonly processes: readonly Process[];
  /** Text of everything that happened, for comparing two runs; one line an effect or fault. */
  readonly trace: string[] = [];
  loss: number;
  private readonly options: WorldOptions;
  private readonly random: RandomState;
  private readonly cuts = new Set<string>();
  private readonly answers = new Map<string, (response: AdminResponse) => void>();
  private requests = 0;
  /** Called after every step of a witness. */
  onStep: (process: Process) => void = () => undefined;

  constructor(options: WorldOptions) {
    this.options = options;
    this.loss = options.loss;
    this.random = randomState(options.seed, "world");
    this.processes = options.config.witnesses.map(({ id }) => ({
      id,
      disk: { hardState: { term: term(0), vote: NO_NODE, commit: logIndex(0) }, entries: [] },
      witness: null,
      life: 0,
      paused: false,
      diskFreeAtMs: 0,
      clockRate: 1 + (nextFraction(this.random) - 0.5) * 0.02,
    }));
    for (const process of this.processes) this.start(process);
  }

  process(id: string): Process {
    const found = this.processes.find((process) => process.id === id);
    if (found === undefined) throw new Error(`no witness ${id}`);
    return found;
  }

  /** Runs for `durationMs` of virtual time. */
  run(durationMs: number): void {
    const untilMs = this.agenda.nowMs + durationMs;
    while (this.agenda.step(untilMs));
  }

  /** Runs until `holds` or `limitMs` of virtual time have passed; returns whether it held. */
  runUntil(holds: () => boolean, limitMs: number): boolean {
    const untilMs = this.agenda.nowMs + limitMs;
    while (!holds()) if (!this.agenda.step(untilMs)) return holds();
    return true;
  }

  /** Cuts the way from `from` to `to`, which may be witnesses or sites ("site a"). */
  cut(from: string, to: string): void {
    this.cuts.add(`${from}>${to}`);
  }

  heal(): void {
    this.cuts.clear();
  }

  /** Starts a witness on its disk, with the world's document or its own. */
  start(process: Process, ownConfig?: ClusterConfig): void {
    if (process.witness !== null) return;
    const { seed } = this.options;
    const config = ownConfig ?? this.options.config;
    process.life++;
    process.paused = false;
    process.diskFreeAtMs = this.agenda.nowMs;
    process.witness = new Witness({
      self: process.id,
      config,
      configHash: "hash",
      seed: seed + process.life * 7919,
      life: process.life,
    });
    this.trace.push(`${this.agenda.nowMs} start ${process.id}`);
    this.input(process, process.life, {
      kind: "restored",
      hardState: process.disk.hardState,
      entries: [...process.disk.entries],
      recovering: null,
    });
    this.tick(process, process.life);
  }

  /** The process is gone at once; writes that were not durable are lost. */
  crash(process: Process): void {
    process.witness = null;
    process.life++;
    this.trace.push(`${this.agenda.nowMs} crash ${process.id}`);
  }

  /** SIGSTOP: ticks, messages and completions wait until `resume`. */
  pause(process: Process): void {
    process.paused = true;
  }

  resume(process: Process): void {
    process.paused = false;
  }

  /** A client asks the witness; the answer comes in virtual time. */
  request(process: Process, request: AdminRequest, onAnswer: (response: AdminResponse) => void): void {
    const id = `client-${++this.requests}`;
    this.answers.set(id, onAnswer);
    this.input(process, process.life, { kind: "request", id, request });
  }

  private tick(process: Process, life: number): void {
    if (process.life !== life) return;
    const monoMs = Math.floor(this.agenda.nowMs * process.clockRate);
    if (!process.paused)
      this.input(process, life, { kind: "tick", monoMs, wallMs: 1e12 + this.agenda.nowMs });
    const { tickMs } = this.options.config.timings;
    this.agenda.in(tickMs + nextBelow(this.random, 5), () => this.tick(process, life));
  }

  private input(process: Process, life: number, input: Input): void {
    const { witness } = process;
    if (process.life !== life || witness === null) return;
    if (process.paused) {
      this.agenda.in(10, () => this.input(process, life, input));
      return;
    }
    for (const effect of witness.step(input)) this.perform(process, life, effect);
    this.onStep(process);
  }

  private perform(process: Process, life: number, effect: Effect): void {
    if (effect.kind !== "probe")
      this.trace.push(`${this.agenda.nowMs} ${process.id} ${JSON.stringify(effect)}`);
    switch (effect.kind) {
      case "persist":
        return this.persist(process, life, effect);
      case "send":
        return this.send(process.id, effect.to, effect.message);
      case "probe": {
        const site = `site ${effect.target.split("/")[1]}`;
        const rttMs = this.delay() + this.delay();
        const lost = this.isLost(process.id, site) || this.isLost(site, process.id);
        const result = lost
          ? ({ kind: "ambiguous", text: "no answer" } as const)
          : this.outside.probe(effect.target, rttMs);
        const tookMs = result.kind === "ambiguous" ? effect.timeoutMs : Math.min(rttMs, effect.timeoutMs);
        return this.agenda.in(tookMs, () => {
          this.input(process, life, { kind: "probed", target: effect.target, probe: effect.probe, result });
        });
      }
      case "actuate":
        // The order travels, is carried out, and its answer travels back: a crash in between loses the answer only.
        return this.agenda.in(this.delay(), () => {
          const outcome = this.outside.actuate(effect.key, effect.plan);
          this.agenda.in(this.delay(), () =>
            this.input(process, life, { kind: "actuated", key: effect.key, outcome }),
          );
        });
      case "reply": {
        const answer = this.answers.get(effect.id);
        this.answers.delete(effect.id);
        return answer?.(effect.response);
      }
      case "halt":
        return this.crash(process);
      case "cancel":
      case "publish":
        return;
    }
  }

  private persist(process: Process, life: number, effect: Extract<Effect, { kind: "persist" }>): void {
    const [least, most] = DISK_MS;
    const begunAtMs = Math.max(this.agenda.nowMs, process.diskFreeAtMs);
    process.diskFreeAtMs = begunAtMs + least + nextBelow(this.random, most - least + 1);
    this.agenda.in(process.diskFreeAtMs - this.agenda.nowMs, () => this.persisted(process, life, effect));
  }

  private persisted(process: Process, life: number, effect: Extract<Effect, { kind: "persist" }>): void {
    if (process.life !== life) return;
    const { disk } = process;
    if (effect.hardState !== null) disk.hardState = effect.hardState;
    const first = effect.entries[0];
    if (first !== undefined) disk.entries = [...disk.entries.slice(0, first.index - 1), ...effect.entries];
    for (const { to, message } of effect.release) this.send(process.id, to, message);
    this.input(process, life, { kind: "persisted", write: effect.write });
  }

  private send(from: WitnessId, to: WitnessId, message: Extract<Effect, { kind: "send" }>["message"]): void {
    const copies = nextFraction(this.random) < 0.01 ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.isLost(from, to)) continue;
      this.agenda.in(this.delay(), () => {
        const target = this.process(to);
        this.input(target, target.life, { kind: "message", from, message });
      });
    }
  }

  private isLost(from: string, to: string): boolean {
    return nextFraction(this.random) < this.loss || this.cuts.has(`${from}>${to}`);
  }

  private delay(): number {
    const [least, most] = this.options.delayMs;
    return least + nextBelow(this.random, most - least + 1);
  }
}
