/**
 * The admin API's data and their messages in proto/pointsman/v1/admin.proto: one table a message, both directions.
 *
 * The tables are checked by the compiler against core/model, so a field that is added there and forgotten here does not
 * build; a test encodes through the real proto and compares, so one that is forgotten in the proto does not pass.
 */
import { assertNever } from "../../core/base/assert.js";
import {
  epoch,
  type LogIndex,
  logIndex,
  siteId,
  type Term,
  term,
  type WitnessId,
  witnessId,
} from "../../core/base/ids.js";
import type {
  AdminResponse,
  Explanation,
  GroupReport,
  Standing,
  StatusReport,
} from "../../core/model/admin.js";
import type { Evidence, SiteVerdict, TargetVerdict } from "../../core/model/observation.js";
import type {
  AuditRecord,
  GroupState,
  Plan,
  RecordedObservation,
  StepOutcome,
  StepRecord,
  Ticket,
  WitnessRecord,
} from "../../core/model/state.js";
import type { PublishedEvent } from "../../core/witness/contract.js";
import {
  bytes,
  type Codec,
  count,
  counted,
  flag,
  keyed,
  list,
  message,
  millis,
  named,
  nullable,
  oneOf,
  real,
  text,
  WireError,
  wireObject,
} from "./admin-codec.js";
import { memberReport } from "./admin-wire-members.js";

const termCount = counted(term);
const indexCount = counted(logIndex);
const epochCount = counted(epoch);
const site = named(siteId);
const witness = named(witnessId);
const stepName = oneOf("STEP_NAME", ["precheck", "drain", "fence", "promote", "route", "verify", "announce"]);
const opinion = oneOf("OPINION", ["up", "down", "unknown"]);

const evidence = message<Evidence>({
  kind: oneOf("EVIDENCE_KIND", ["ok", "definite", "ambiguous", "stall", "start"]),
  text,
  count,
  falseAlarm: nullable(real),
  rttMs: nullable(real),
  loss: nullable(real),
});

const recordedObservation = message<RecordedObservation>({
  opinion,
  sinceMs: millis,
  sinceWallMs: millis,
  index: indexCount,
  evidence,
});

const witnessRecord = message<WitnessRecord>({
  witness,
  stale: flag,
  abstaining: flag,
  sinceMs: millis,
  observations: keyed("target", recordedObservation),
});

const ticket = message<Ticket>({
  status: oneOf("TICKET_STATUS", ["none", "held", "revoked"]),
  site: nullable(site),
  epoch: epochCount,
  grantedAtMs: millis,
});

const stepOutcome = message<StepOutcome>({
  kind: oneOf("OUTCOME_KIND", ["done", "failed", "unknown"]),
  code: text,
  message: text,
  retriable: flag,
  detail: text,
});

const stepRecord = message<StepRecord>({
  step: stepName,
  status: oneOf("STEP_STATUS", ["pending", "begun", "done", "failed", "unknown", "skipped"]),
  attempt: count,
  begunAtMs: nullable(millis),
  finishedAtMs: nullable(millis),
  by: nullable(witness),
  outcome: nullable(stepOutcome),
});

const plan = message<Plan>({
  group: text,
  epoch: epochCount,
  kind: oneOf("PLAN_KIND", ["initial", "failover", "failback", "switchover", "rollback"]),
  from: nullable(site),
  to: site,
  reason: text,
  evidence: list(text),
  by: text,
  status: oneOf("PLAN_STATUS", ["running", "done", "failed", "rolled_back"]),
  index: indexCount,
  startedAtMs: millis,
  endedAtMs: nullable(millis),
  endReason: nullable(text),
  cursor: count,
  steps: list(stepRecord),
});

const groupState = message<GroupState>({
  id: text,
  ticket,
  mode: oneOf("MODE", ["automatic", "hold"]),
  holdReason: nullable(text),
  routed: nullable(message<NonNullable<GroupState["routed"]>>({ site, epoch: epochCount })),
  lastEpoch: epochCount,
  plan: nullable(plan),
  lastSwitchAtMs: nullable(millis),
  failedSites: list(site),
  notedCode: nullable(text),
});

const targetVerdict = message<TargetVerdict>({
  target: text,
  required: flag,
  verdict: opinion,
  up: list(witness),
  down: list(witness),
  unknown: list(witness),
  sinceMs: nullable(millis),
  reasons: list(message<TargetVerdict["reasons"][number]>({ witness, text })),
});

const siteVerdict = message<SiteVerdict>({
  site,
  verdict: opinion,
  sinceMs: nullable(millis),
  targets: list(targetVerdict),
});

const standing = message<Standing>({
  action: oneOf("STANDING_ACTION", ["stay", "switch", "plan"]),
  code: text,
  message: text,
  evidence: list(text),
  noteworthy: flag,
});

const groupReport = message<GroupReport>({
  group: groupState,
  sites: list(siteVerdict),
  fence: oneOf("FENCE", ["none", "exec"]),
  standing,
});

const raftReport = message<StatusReport["raft"]>({
  term: termCount,
  leader: nullable(witness),
  role: oneOf("RAFT_ROLE", ["leader", "follower", "candidate", "pre-candidate"]),
  commit: indexCount,
  applied: indexCount,
  lastIndex: indexCount,
  recovering: flag,
  disk: message<StatusReport["raft"]["disk"]>({ stalledMs: nullable(millis) }),
  peers: list(
    message<StatusReport["raft"]["peers"][number]>({
      witness,
      match: indexCount,
      active: flag,
      state: text,
      slowMs: nullable(millis),
      silentMs: nullable(millis),
    }),
  ),
});

/** StatusReport. */
export const statusReport: Codec<StatusReport> = message<StatusReport>({
  cluster: text,
  witness,
  raft: raftReport,
  leaderContactAgeMs: nullable(millis),
  clusterTimeMs: millis,
  configVersion: nullable(count),
  configDiffers: flag,
  witnesses: list(witnessRecord),
  members: list(memberReport),
  groups: list(groupReport),
});

/** AuditRecord. */
const auditRecord: Codec<AuditRecord> = message<AuditRecord>({
  index: indexCount,
  seq: count,
  term: termCount,
  atMs: millis,
  wallMs: millis,
  leader: witness,
  kind: oneOf("AUDIT_KIND", [
    "config",
    "observation",
    "witness",
    "decision",
    "step_begun",
    "step_finished",
    "grant",
    "plan_done",
    "plan_failed",
    "plan_rolled_back",
    "hold",
    "resume",
    "note",
    "member",
  ]),
  group: nullable(text),
  epoch: nullable(epochCount),
  step: nullable(stepName),
  message: text,
  detail: list(text),
});

/** Explanation. */
export const explanation: Codec<Explanation> = message<Explanation>({
  group: text,
  report: groupReport,
  recent: list(auditRecord),
  missing: list(text),
  asOfIndex: indexCount,
});

/** A decided write. */
export type AcceptedResponse = Omit<Extract<AdminResponse, { kind: "accepted" }>, "kind">;

/** Accepted. */
export const accepted: Codec<AcceptedResponse> = message<AcceptedResponse>({
  index: indexCount,
  epoch: nullable(epochCount),
  message: text,
});

/** A page of retained audit records, oldest first. */
export interface HistoryPage {
  readonly records: readonly AuditRecord[];
  /** More match than were asked for. */
  readonly more: boolean;
  /** Records before this page were dropped; the oldest kept one has this index. Null: nothing is missing. */
  readonly truncatedBeforeIndex: number | null;
}

/** HistoryResponse. */
export const historyPage: Codec<HistoryPage> = message<HistoryPage>({
  records: list(auditRecord),
  more: flag,
  truncatedBeforeIndex: nullable(count),
});

/** The first message of a watch: where it starts, and whether records asked for are gone. */
export interface WatchStarted {
  readonly kind: "started";
  readonly afterIndex: number;
  /** Null: all of `afterIndex` counts as seen. */
  readonly afterSeq: number | null;
  readonly truncatedBeforeIndex: number | null;
}

/** What a watch sends. */
export type WatchMessage = WatchStarted | PublishedEvent;

const watchStarted = message<Omit<WatchStarted, "kind">>({
  afterIndex: count,
  afterSeq: nullable(count),
  truncatedBeforeIndex: nullable(count),
});
const roleChanged = message<Omit<Extract<PublishedEvent, { kind: "role" }>, "kind">>({
  term: termCount,
  role: text,
  leader: nullable(witness),
});
const routedChanged = message<Omit<Extract<PublishedEvent, { kind: "routed" }>, "kind">>({
  group: text,
  site,
});
const warning = message<Omit<Extract<PublishedEvent, { kind: "warning" }>, "kind">>({
  code: text,
  message: text,
});

/** WatchEvent. */
export const watchMessage: Codec<WatchMessage> = {
  encode(value) {
    switch (value.kind) {
      case "started":
        return { started: watchStarted.encode(value) };
      case "audit":
        return { audit: auditRecord.encode(value.record) };
      case "role":
        return { role: roleChanged.encode(value) };
      case "routed":
        return { routed: routedChanged.encode(value) };
      case "warning":
        return { warning: warning.encode(value) };
      default:
        return assertNever(value, "watch message");
    }
  },
  decode(wire, path) {
    const from = wireObject(wire, path);
    switch (from["event"]) {
      case "started":
        return { kind: "started", ...watchStarted.decode(from["started"], `${path}.started`) };
      case "audit":
        return { kind: "audit", record: auditRecord.decode(from["audit"], `${path}.audit`) };
      case "role":
        return { kind: "role", ...roleChanged.decode(from["role"], `${path}.role`) };
      case "routed":
        return { kind: "routed", ...routedChanged.decode(from["routed"], `${path}.routed`) };
      case "warning":
        return { kind: "warning", ...warning.decode(from["warning"], `${path}.warning`) };
      default:
        throw new WireError(path, "holds no event that this release knows");
    }
  },
};

/** What a backup sends: one start, parts, one end. */
export type BackupChunk = BackupStart | BackupPart | BackupEnd;

export interface BackupStart {
  readonly kind: "start";
  readonly cluster: string;
  readonly witness: WitnessId;
  /** The last entry of the log that the state contains. */
  readonly index: LogIndex;
  readonly term: Term;
  readonly wallMs: number;
}

interface BackupPart {
  readonly kind: "part";
  readonly data: Uint8Array;
  /** CRC-32C of `data`. */
  readonly crc: number;
}

interface BackupEnd {
  readonly kind: "end";
  readonly parts: number;
  /** Of the data of all parts, one after the other. */
  readonly sha256: Uint8Array;
}

const backupStart = message<Omit<BackupStart, "kind">>({
  cluster: text,
  witness,
  index: indexCount,
  term: termCount,
  wallMs: millis,
});
const backupPart = message<Omit<BackupPart, "kind">>({ data: bytes, crc: count });
const backupEnd = message<Omit<BackupEnd, "kind">>({ parts: count, sha256: bytes });

/** BackupChunk. */
export const backupChunk: Codec<BackupChunk> = {
  encode(value) {
    switch (value.kind) {
      case "start":
        return { start: backupStart.encode(value) };
      case "part":
        return { part: backupPart.encode(value) };
      case "end":
        return { end: backupEnd.encode(value) };
      default:
        return assertNever(value, "backup chunk");
    }
  },
  decode(wire, path) {
    const from = wireObject(wire, path);
    switch (from["chunk"]) {
      case "start":
        return { kind: "start", ...backupStart.decode(from["start"], `${path}.start`) };
      case "part":
        return { kind: "part", ...backupPart.decode(from["part"], `${path}.part`) };
      case "end":
        return { kind: "end", ...backupEnd.decode(from["end"], `${path}.end`) };
      default:
        throw new WireError(path, "holds no chunk that this release knows");
    }
  },
};
