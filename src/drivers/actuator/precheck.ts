/**
 * Can this plan work from here? Looked at before anything is touched: hooks that are not installed and keys that cannot
 * be read would otherwise show when the old site is fenced already.
 *
 * Only what would stop the plan counts: an announcement that cannot be made does not keep a failover from happening.
 */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join as joinPath } from "node:path";
import type { ExecHook, GroupConfig } from "../../core/model/config.js";
import type { StepName, StepOutcome } from "../../core/model/state.js";
import { SecretError } from "../config/secret.js";
import { baseEnvironment } from "../exec/run-command.js";
import { done, failed } from "./outcome.js";
import type { Secrets } from "./route-step.js";
import type { StepContext } from "./step-context.js";

/** One thing that would make a step fail. */
interface Obstacle {
  readonly step: StepName;
  readonly code: string;
  readonly message: string;
}

/** Looks at the steps of the plan that are still to be done. Fails for good when one of them cannot work. */
export async function precheck({ plan, group }: StepContext, secrets: Secrets): Promise<StepOutcome> {
  const open = plan.steps
    .filter(({ status }) => status !== "done" && status !== "skipped")
    .map(({ step }) => step);
  const obstacles = await findObstacles(group, open, secrets);
  const [first] = obstacles;
  if (first === undefined) return done("hooks and keys are in place");
  const message = obstacles.map((obstacle) => `${obstacle.step}: ${obstacle.message}`).join("; ");
  return failed(first.code, `${message}; nothing was touched in this attempt`, false);
}

/** What would keep these steps of the group from working on this host, in the order of the steps. */
async function findObstacles(
  group: GroupConfig,
  steps: readonly StepName[],
  secrets: Secrets,
): Promise<Obstacle[]> {
  const obstacles: Obstacle[] = [];
  const hooks: [StepName, ExecHook | null][] = [
    ["fence", group.fence.kind === "exec" ? group.fence.hook : null],
    ["drain", group.drain],
    ["promote", group.promote],
  ];
  for (const [step, hook] of hooks) {
    if (hook === null || !steps.includes(step)) continue;
    const program = hook.command[0] ?? "";
    if (await isExecutable(program)) continue;
    const message = `${program} is no executable program here: install it on every witness`;
    obstacles.push({ step, code: "hook_missing", message });
  }
  for (const route of steps.includes("route") ? group.route : []) {
    if (route.kind !== "rfc2136" || route.key === null) continue;
    try {
      await secrets(route.key.secret);
    } catch (error) {
      if (!(error instanceof SecretError)) throw error;
      obstacles.push({
        step: "route",
        code: error.code,
        message: `TSIG key ${route.key.name}: ${error.message}`,
      });
    }
  }
  return obstacles;
}

/** True when the program can be started: found as spawn would find it, a file, executable for us. */
async function isExecutable(program: string): Promise<boolean> {
  const path = baseEnvironment()["PATH"] ?? "/usr/bin:/bin";
  const places =
    isAbsolute(program) || program.includes("/")
      ? [program]
      : path.split(delimiter).map((directory) => joinPath(directory === "" ? "." : directory, program));
  for (const place of places) {
    try {
      await access(place, constants.X_OK);
      if ((await stat(place)).isFile()) return true;
    } catch {
      // Not here; perhaps further down the PATH.
    }
  }
  return false;
}
