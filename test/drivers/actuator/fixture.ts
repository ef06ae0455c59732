/**
 * Orders for the actuator: a group of two sites, a plan from a to b, and the hooks as small shell scripts.
 */
import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { epoch, logIndex, siteId, witnessId } from "../../../src/core/base/ids.js";
import type { ClusterConfig, GroupConfig } from "../../../src/core/model/config.js";
import type { Plan, PlanKind, StepName } from "../../../src/core/model/state.js";
import type { Actuator, ActuatorOptions, StepOrder } from "../../../src/drivers/actuator/actuator.js";
import { createActuator } from "../../../src/drivers/actuator/actuator.js";
import { parseConfig } from "../../../src/drivers/config/config.js";

/** The configuration whose group `shop` has these lines more. */
export function configure(groupLines: string, more = "", witnessDns: readonly string[] = []): ClusterConfig {
  const dns = (at: number): string => (witnessDns[at] === undefined ? "" : `, dns: ${witnessDns[at]}`);
  const text = `cluster: acme
version: 1
witnesses:
  w-a: { peer: h:1, admin: h:2${dns(0)} }
  w-b: { peer: h:3, admin: h:4${dns(1)} }
  w-c: { peer: h:5, admin: h:6${dns(2)} }
sites: [a, b]
${more}
groups:
  shop:
    sites:
      a:
        targets: { web: { tcp: a:1 } }
        records: { www.example.com: { A: 192.0.2.1 }, api.gtm.example.com: { A: 192.0.2.3 } }
      b:
        targets: { web: { tcp: b:1 } }
        records: { www.example.com: { A: 192.0.2.2 }, api.gtm.example.com: { A: 192.0.2.4 } }
${groupLines}
`;
  const result = parseConfig(text, "fixture");
  assert.ok(result.kind === "accepted", JSON.stringify(result));
  return result.config;
}

/** A route that both names lie in; for groups whose test is of something else. */
export const ANY_ROUTE = "    route: [{ rfc2136: { zone: example.com, server: 127.0.0.1:9 } }]";

const STEPS: readonly StepName[] = ["precheck", "fence", "drain", "promote", "route", "verify", "announce"];

export interface OrderOptions {
  readonly attempt?: number;
  readonly kind?: PlanKind;
  readonly deadlineMs?: number;
}

/** The order to carry out that step of a plan from a to b, epoch 7. Earlier steps are done. */
export function order(config: ClusterConfig, step: StepName, options: OrderOptions = {}): StepOrder {
  const group = config.groups[0] as GroupConfig;
  const { attempt = 1, kind = "failover", deadlineMs = 20_000 } = options;
  const cursor = STEPS.indexOf(step);
  const plan: Plan = {
    group: group.id,
    epoch: epoch(7),
    kind,
    from: siteId("a"),
    to: siteId("b"),
    reason: 'web of a is down: "refused"\nsaid two of three',
    evidence: ["w-b: refused", "w-c: refused"],
    by: "policy",
    status: "running",
    index: logIndex(40),
    startedAtMs: 1000,
    endedAtMs: null,
    endReason: null,
    cursor,
    steps: STEPS.map((name, at) => ({
      step: name,
      status: at < cursor ? "done" : at === cursor ? "begun" : "pending",
      attempt: at < cursor ? 1 : at === cursor ? attempt : 0,
      begunAtMs: at <= cursor ? 1000 + at * 100 : null,
      finishedAtMs: at < cursor ? 1050 + at * 100 : null,
      by: witnessId("w-b"),
      outcome:
        at < cursor ? { kind: "done", code: "ok", message: "well", retriable: false, detail: "" } : null,
    })),
  };
  return { key: { group: group.id, epoch: epoch(7), step, attempt }, plan, group, deadlineMs };
}

export interface LogLine {
  readonly level: "info" | "warn";
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/** An actuator of witness w-b that is closed when the test ends, and what it logged. */
export function actuatorOf(
  context: TestContext,
  config: ClusterConfig,
  options: Partial<ActuatorOptions> = {},
): { actuator: Actuator; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: LogLine["level"]) => (fields: object, message: string) => {
    lines.push({ level, fields: fields as Record<string, unknown>, message });
  };
  const log = { info: at("info"), warn: at("warn") };
  const actuator = createActuator({ witness: "w-b", config: () => config, log, ...options });
  context.after(() => actuator.close());
  return { actuator, lines };
}

/** A private directory that goes when the test ends. */
export async function directoryOf(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "pointsman-actuator-"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A shell script; its path. */
export async function script(directory: string, name: string, lines: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, `#!/bin/sh\n${lines}\n`);
  await chmod(path, 0o755);
  return path;
}
