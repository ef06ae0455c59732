/**
 * A cluster of real witnesses in a world of virtual time: network, disks, clocks and the outside come from
 * one seed, so that every run can be repeated to the byte. The witnesses are the production core, unchanged.
 *
 * The disk keeps what was written durably; of what is in flight a crash keeps a random number of whole
 * writes, in order, although nobody was told that they are durable. A stalled disk answers nothing until
 * it goes on, and its process lives. Messages are lost, delayed (a few for
 * long, into the next life of their receiver), doubled and overtaken; cuts are directed. Probes and orders to
 * the outside cross the same kind of network. Each life has its own monotonic clock, which begins anywhere
 * and runs at its process's own rate.
 */
import { type LogIndex, logIndex, NO_NODE, type Term, term, type WitnessId } from "../src/core/base/ids.js";
import { nextBelow, nextFraction, type RandomState, randomState } from "../src/core/base/random.js";
import type { AdminRequest, AdminResponse } from "../src/core/model/admin.js";
import type { ClusterConfig } from "../src/core/model/config.js";
import type { Entry, HardState } from "../src/core/raft/types.js";
import type { Adopted, Effect, Input, StateSnapshot } from "../src/core/witness/contract.js";
import { Witness, type WitnessOptions } from "../src/core/witness/witness.js";
import { Agenda } from "./events.js";
import { Outside } from "./outside.js";

interface Disk {
  id: string;
  hardState: HardState;
  /** Place of the last entry that the log no longer holds. */
  base: { readonly index: LogIndex; readonly term: Term };
  entries: Entry[];
  snapshot: StateSnapshot | null;
  adopted: Adopted | null;
}

/** A disk that holds nothing. */
function blankDisk(id: string): Disk {
  return {
    id,
    hardState: { term: term(0), vote: NO_NODE, commit: logIndex(0) },
    base: { index: logIndex(0), term: term(0) },
    entries: [],
    snapshot: null,
    adopted: null,
  };
}

/** One witness process with its disk. `life` grows with each start; effects of former lives come to nothing. */
export interface Process {
  readonly id: WitnessId;
  disk: Disk;
  witness: Witness | null;
  life: number;
  paused: boolean;
  /** Writes in flight, oldest first. */
  readonly queue: Extract<Effect, { kind: "persist" }>[];
  /** One write at a time, in order: the next one begins when the last one is done. */
  diskFreeAtMs: number;
  /** What a stalled disk has not answered, in order; null: it is not stalled. */
  stuck: (() => void)[] | null;
  /** Rate of its clock: 1.01 runs 1 % fast. */
  readonly clockRate: number;
  /** When this life's clock read 0, in virtual time; before the world began for most. */
  clockZeroMs: number;
  /** Inputs that came while it was paused. */
  readonly held: Input[];
  tickedAtMs: number;
}

export interface WorldOptions {
  readonly seed: number;
  readonly config: ClusterConfig;
  /** Share of messages and probes lost, 0 to 1. */
  readonly loss: number;
  readonly delayMs: readonly [number, number];
  /** How long a write takes; default 0 to 5 ms. */
  readonly diskMs?: readonly [number, number];
  /** When a witness cuts its log; absent: as in production. */
  readonly limits?: WitnessOptions["limits"];
}

const DISK_MS = [0, 5] as const;
/** One message in so many is late by up to `STRAY_MS`. */
const STRAY_ONE_IN = 200;
const STRAY_MS = 2000;
/** A process may be up for so long before the world looks at it. */
const UPTIME_MS_MAX = 1_000_000;

export class World {
  readonly agenda = new Agenda();
  readonly outside = new Outside();
  readonly processes: Process[];
  /** Text of everything that happened, for comparing two runs; one line an effect or fault. */
  readonly trace: string[] = [];
  loss: number;
  /** How long a write takes, from and to. */
  diskMs: readonly [number, number];
  private readonly options: WorldOptions;
  private readonly random: RandomState;
  private readonly cuts = new Set<string>();
  private readonly answers = new Map<string, (response: AdminResponse) => void>();
  private requests = 0;
  /** Called after every step of a witness. */
  onStep: (process: Process) => void = () => undefined;
  /** Called with every effect before it is performed. */
  onEffect: (process: Process, effect: Effect) => void = () => undefined;

  constructor(options: WorldOptions) {
    this.options = options;
    this.loss = options.loss;
    this.diskMs = options.diskMs ?? DISK_MS;
    this.random = randomState(options.seed, "world");
    this.processes = options.config.witnesses.map(({ id }) => this.made(id));
    for (const process of this.processes) this.start(process);
  }

  private made(id: WitnessId): Process {
    return {
      id,
      disk: blankDisk(`disk-${id}`),
      witness: null,
      life: 0,
      paused: false,
      queue: [],
      diskFreeAtMs: 0,
      stuck: null,
      clockRate: 1 + (nextFraction(this.random) - 0.5) * 0.02,
      clockZeroMs: 0,
      held: [],
      tickedAtMs: 0,
    };
  }

  /** Another witness, with an empty disk and a document of its own that names it. */
  join(id: WitnessId, config: ClusterConfig): Process {
    const process = this.made(id);
    this.processes.push(process);
    this.start(process, config);
    return process;
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

  /** Starts a witness on its disk, with the world's document or its own. On a stalled disk none comes up. */
  start(process: Process, ownConfig?: ClusterConfig): void {
    if (process.witness !== null || process.stuck !== null) return;
    const { seed } = this.options;
    const config = ownConfig ?? this.options.config;
    process.life++;
    process.paused = false;
    process.diskFreeAtMs = this.agenda.nowMs;
    process.clockZeroMs = this.agenda.nowMs - nextBelow(this.random, UPTIME_MS_MAX);
    process.tickedAtMs = this.agenda.nowMs;
    process.witness = new Witness({
      self: process.id,
      config,
      configHash: "hash",
      seed: seed + process.life * 7919,
      life: process.life,
      ...(this.options.limits === undefined ? {} : { limits: this.options.limits }),
    });
    this.trace.push(`${this.agenda.nowMs} start ${process.id}`);
    this.input(process, process.life, {
      kind: "restored",
      monoMs: this.monoMs(process),
      hardState: process.disk.hardState,
      base: process.disk.base,
      entries: [...process.disk.entries],
      snapshot: process.disk.snapshot,
      adopted: process.disk.adopted,
      disk: process.disk.id,
      recovering: null,
    });
    this.tick(process, process.life);
  }

  /** The process is gone at once; of its writes in flight some may be durable. */
  crash(process: Process): void {
    if (process.witness === null) return;
    const durable = nextBelow(this.random, process.queue.length + 1);
    for (const effect of process.queue.slice(0, durable)) write(process.disk, effect);
    process.queue.length = 0;
    process.held.length = 0;
    if (process.stuck !== null) process.stuck = [];
    process.witness = null;
    process.life++;
    this.trace.push(`${this.agenda.nowMs} crash ${process.id}`);
  }

  /** The data directory of a witness that is down is lost: it will start on another disk. */
  wipe(process: Process): void {
    process.disk = blankDisk(`${process.disk.id}+`);
    this.trace.push(`${this.agenda.nowMs} wipe ${process.id}`);
  }

  /** From now on the disk answers nothing; its process goes on, and a crash leaves the disk as stalled as it was. */
  stallDisk(process: Process): void {
    process.stuck ??= [];
    this.trace.push(`${this.agenda.nowMs} stall ${process.id}`);
  }

  /** The disk goes on: what was due meanwhile is done at once, in order. */
  unstallDisk(process: Process): void {
    const stuck = process.stuck ?? [];
    process.stuck = null;
    this.trace.push(`${this.agenda.nowMs} unstall ${process.id}`);
    for (const work of stuck) work();
  }

  /** SIGSTOP: ticks, messages and completions wait until `resume`. */
  pause(process: Process): void {
    process.paused = true;
  }

  /** SIGCONT: what came meanwhile is read in the order in which it came, before the next tick is due. */
  resume(process: Process): void {
    if (!process.paused) return;
    process.paused = false;
    const { life } = process;
    for (const input of process.held.splice(0)) this.input(process, life, input);
  }

  /** SIGTERM: the witness hands over first, if it leads. */
  stop(process: Process): void {
    this.input(process, process.life, { kind: "stop" });
  }

  /** A client asks the witness; the answer comes in virtual time. */
  request(process: Process, request: AdminRequest, onAnswer: (response: AdminResponse) => void): string {
    const id = `client-${++this.requests}`;
    this.answers.set(id, onAnswer);
    this.input(process, process.life, { kind: "request", id, request });
    return id;
  }

  /** The client of that request hangs up; what it asked for may be on its way all the same. */
  abandon(process: Process, id: string): void {
    this.answers.delete(id);
    this.input(process, process.life, { kind: "abandoned", id });
  }

  /** The process's own monotonic clock. */
  monoMs(process: Process): number {
    return Math.floor((this.agenda.nowMs - process.clockZeroMs) * process.clockRate);
  }

  private tick(process: Process, life: number): void {
    if (process.life !== life) return;
    if (!process.paused) this.beat(process);
    const { tickMs } = this.options.config.timings;
    this.agenda.in(tickMs + nextBelow(this.random, 5), () => this.tick(process, life));
  }

  /** A tick now. */
  private beat(process: Process): void {
    process.tickedAtMs = this.agenda.nowMs;
    const wallMs = 1e12 + this.agenda.nowMs;
    this.input(process, process.life, { kind: "tick", monoMs: this.monoMs(process), wallMs });
  }

  private input(process: Process, life: number, input: Input): void {
    const { witness } = process;
    if (process.life !== life || witness === null) return;
    if (process.paused) {
      process.held.push(input);
      return;
    }
    const isLate = this.agenda.nowMs - process.tickedAtMs >= this.options.config.timings.tickMs;
    if (isLate && input.kind !== "tick" && input.kind !== "restored") this.beat(process);
    for (const effect of witness.step(input)) {
      this.onEffect(process, effect);
      this.perform(process, life, effect);
    }
    this.onStep(process);
  }

  private perform(process: Process, life: number, effect: Effect): void {
    if (effect.kind !== "probe")
      this.trace.push(`${this.agenda.nowMs} ${process.id} ${JSON.stringify(effect)}`);
    switch (effect.kind) {
      case "persist":
        return this.persist(process, life, effect);
      case "adopt":
        // At once: what is written later counts on it, and a crash in between is one before.
        return this.atDisk(process, () => {
          process.disk.adopted = effect.adopted;
        });
      case "compact":
        return this.agenda.in(this.delay(), () => {
          this.atDisk(process, () => this.compacted(process, life, effect));
        });
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
      case "peers":
      case "publish":
        return;
    }
  }

  private persist(process: Process, life: number, effect: Extract<Effect, { kind: "persist" }>): void {
    const [least, most] = this.diskMs;
    const begunAtMs = Math.max(this.agenda.nowMs, process.diskFreeAtMs);
    process.diskFreeAtMs = begunAtMs + least + nextBelow(this.random, most - least + 1);
    process.queue.push(effect);
    this.agenda.in(process.diskFreeAtMs - this.agenda.nowMs, () => {
      this.atDisk(process, () => this.persisted(process, life, effect));
    });
  }

  /** Does what the disk has to do now, or when it goes on. */
  private atDisk(process: Process, work: () => void): void {
    if (process.stuck === null) work();
    else process.stuck.push(work);
  }

  private compacted(process: Process, life: number, effect: Extract<Effect, { kind: "compact" }>): void {
    if (process.life !== life) return;
    cut(process.disk, effect);
    this.input(process, life, { kind: "compacted", base: process.disk.base.index });
  }

  private persisted(process: Process, life: number, effect: Extract<Effect, { kind: "persist" }>): void {
    if (process.life !== life) return;
    process.queue.shift();
    write(process.disk, effect);
    for (const { to, message } of effect.release) this.send(process.id, to, message);
    this.input(process, life, { kind: "persisted", write: effect.write });
  }

  private send(from: WitnessId, to: WitnessId, message: Extract<Effect, { kind: "send" }>["message"]): void {
    const copies = nextFraction(this.random) < 0.01 ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.isLost(from, to)) continue;
      const strayMs = nextBelow(this.random, STRAY_ONE_IN) === 0 ? nextBelow(this.random, STRAY_MS) : 0;
      const { disk, life } = this.process(from);
      const told = disk.id;
      const snapshot = message.kind === "raft" ? message.message.snapshot : null;
      this.agenda.in(this.delay() + strayMs, () => {
        const target = this.processes.find(({ id }) => id === to);
        if (target === undefined) return;
        this.input(target, target.life, { kind: "message", from, disk: told, message });
        if (snapshot === null) return;
        const sender = this.process(from);
        this.input(sender, life, { kind: "snapshot_sent", to, index: snapshot.index, ok: true });
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

/** Makes one write durable, as a whole. */
function write(disk: Disk, effect: Extract<Effect, { kind: "persist" }>): void {
  if (effect.hardState !== null) disk.hardState = effect.hardState;
  if (effect.snapshot !== null) {
    disk.snapshot = effect.snapshot;
    disk.base = { index: effect.snapshot.index, term: effect.snapshot.term };
    disk.entries = [];
  }
  const first = effect.entries[0];
  if (first !== undefined) {
    disk.entries = [...disk.entries.slice(0, first.index - disk.base.index - 1), ...effect.entries];
  }
}

/** The snapshot becomes durable, and the log before `keepFrom` goes, unless a received one has overtaken it. */
function cut(disk: Disk, { snapshot, keepFrom }: Extract<Effect, { kind: "compact" }>): void {
  if (snapshot.index <= disk.base.index) return;
  disk.snapshot = snapshot;
  const count = keepFrom - 1 - disk.base.index;
  const last = disk.entries[count - 1];
  if (last === undefined) return;
  disk.base = { index: last.index, term: last.term };
  disk.entries = disk.entries.slice(count);
}
