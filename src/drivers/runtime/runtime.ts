/**
 * The one loop between the core and the world: it hands inputs to the witness one at a time and performs the effects in
 * order. There is no policy in it, and it is the only part that the simulator does not run, so it is kept this short.
 *
 * Invariants: the witness is never entered twice at once (what arrives meanwhile waits); a message in a
 * write's `release` leaves after that write is durable and never before; a failed write ends the process, and
 * nothing is sent after it.
 */

import type { LogIndex } from "../../core/base/ids.js";
import {
  type AdminRequest,
  type AdminResponse,
  type ExerciseRequest,
  isWrite,
} from "../../core/model/admin.js";
import type { ProbeResult } from "../../core/model/observation.js";
import type { AuditRecord, State, StepOutcome } from "../../core/model/state.js";
import type { Effect, Input, PublishedEvent } from "../../core/witness/contract.js";
import type { Witness } from "../../core/witness/witness.js";

/** What the effects need of the world. */
export interface World {
  persist(effect: Extract<Effect, { kind: "persist" }>): Promise<void>;
  /** In order with `persist`: what is handed in later waits for it. */
  adopt(effect: Extract<Effect, { kind: "adopt" }>): Promise<void>;
  /** Resolves with the index up to which the log is gone. */
  compact(effect: Extract<Effect, { kind: "compact" }>): Promise<LogIndex>;
  peers(effect: Extract<Effect, { kind: "peers" }>): void;
  send(effect: Extract<Effect, { kind: "send" }>): void;
  probe(effect: Extract<Effect, { kind: "probe" }>): Promise<ProbeResult>;
  actuate(effect: Extract<Effect, { kind: "actuate" }>): Promise<StepOutcome>;
  cancel(effect: Extract<Effect, { kind: "cancel" }>): void;
  /** Ends the process in good order; called once. `thrown` is what broke, if something did. */
  halt(code: number, reason: string, thrown: unknown): void;
}

/** A listener for what the witness publishes. */
export type Listener = (event: PublishedEvent) => void;

/** Inputs that are handed over together at most, so that a flood of them does not hold up the effects of the first. */
const BATCH_MAX = 512;

/** Exit codes (sysexits.h), documented in docs/errors.md. */
export const EXIT_SOFTWARE = 70;
export const EXIT_STORAGE = 74;

const STOPPING: AdminResponse = {
  kind: "refused",
  code: "stopping",
  message: "this witness is stopping; ask another one",
  leader: null,
};
const STOPPED_IN_WRITE: AdminResponse = {
  kind: "refused",
  code: "unknown_outcome",
  message:
    "this witness stopped before it answered; the request may have been decided: look at status and history",
  leader: null,
};

/** Who waits for an answer. */
interface Client {
  /** A write: it may have been decided although nobody heard so. */
  readonly mayBeDecided: boolean;
  readonly resolve: (response: AdminResponse) => void;
}

export class Runtime {
  private readonly witness: Witness;
  private readonly world: World;
  private readonly waiting: Input[] = [];
  private readonly clients = new Map<string, Client>();
  private readonly listeners = new Set<Listener>();
  private readonly requestPrefix: string;
  private requestCount = 0;
  private clock: { readonly tickMs: number; readonly monoMs: () => number; tickedAtMonoMs: number } | null =
    null;
  private running = false;
  /** What waits will be taken at the end of this turn. */
  private soon = false;
  private halted = false;

  /** `requestPrefix` makes request ids unique across witnesses and lives. */
  constructor(witness: Witness, world: World, requestPrefix: string) {
    this.witness = witness;
    this.world = world;
    this.requestPrefix = requestPrefix;
  }

  /**
   * Begins to tick, after `restored` was posted; the returned function ends it. `monoMs`: this process's
   * monotonic clock.
   */
  startClock(tickMs: number, monoMs: () => number): () => void {
    this.clock = { tickMs, monoMs, tickedAtMonoMs: Number.NEGATIVE_INFINITY };
    const tick = (): void => this.post(this.tick(monoMs()));
    tick();
    const timer = setInterval(tick, tickMs);
    return () => {
      clearInterval(timer);
      this.clock = null;
    };
  }

  /** Hands in an input; it is taken at once unless the witness is busy with another one. */
  post(input: Input): void {
    this.waiting.push(input);
    this.run();
  }

  /**
   * Hands in an input of a kind that comes often: it is taken when this turn of the event loop has read all
   * its sockets, together with whatever else came in it, or before the next input that is posted.
   */
  postSoon(input: Input): void {
    this.waiting.push(input);
    if (this.soon) return;
    this.soon = true;
    setImmediate(() => {
      this.soon = false;
      this.run();
    });
  }

  private run(): void {
    if (this.running) return;
    this.running = true;
    try {
      while (this.waiting.length > 0 && !this.halted) {
        const late = this.waiting[0]?.kind === "tick" ? null : this.lateTick();
        const inputs = this.waiting.splice(0, BATCH_MAX);
        if (late !== null) inputs.unshift(late);
        for (const effect of this.witness.step(...inputs)) this.perform(effect);
      }
    } catch (thrown) {
      this.halt(
        EXIT_SOFTWARE,
        "a bug was found and this witness stopped, so that the others can go on",
        thrown,
      );
    } finally {
      this.running = false;
    }
  }

  /** Asks the witness; resolves with its answer. An aborted signal means that nobody wants the answer any more. */
  request(request: AdminRequest | ExerciseRequest, signal: AbortSignal): Promise<AdminResponse> {
    // The listeners close a moment after the witness; what comes in between was never handed to it.
    if (this.halted) return Promise.resolve(STOPPING);
    const id = `${this.requestPrefix}-${++this.requestCount}`;
    return new Promise((resolve) => {
      const onAbort = (): void => {
        if (this.clients.delete(id)) this.post({ kind: "abandoned", id });
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.clients.set(id, {
        mayBeDecided: isWrite(request),
        resolve: (response) => {
          signal.removeEventListener("abort", onAbort);
          resolve(response);
        },
      });
      if (request.kind === "exercise") this.postSoon({ kind: "request", id, request });
      else this.post({ kind: "request", id, request });
    });
  }

  /** The audit records that the state keeps, oldest first. */
  history(): readonly AuditRecord[] {
    return this.witness.state.history;
  }

  /** The replicated state as it is applied here. */
  state(): State {
    return this.witness.state;
  }

  /** Calls `listener` with every published event until the returned function is called. */
  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  private tick(monoMs: number): Input {
    if (this.clock !== null) this.clock.tickedAtMonoMs = monoMs;
    return { kind: "tick", monoMs, wallMs: Date.now() };
  }

  /**
   * After a stop of this process sockets may be read before the timer fires; the witness has to know the time
   * first.
   */
  private lateTick(): Input | null {
    if (this.clock === null) return null;
    const { tickMs, tickedAtMonoMs } = this.clock;
    const monoMs = this.clock.monoMs();
    return monoMs - tickedAtMonoMs >= tickMs ? this.tick(monoMs) : null;
  }

  private perform(effect: Effect): void {
    switch (effect.kind) {
      case "persist":
        void this.persist(effect);
        return;
      case "adopt":
        void this.world.adopt(effect).catch((thrown: unknown) => this.diskFailed(thrown));
        return;
      case "compact":
        void this.world.compact(effect).then(
          (base) => this.post({ kind: "compacted", base }),
          (thrown: unknown) => this.diskFailed(thrown),
        );
        return;
      case "peers":
        return this.world.peers(effect);
      case "send":
        return this.world.send(effect);
      case "probe":
        void this.world.probe(effect).then((result) => {
          this.post({ kind: "probed", target: effect.target, probe: effect.probe, result });
        });
        return;
      case "actuate":
        void this.world
          .actuate(effect)
          .then((outcome) => this.post({ kind: "actuated", key: effect.key, outcome }));
        return;
      case "cancel":
        return this.world.cancel(effect);
      case "reply": {
        const client = this.clients.get(effect.id);
        this.clients.delete(effect.id);
        return client?.resolve(effect.response);
      }
      case "publish":
        for (const listener of this.listeners) listener(effect.event);
        return;
      case "halt":
        return this.halt(effect.code, effect.reason, null);
    }
  }

  private async persist(effect: Extract<Effect, { kind: "persist" }>): Promise<void> {
    try {
      await this.world.persist(effect);
    } catch (thrown) {
      return this.diskFailed(thrown);
    }
    if (this.halted) return;
    for (const { to, message } of effect.release)
      this.world.send({ kind: "send", to, message, urgent: true });
    this.postSoon({ kind: "persisted", write: effect.write });
  }

  private diskFailed(thrown: unknown): void {
    this.halt(EXIT_STORAGE, "the disk failed; nothing was acknowledged after that", thrown);
  }

  private halt(code: number, reason: string, thrown: unknown): void {
    if (this.halted) return;
    this.halted = true;
    for (const [id, { mayBeDecided, resolve }] of this.clients) {
      this.clients.delete(id);
      resolve(mayBeDecided ? STOPPED_IN_WRITE : STOPPING);
    }
    this.world.halt(code, reason, thrown);
  }
}
