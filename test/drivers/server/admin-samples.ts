/**
 * Admin data for tests: a cluster of three witnesses and two sites just after a failover, and a small backend that
 * serves it. The backend is data behind the interface `AdminBackend`; it decides nothing.
 */
import {
  epoch,
  logIndex,
  nodeId,
  siteId,
  term,
  type WitnessId,
  witnessId,
} from "../../../src/core/base/ids.js";
import type {
  AdminRequest,
  AdminResponse,
  Explanation,
  GroupReport,
  MemberProgress,
  MembersReport,
  StatusReport,
} from "../../../src/core/model/admin.js";
import type { Member } from "../../../src/core/model/members.js";
import type { Evidence, Opinion, TargetVerdict } from "../../../src/core/model/observation.js";
import {
  type AuditRecord,
  EMPTY_STATE,
  type Plan,
  type RecordedObservation,
  type State,
  type StepRecord,
  type WitnessRecord,
} from "../../../src/core/model/state.js";
import type { PublishedEvent } from "../../../src/core/witness/contract.js";
import type { AdminBackend } from "../../../src/drivers/server/admin.js";

/** 2026-07-02 03:04:05 UTC. */
export const WALL_MS = 1_782_961_445_000;
/** Cluster time of the samples' "now". */
export const NOW_MS = 1_000_000;

export const W1 = witnessId("w1");
export const W2 = witnessId("w2");
export const W3 = witnessId("w3");
export const PARIS = siteId("paris");
export const LYON = siteId("lyon");

const OK: Evidence = { kind: "ok", text: "200 OK", count: 40, falseAlarm: null, rttMs: 1.25, loss: 0 };
const REFUSED: Evidence = {
  kind: "definite",
  text: "connection refused (10.0.0.1:5432)",
  count: 3,
  falseAlarm: null,
  rttMs: null,
  loss: 0.02,
};
const SILENT: Evidence = {
  kind: "ambiguous",
  text: "no answer within 500 ms",
  count: 7,
  falseAlarm: 2.5e-7,
  rttMs: 31.5,
  loss: 0.11,
};

export function observed(opinion: Opinion, evidence: Evidence, agoMs: number): RecordedObservation {
  return {
    opinion,
    sinceMs: NOW_MS - agoMs,
    sinceWallMs: WALL_MS - agoMs,
    index: logIndex(4700),
    evidence,
  };
}

const UP = observed("up", OK, 600_000);

export const WITNESSES: readonly WitnessRecord[] = [
  {
    witness: W1,
    stale: false,
    abstaining: false,
    sinceMs: 1_000,
    observations: {
      "shop/paris/web": UP,
      "shop/paris/db": observed("down", REFUSED, 41_000),
      "shop/lyon/web": UP,
      "shop/lyon/db": UP,
    },
  },
  {
    witness: W2,
    stale: false,
    abstaining: false,
    sinceMs: 1_000,
    observations: {
      "shop/paris/web": UP,
      "shop/paris/db": observed("down", SILENT, 40_000),
      "shop/lyon/web": UP,
      "shop/lyon/db": UP,
    },
  },
  {
    witness: W3,
    stale: true,
    abstaining: false,
    sinceMs: NOW_MS - 95_000,
    observations: { "shop/paris/web": UP },
  },
];

function step(
  name: StepRecord["step"],
  status: StepRecord["status"],
  begunAgoMs: number | null,
  tookMs: number | null,
  message: string,
): StepRecord {
  return {
    step: name,
    status,
    attempt: begunAgoMs === null ? 0 : 1,
    begunAtMs: begunAgoMs === null ? null : NOW_MS - begunAgoMs,
    finishedAtMs: begunAgoMs === null || tookMs === null ? null : NOW_MS - begunAgoMs + tookMs,
    by: begunAgoMs === null ? null : W2,
    outcome:
      tookMs === null
        ? null
        : { kind: "done", code: "ok", message, retriable: true, detail: `${message}\n2nd line` },
  };
}

export const PLAN: Plan = {
  group: "shop",
  epoch: epoch(5),
  kind: "failover",
  from: PARIS,
  to: LYON,
  reason: "paris is down: db is down for 2 of 3 witnesses",
  evidence: ["w1: shop/paris/db down: connection refused (10.0.0.1:5432)"],
  by: "policy",
  status: "done",
  index: logIndex(4702),
  startedAtMs: NOW_MS - 39_500,
  endedAtMs: NOW_MS - 38_100,
  endReason: "every step is done",
  cursor: 7,
  steps: [
    step("precheck", "done", 39_500, 10, "lyon is eligible"),
    step("drain", "skipped", null, null, ""),
    step("fence", "skipped", null, null, ""),
    step("promote", "done", 39_480, 310, "exit 0"),
    step("route", "done", 39_160, 45, "ns1.example.net accepted epoch 5"),
    step("verify", "done", 39_110, 1_000, "2 of 2 servers agree"),
    step("announce", "done", 38_105, 5, "webhook answered 204"),
  ],
};

function verdict(
  target: string,
  up: TargetVerdict["up"],
  down: TargetVerdict["down"],
  unknown: TargetVerdict["unknown"],
): TargetVerdict {
  const isDown = down.length >= 2;
  return {
    target,
    required: true,
    verdict: isDown ? "down" : up.length >= 2 ? "up" : "unknown",
    up,
    down,
    unknown,
    sinceMs: NOW_MS - (isDown ? 40_000 : 600_000),
    reasons: down.map((witness) => ({ witness, text: witness === W1 ? REFUSED.text : SILENT.text })),
  };
}

export const GROUP: GroupReport = {
  group: {
    id: "shop",
    ticket: { status: "held", site: LYON, epoch: epoch(5), grantedAtMs: NOW_MS - 39_170 },
    mode: "automatic",
    holdReason: null,
    routed: { site: LYON, epoch: epoch(5) },
    lastEpoch: epoch(5),
    plan: PLAN,
    lastSwitchAtMs: NOW_MS - 38_100,
    failedSites: [],
    notedCode: null,
  },
  sites: [
    {
      site: PARIS,
      verdict: "down",
      sinceMs: NOW_MS - 40_000,
      targets: [verdict("shop/paris/web", [W1, W2], [], [W3]), verdict("shop/paris/db", [], [W1, W2], [W3])],
    },
    {
      site: LYON,
      verdict: "up",
      sinceMs: NOW_MS - 600_000,
      targets: [verdict("shop/lyon/web", [W1, W2], [], [W3]), verdict("shop/lyon/db", [W1, W2], [], [W3])],
    },
  ],
  fence: "none",
  standing: {
    action: "stay",
    code: "primary_up",
    message: "lyon is primary and up for 2 of 3 witnesses",
    evidence: ["w1: all targets of lyon are up", "w2: all targets of lyon are up"],
    noteworthy: false,
  },
};

function member(witness: WitnessId, node: number, change: Partial<Member> = {}): Member {
  return {
    witness,
    node: nodeId(node),
    site: LYON,
    peers: [`10.1.0.${node}:7400`, `10.9.0.${node}:7400`],
    admin: `10.1.0.${node}:7401`,
    dns: `10.1.0.${node}:53`,
    role: "voter",
    disk: `disk-${node}`,
    replaces: null,
    inDocument: true,
    sinceMs: 12_000,
    ...change,
  };
}

export const PROGRESS: MemberProgress = {
  match: logIndex(4712),
  active: true,
  state: "StateReplicate",
  snapshot: null,
  refused: null,
};

/** Three voters, of which w3 is lost and being replaced, as the leader w2 sees them. */
export const MEMBERS_REPORT: MembersReport = {
  witness: W2,
  leader: W2,
  leaderNode: nodeId(2),
  appliedIndex: logIndex(4711),
  lastIndex: logIndex(4712),
  clusterTimeMs: NOW_MS,
  changeRunning: false,
  members: [
    { member: member(W1, 1), progress: { ...PROGRESS, match: logIndex(4700) } },
    { member: member(W2, 2), progress: PROGRESS },
    {
      member: member(W3, 3),
      progress: {
        ...PROGRESS,
        match: logIndex(17),
        active: false,
        state: "StateProbe",
        refused: "other_disk",
      },
    },
    {
      member: member(W3, 4, {
        site: null,
        dns: null,
        role: "learner",
        disk: null,
        replaces: nodeId(3),
        inDocument: false,
        sinceMs: NOW_MS - 60_000,
      }),
      progress: {
        ...PROGRESS,
        match: logIndex(0),
        state: "StateSnapshot",
        snapshot: { confirmedBytes: 13_000_000, totalBytes: 52_000_000 },
      },
    },
  ],
};

export const STATUS: StatusReport = {
  cluster: "acme",
  witness: W1,
  raft: {
    term: term(7),
    leader: W2,
    role: "follower",
    commit: logIndex(4711),
    applied: logIndex(4711),
    lastIndex: logIndex(4712),
    recovering: false,
    disk: { stalledMs: null },
    peers: [],
  },
  leaderContactAgeMs: 180,
  clusterTimeMs: NOW_MS,
  configVersion: 3,
  configDiffers: false,
  witnesses: WITNESSES,
  members: MEMBERS_REPORT.members.slice(0, 2),
  groups: [GROUP],
};

/** A record at (index, seq) of the group. */
export function record(index: number, seq: number, group: string | null = "shop"): AuditRecord {
  return {
    index: logIndex(index),
    seq,
    term: term(7),
    atMs: NOW_MS - 40_000 + index,
    wallMs: WALL_MS - 40_000 + index,
    leader: W2,
    kind: "step_begun",
    group,
    epoch: group === null ? null : epoch(5),
    step: "route",
    message: `record ${index}.${seq}`,
    detail: ["a line", "another line"],
  };
}

export const EXPLANATION: Explanation = {
  group: "shop",
  report: GROUP,
  recent: [
    {
      ...record(4702, 0),
      kind: "decision",
      step: null,
      message: "failover paris → lyon, epoch 5: paris is down",
      detail: ["w1: shop/paris/db down: connection refused (10.0.0.1:5432)"],
    },
    { ...record(4709, 0), kind: "plan_done", step: null, message: "plan of epoch 5 is done" },
  ],
  missing: [
    "lyon would have to be down for 2 of 3 witnesses",
    "paris would have to be up and stable for 60 s to be eligible",
  ],
  asOfIndex: logIndex(4711),
};

/** A backend over data: `answer` says what each request gets; null leaves it unanswered for ever. */
export class SampleBackend implements AdminBackend {
  records: AuditRecord[] = [];
  replicated: State = EMPTY_STATE;
  readonly listeners = new Set<(event: PublishedEvent) => void>();
  readonly requests: AdminRequest[] = [];
  readonly signals: AbortSignal[] = [];
  answer: (request: AdminRequest) => AdminResponse | null = (request) => {
    switch (request.kind) {
      case "status":
        return { kind: "status", status: STATUS };
      case "members":
        return { kind: "members", report: MEMBERS_REPORT };
      case "explain":
        return request.group === "shop"
          ? { kind: "explain", explanation: EXPLANATION }
          : {
              kind: "refused",
              code: "unknown_group",
              message: `group ${request.group} is not configured; there is: shop`,
              leader: W2,
            };
      default:
        return {
          kind: "accepted",
          index: logIndex(4713),
          epoch: request.kind === "switchover" ? epoch(6) : null,
          message: `${request.kind} is decided`,
        };
    }
  };

  request(request: AdminRequest, signal: AbortSignal): Promise<AdminResponse> {
    this.requests.push(request);
    this.signals.push(signal);
    const response = this.answer(request);
    return response === null ? new Promise(() => undefined) : Promise.resolve(response);
  }

  state(): State {
    return this.replicated;
  }

  history(): readonly AuditRecord[] {
    return this.records;
  }

  subscribe(listener: (event: PublishedEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  publish(event: PublishedEvent): void {
    for (const listener of [...this.listeners]) listener(event);
  }

  /** Keeps the record, then publishes it, as a witness does. */
  append(...records: AuditRecord[]): void {
    for (const added of records) {
      this.records.push(added);
      this.publish({ kind: "audit", record: added });
    }
  }
}

/** A log that says nothing. */
export const SILENT_LOG = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Waits until `done()` holds; fails after `timeoutMs` with what was waited for. */
export async function until(what: string, done: () => boolean, timeoutMs = 30_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!done()) {
    if (Date.now() > end) throw new Error(`timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
