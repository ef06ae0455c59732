/**
 * `pointsman switchover GROUP --to SITE [--wait]`: move a group in order, and with `--wait` tell each step
 * until the plan ends.
 *
 * Waiting reads the status again and again rather than a stream: each answer is complete, so it goes on
 * through the loss of the leader or of the witness that is asked. A plan that was replaced by a later one
 * between two looks is judged by its own closing record in the history.
 */
import { Argument, type Command, Option } from "commander";
import { type Epoch, siteId } from "../core/base/ids.js";
import type { AuditKind, Plan } from "../core/model/state.js";
import type { AcceptedResponse } from "../drivers/server/admin-wire.js";
import { askWrite, printAccepted } from "./accepted.js";
import { ask } from "./ask.js";
import {
  parseDuration,
  parseName,
  parseText,
  type WriteOptions,
  withBy,
  withWriteOptions,
} from "./client-options.js";
import { CliError, EXIT } from "./exit-codes.js";
import { renderStep, stepTrouble } from "./render-plan.js";
import { span } from "./render-words.js";
import { type Cli, printable } from "./terminal.js";

interface SwitchoverOptions extends WriteOptions {
  readonly to: string;
  readonly by: string;
  readonly reason?: string;
  readonly wait: boolean;
  readonly waitTimeout: number;
}

const LOOK_EVERY_MS = 300;
/** Records that close a plan. */
const CLOSING: ReadonlySet<AuditKind> = new Set<AuditKind>(["plan_done", "plan_failed", "plan_rolled_back"]);

/** Adds the verb. */
export function registerSwitchover(program: Command, cli: Cli, user: string): void {
  withBy(withWriteOptions(program.command("switchover")), user)
    .description("move a group to another site in order; rolls back when a step fails")
    .addArgument(new Argument("<group>", "name of the group").argParser(parseName))
    .addOption(
      new Option("--to <site>", "site that shall be primary").argParser(parseName).makeOptionMandatory(),
    )
    .addOption(new Option("--reason <why>", "why, for the audit record").argParser(parseText))
    .option("--wait", "wait until the plan ends, tell each step, and exit by its result", false)
    .addOption(
      new Option("--wait-timeout <duration>", "with --wait: stop waiting after so long; the plan goes on")
        .argParser(parseDuration)
        .default(300_000, "5m"),
    )
    .action(async (group: string, options: SwitchoverOptions) => {
      const accepted = await askWrite(
        {
          kind: "switchover",
          group,
          to: siteId(options.to),
          by: options.by,
          reason: options.reason ?? "",
        },
        options,
        cli,
      );
      if (!options.wait) {
        printAccepted(accepted, options, cli);
        cli.note(`it goes on by itself; see pointsman status, or pointsman watch ${group}`);
        return;
      }
      if (!options.json) printAccepted(accepted, options, cli);
      await waitForPlan(group, accepted, options, cli);
    });
}

/** What is known of the plan at one look. */
type Look =
  | { readonly kind: "waiting"; readonly plan: Plan | null; readonly nowMs: number }
  | { readonly kind: "ended"; readonly plan: Plan; readonly nowMs: number }
  /** A later plan stands in its place; `closing` are the records that say how ours ended. */
  | { readonly kind: "replaced"; readonly reached: boolean; readonly closing: readonly string[] };

async function waitForPlan(
  group: string,
  accepted: AcceptedResponse,
  options: SwitchoverOptions,
  cli: Cli,
): Promise<void> {
  const { epoch } = accepted;
  if (epoch === null)
    throw new CliError(EXIT.internal, "internal", "the switchover was accepted without an epoch");
  const endAt = Date.now() + options.waitTimeout;
  const told = new Map<string, string>();
  let silent: string | null = null;
  while (Date.now() < endAt) {
    const look = await lookAtPlan(group, epoch, accepted.index, options).catch((error: unknown) => {
      if (!(error instanceof CliError) || error.exit !== EXIT.unreachable) throw error;
      // The plan goes on without us; say once that nothing is seen of it.
      if (silent === null) cli.note(`${error.message}; the plan goes on, looking again`);
      silent = error.message;
      return null;
    });
    if (look !== null) {
      silent = null;
      if (look.kind === "replaced") {
        finish(
          look.reached,
          look.closing.join("; ") || "a later plan took its place",
          null,
          options,
          cli,
          accepted,
        );
        return;
      }
      if (look.plan !== null && !options.json) tellSteps(look.plan, look.nowMs, told, cli);
      if (look.kind === "ended") {
        const { plan } = look;
        const took = plan.endedAtMs === null ? "" : ` in ${span(plan.endedAtMs - plan.startedAtMs)}`;
        // How long it took stands behind a success; behind the reason of a failure it would read as part of it.
        const ended =
          plan.status === "done"
            ? `all steps are done${took}`
            : (plan.endReason ?? `the plan ${plan.status}`);
        finish(plan.status === "done", ended, plan, options, cli, accepted);
        return;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  throw new CliError(
    EXIT.unknown,
    "still_running",
    `the plan of epoch ${epoch} had not ended after ${span(options.waitTimeout)}; it goes on: see pointsman status`,
    { index: accepted.index, epoch },
  );
}

async function lookAtPlan(
  group: string,
  epoch: Epoch,
  decidedAt: number,
  options: SwitchoverOptions,
): Promise<Look> {
  const { answer } = await ask<Look>(
    options,
    () => undefined,
    async (connection, timeoutMs) => {
      const response = await connection.request({ kind: "status", linearizable: false }, timeoutMs);
      if (response.kind === "refused") return response;
      if (response.kind !== "status")
        throw new CliError(EXIT.internal, "internal", `got ${response.kind} for status`);
      const { status } = response;
      const nowMs = status.clusterTimeMs;
      const state = status.groups.find((candidate) => candidate.group.id === group)?.group;
      // A follower may not have applied the decision yet.
      if (status.raft.applied < decidedAt || state === undefined || state.lastEpoch < epoch) {
        return { kind: "waiting", plan: null, nowMs };
      }
      const { plan } = state;
      if (plan !== null && plan.epoch === epoch) {
        return { kind: plan.status === "running" ? "waiting" : "ended", plan, nowMs };
      }
      const page = await connection.history(
        { group, since: { index: decidedAt - 1, seq: null }, limit: 2000 },
        timeoutMs,
      );
      if (!("records" in page)) return page;
      const closing = page.records.filter((record) => CLOSING.has(record.kind) && record.epoch === epoch);
      // A grant is not enough: a plan that failed at a later step had one too, and its rollback may not be through yet.
      return {
        kind: "replaced",
        reached: closing.some((record) => record.kind === "plan_done"),
        closing: closing.map((record) => record.message),
      };
    },
  );
  return answer;
}

function tellSteps(plan: Plan, nowMs: number, told: Map<string, string>, cli: Cli): void {
  for (const step of plan.steps) {
    if (step.status === "pending") continue;
    const state = `${step.status} ${step.attempt}`;
    if (told.get(step.step) === state) continue;
    told.set(step.step, state);
    const line = renderStep(step, nowMs, cli.paint);
    const trouble = stepTrouble(printable(step));
    cli.out(`  ${line}`);
    if (trouble !== null) cli.out(`    ${cli.paint.red(trouble)}`);
  }
}

function finish(
  reached: boolean,
  message: string,
  plan: Plan | null,
  options: SwitchoverOptions,
  cli: Cli,
  accepted: AcceptedResponse,
): void {
  const { index, epoch } = accepted;
  if (!reached) {
    throw new CliError(
      EXIT.unfinished,
      "plan_failed",
      `the switchover did not reach ${options.to}: ${message}`,
      {
        index,
        epoch,
        plan,
      },
    );
  }
  if (options.json) cli.json({ index, epoch, message, plan });
  else cli.out(`${options.to} is primary: ${printable(message)}`);
}
