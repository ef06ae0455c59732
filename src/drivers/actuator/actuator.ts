/**
 * The door of the actuator: carries out one step of a plan and says how it ended. done, failed, or unknown.
 *
 * `run` never rejects and always ends, a second after its deadline at the latest. Of one (group, epoch, step)
 * one running is alive: a new attempt first ends the old one. What a step does is in the file named after it;
 * what they have in common is here: the deadline, the cancel, the look ahead before something is touched, and
 * the log.
 */
import { setMaxListeners } from "node:events";
import type { ClusterConfig, GroupConfig } from "../../core/model/config.js";
import type { Plan, StepKey, StepName, StepOutcome } from "../../core/model/state.js";
import { resolveSecret } from "../config/secret.js";
import { stepBindings } from "../log/log.js";
import { announceStep } from "./announce-step.js";
import { routeDns } from "./dns-route.js";
import { verifyDns } from "./dns-verify.js";
import { runHook } from "./hook-step.js";
import { done, failed, unknown } from "./outcome.js";
import { precheck } from "./precheck.js";
import { type RouteDns, routeStep, type Secrets } from "./route-step.js";
import type { StepContext } from "./step-context.js";
import { type VerifyDns, verifyStep } from "./verify-step.js";

/** A step to carry out, as the core's effect has it. */
export interface StepOrder {
  readonly key: StepKey;
  readonly plan: Plan;
  readonly group: GroupConfig;
  /** The longest that it may take, retries inside included. */
  readonly deadlineMs: number;
}

export interface Actuator {
  /** Carries the step out. Never rejects. The same key again, while it runs, gives the same promise. */
  run(order: StepOrder): Promise<StepOutcome>;
  /** Stops what runs for that key, as far as it can be stopped; its outcome is `unknown`. */
  cancel(key: StepKey): void;
  /** Stops everything and waits for the end of it. */
  close(): Promise<void>;
}

/** The part of a log that is used here. */
export interface ActuatorLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface ActuatorOptions {
  /** Name of this witness. */
  readonly witness: string;
  /** The configuration in force now; null before there is one. */
  readonly config: () => ClusterConfig | null;
  readonly log: ActuatorLog;
  /** Where secrets come from. Default: files and environment, as the document says. */
  readonly secrets?: Secrets;
  /** How DNS is changed and checked. Default: `routeDns` and `verifyDns`. */
  readonly dns?: { readonly route: RouteDns; readonly verify: VerifyDns };
}

/** How long a step that was stopped may take to end before it is left behind. Unit: ms. */
const STOP_PATIENCE_MS = 1000;

interface Running {
  readonly attempt: number;
  readonly controller: AbortController;
  readonly outcome: Promise<StepOutcome>;
}

/** An actuator. */
export function createActuator(options: ActuatorOptions): Actuator {
  const { log } = options;
  const runnings = new Map<string, Running>();
  const secrets = options.secrets ?? fileSecrets(log);
  const dns = options.dns ?? { route: routeDns, verify: verifyDns };
  let isClosed = false;

  const perform = async (order: StepOrder, controller: AbortController): Promise<StepOutcome> => {
    const config = options.config();
    if (config === null) return failed("not_ready", "this witness has no configuration yet", true);
    const context: StepContext = { ...order, config, witness: options.witness, signal: controller.signal };
    try {
      return await carryOut(context, secrets, dns);
    } catch (error) {
      // A bug; whether the step happened nobody knows.
      log.warn({ ...stepBindings(order.key), err: error }, "a step broke off");
      return unknown(
        "internal",
        `the step broke off: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  };

  const start = async (order: StepOrder, controller: AbortController, before: Running | undefined) => {
    if (before !== undefined) {
      before.controller.abort("superseded");
      await before.outcome;
    }
    if (controller.signal.aborted) return unknown("cancelled", "the step was cancelled before it ran");
    const startedAt = performance.now();
    log.info({ ...stepBindings(order.key), to: order.plan.to, deadlineMs: order.deadlineMs }, "step runs");
    const outcome = await withinDeadline(order, controller, perform(order, controller));
    const { kind, code, message } = outcome;
    const fields = {
      ...stepBindings(order.key),
      outcome: kind,
      code,
      tookMs: Math.round(performance.now() - startedAt),
    };
    if (kind === "done") log.info(fields, message);
    else log.warn(fields, message);
    return outcome;
  };

  return {
    run(order) {
      if (isClosed) return Promise.resolve(failed("stopping", "this witness is stopping", true));
      const name = nameOf(order.key);
      const before = runnings.get(name);
      if (before !== undefined && before.attempt === order.key.attempt) return before.outcome;
      const controller = new AbortController();
      // Every name at every server listens for the end of the step: no leak, whatever Node suspects on stderr.
      setMaxListeners(0, controller.signal);
      const outcome = start(order, controller, before);
      const running: Running = { attempt: order.key.attempt, controller, outcome };
      runnings.set(name, running);
      void outcome.then(() => {
        if (runnings.get(name) === running) runnings.delete(name);
      });
      return outcome;
    },
    cancel(key) {
      const running = runnings.get(nameOf(key));
      if (running?.attempt === key.attempt) running.controller.abort("cancelled");
    },
    async close() {
      isClosed = true;
      const all = [...runnings.values()];
      for (const running of all) running.controller.abort("closed");
      await Promise.all(all.map((running) => running.outcome));
    },
  };
}

/** The steps. What touches the world for the first time is preceded by a look at what is still to come. */
async function carryOut(
  context: StepContext,
  secrets: Secrets,
  dns: { readonly route: RouteDns; readonly verify: VerifyDns },
): Promise<StepOutcome> {
  const { group, key } = context;
  if (LOOKS_AHEAD.includes(key.step)) {
    const outcome = await precheck(context, secrets);
    if (outcome.kind !== "done" || key.step === "precheck") return outcome;
  }
  switch (key.step) {
    case "precheck":
      return done("nothing to check");
    case "fence":
      return group.fence.kind === "exec" ? runHook(group.fence.hook, context) : nothingToDo(key.step);
    case "drain":
      return group.drain === null ? nothingToDo(key.step) : runHook(group.drain, context);
    case "promote":
      return group.promote === null ? nothingToDo(key.step) : runHook(group.promote, context);
    case "route":
      return routeStep(context, dns.route, secrets);
    case "verify":
      return verifyStep(context, dns.verify);
    case "announce":
      return announceStep(context);
  }
}

const LOOKS_AHEAD: readonly StepName[] = ["precheck", "drain", "fence", "promote", "route"];

function nothingToDo(step: StepName): StepOutcome {
  return done(`the group has no ${step} hook: there is nothing to do`);
}

/** Aborts the step at its deadline, and gives it up if it does not end then. */
async function withinDeadline(
  { key, deadlineMs }: StepOrder,
  controller: AbortController,
  work: Promise<StepOutcome>,
): Promise<StepOutcome> {
  const timers: NodeJS.Timeout[] = [];
  const givenUp = new Promise<StepOutcome>((resolve) => {
    controller.signal.addEventListener("abort", () => {
      timers.push(
        setTimeout(() => {
          const message = `${key.step} was stopped (${String(controller.signal.reason)}) and did not end; it may have happened`;
          resolve(unknown("abandoned", message));
        }, STOP_PATIENCE_MS),
      );
    });
  });
  timers.push(setTimeout(() => controller.abort("deadline"), deadlineMs));
  try {
    const outcome = await Promise.race([work, givenUp]);
    // A part that says that it did nothing, or did it all, is believed; what was interrupted may have happened.
    if (!controller.signal.aborted || outcome.kind !== "unknown") return outcome;
    return { ...outcome, code: controller.signal.reason === "deadline" ? "deadline" : outcome.code };
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
}

function nameOf(key: StepKey): string {
  return `${key.group}:${key.epoch}:${key.step}`;
}

/** Secrets from where the document says; a file that is open to everybody is told of once. */
function fileSecrets(log: ActuatorLog): Secrets {
  const told = new Set<string>();
  return async (ref) => {
    const { bytes, warning } = await resolveSecret(ref);
    if (warning !== null && !told.has(warning)) {
      told.add(warning);
      log.warn({ code: "secret_file_open" }, warning);
    }
    return bytes;
  };
}
