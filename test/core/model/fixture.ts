/** A small cluster for the tests of state, policy and plan: three witnesses, sites a, b and c, one group `shop`. */
import { epoch, logIndex, siteId, term, witnessId } from "../../../src/core/base/ids.js";
import { type Applied, apply } from "../../../src/core/model/apply.js";
import type { Command, Envelope } from "../../../src/core/model/command.js";
import type { ClusterConfig, ExecHook, GroupConfig, TargetConfig } from "../../../src/core/model/config.js";
import type { Evidence, Observation, Opinion } from "../../../src/core/model/observation.js";
import {
  EMPTY_STATE,
  type GroupState,
  type Plan,
  type State,
  type StepName,
  type StepOutcome,
} from "../../../src/core/model/state.js";

export const A = siteId("a");
export const B = siteId("b");
export const C = siteId("c");
export const W = [witnessId("w-a"), witnessId("w-b"), witnessId("w-c")] as const;
export const LEADER = W[0];

const hook: ExecHook = { command: ["/bin/true"], timeoutMs: 5_000 };

function target(id: string): TargetConfig {
  return {
    id,
    required: true,
    probe: { kind: "tcp", host: `${id}.example`, port: 80 },
    intervalMs: 1_000,
    timeoutMs: 500,
    fall: 3,
    rise: 2,
    falseAlarm: 1e-6,
  };
}

/** A group with every step configured; `change` replaces parts of it. */
export function group(change: Partial<GroupConfig> = {}): GroupConfig {
  return {
    id: "shop",
    mode: "automatic",
    sites: [A, B, C].map((site) => ({
      site,
      targets: [target("web"), target("db")],
      records: [{ name: "shop.example", type: "A", values: ["10.0.0.1"] }],
    })),
    stabilityMs: 10_000,
    holdDownMs: 60_000,
    failback: { kind: "manual" },
    fence: { kind: "exec", hook },
    drain: hook,
    promote: hook,
    route: [
      {
        kind: "rfc2136",
        zone: "example",
        servers: ["10.0.0.53:53", "10.0.1.53:53"],
        key: { name: "k", algorithm: "hmac-sha256", secret: { kind: "env", name: "KEY" } },
        ttlSeconds: 5,
        timeoutMs: 2_000,
      },
    ],
    verify: { servers: [], resolvers: [], timeoutMs: 10_000 },
    announce: [{ kind: "webhook", url: "http://hook.example/", timeoutMs: 3_000 }],
    retry: { limit: 3, backoffMs: 100, backoffMaxMs: 300 },
    onFailure: "next",
    ...change,
  };
}

/** A whole document around one group. */
export function config(
  groups: readonly GroupConfig[] = [group()],
  change: Partial<ClusterConfig> = {},
): ClusterConfig {
  return {
    cluster: "test",
    version: 1,
    witnesses: W.map((id, i) => ({
      id,
      site: null,
      peers: [`10.0.${i}.1:7000`],
      admin: `10.0.${i}.1:7001`,
      dns: null,
    })),
    sites: [A, B, C].map((id) => ({ id })),
    groups,
    timings: {
      profile: "wan",
      tickMs: 50,
      heartbeatMs: 200,
      electionMinMs: 1_000,
      electionMaxMs: 2_000,
      viewIntervalMs: 1_000,
      viewTimeoutMs: 5_000,
    },
    dns: null,
    ...change,
  };
}

/**
 * A log under construction: each command goes to the next index, one cluster millisecond later unless told
 * otherwise.
 */
export class Log {
  state: State = EMPTY_STATE;
  nowMs = 1_000;
  leader = LEADER;
  readonly envelopes: Envelope[] = [];

  push(command: Command, afterMs = 1): Applied {
    this.nowMs += afterMs;
    const envelope: Envelope = {
      atMs: this.nowMs,
      wallMs: 1.7e12 + this.nowMs,
      leader: this.leader,
      request: null,
      command,
    };
    this.envelopes.push(envelope);
    const at = { index: logIndex(this.state.appliedIndex + 1), term: term(1) };
    const applied = apply(this.state, at, envelope);
    this.state = applied.state;
    return applied;
  }

  /** Pushes a command that must be accepted. */
  must(command: Command, afterMs = 1): Applied {
    const applied = this.push(command, afterMs);
    if (!applied.accepted) throw new Error(`${command.kind} refused: ${applied.reason}`);
    return applied;
  }

  get group(): GroupState {
    const found = this.state.groups["shop"];
    if (found === undefined) throw new Error("no group");
    return found;
  }

  get plan(): Plan {
    if (this.group.plan === null) throw new Error("no plan");
    return this.group.plan;
  }
}

/** A log whose first entry is the document. */
export function started(document: ClusterConfig = config()): Log {
  const log = new Log();
  log.must({ kind: "configure", config: document, hash: `h${document.version}` });
  return log;
}

export const ALL_STEPS: readonly StepName[] = [
  "precheck",
  "drain",
  "fence",
  "promote",
  "route",
  "verify",
  "announce",
];

export function decideCommand(
  change: Partial<Extract<Command, { kind: "decide" }>> = {},
): Extract<Command, { kind: "decide" }> {
  return {
    kind: "decide",
    group: "shop",
    epoch: epoch(1),
    plan: "initial",
    from: null,
    to: A,
    steps: ["precheck", "promote", "route"],
    reason: "because",
    evidence: ["a line"],
    by: "policy",
    ...change,
  };
}

export const DONE: StepOutcome = { kind: "done", code: "ok", message: "fine", retriable: true, detail: "" };
export const FAILED: StepOutcome = {
  kind: "failed",
  code: "exit_1",
  message: "broke",
  retriable: true,
  detail: "",
};

/** Begins and finishes steps, and grants, until the plan is at its end; then closes it as done. */
export function runToEnd(log: Log): void {
  const { epoch: at, to } = log.plan;
  for (const { step } of log.plan.steps) {
    const due =
      log.group.ticket.status !== "held" && ["promote", "route", "verify", "announce"].includes(step);
    if (due) log.must({ kind: "grant", group: "shop", epoch: at, site: to });
    const key = { group: "shop", epoch: at, step, attempt: 1 };
    log.must({ kind: "begin", key, leader: LEADER });
    log.must({ kind: "finish", key, outcome: DONE, next: true });
  }
  if (log.group.ticket.status !== "held") log.must({ kind: "grant", group: "shop", epoch: at, site: to });
  log.must({ kind: "close", group: "shop", epoch: at, status: "done", reason: "done", hold: null });
}

/** A log in which site a has become primary under epoch 1. */
export function withPrimary(document: ClusterConfig = config()): Log {
  const log = started(document);
  log.must(decideCommand());
  runToEnd(log);
  return log;
}

export function evidence(change: Partial<Evidence> = {}): Evidence {
  return {
    kind: "definite",
    text: "connection refused by 10.1.0.10:80",
    count: 3,
    falseAlarm: null,
    rttMs: 1,
    loss: 0,
    ...change,
  };
}

export function seen(target: string, opinion: Opinion, change: Partial<Evidence> = {}): Observation {
  return { target, opinion, evidence: evidence(change) };
}
