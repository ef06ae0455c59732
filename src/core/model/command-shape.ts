/**
 * What a well-formed command looks like, field by field: the guard in front of `apply`.
 *
 * Only shapes: whether a well-formed command makes sense is the compare-and-set in apply-*.ts, and whether a
 * document is wise is `config check`'s. A document is checked whole, because every room reads the replicated
 * one without asking.
 */
import { REFUSAL_CODE_LIST } from "./code.js";
import type { Command, Envelope } from "./command.js";
import type {
  AnnounceConfig,
  ClusterConfig,
  DnsRecordSet,
  EmbeddedDnsConfig,
  EmbeddedZoneConfig,
  ExecHook,
  GroupConfig,
  GroupSite,
  HttpProbe,
  ProbeSpec,
  RetryConfig,
  RouteConfig,
  SiteConfig,
  TargetConfig,
  Timings,
  TsigKeyRef,
  VerifyConfig,
  WitnessConfig,
} from "./config.js";
import { STEP_ORDER } from "./group.js";
import type { Evidence, Observation } from "./observation.js";
import {
  amount,
  type Check,
  count,
  flag,
  list,
  name,
  oneOf,
  optional,
  orNull,
  pair,
  scalar,
  shape,
  text,
  union,
} from "./shape.js";
import type { SessionKey, StepKey, StepOutcome } from "./state.js";

const hook = shape<ExecHook>({ command: list(text), timeoutMs: amount });

const recordSet = shape<DnsRecordSet>({
  name: text,
  type: oneOf("A", "AAAA", "CNAME", "TXT"),
  values: list(text),
});

const probe = union<ProbeSpec>({
  tcp: { host: text, port: count },
  http: {
    url: text,
    method: text,
    headers: list(pair(text)),
    expectStatus: list(pair(count)),
    expectBody: orNull(
      union<NonNullable<HttpProbe["expectBody"]>>({
        contains: { text },
        matches: { pattern: text },
        json: { path: text, equals: scalar },
      }),
    ),
    tls: shape<HttpProbe["tls"]>({ verify: flag, caFile: orNull(text), serverName: orNull(text) }),
  },
  exec: { command: list(text), expectExit: count },
});

const target = shape<TargetConfig>({
  id: name,
  required: flag,
  probe,
  intervalMs: amount,
  timeoutMs: amount,
  fall: count,
  rise: count,
  falseAlarm: amount,
});

const tsigKey = shape<TsigKeyRef>({
  name: text,
  algorithm: oneOf("hmac-sha256", "hmac-sha512"),
  secret: union<TsigKeyRef["secret"]>({ file: { path: text }, env: { name: text } }),
});

const group = shape<GroupConfig>({
  id: name,
  mode: oneOf("automatic", "hold"),
  sites: list(shape<GroupSite>({ site: name, targets: list(target), records: list(recordSet) })),
  stabilityMs: amount,
  holdDownMs: amount,
  failback: union<GroupConfig["failback"]>({ manual: {}, automatic: { afterMs: amount } }),
  fence: union<GroupConfig["fence"]>({ none: {}, exec: { hook } }),
  drain: orNull(hook),
  promote: orNull(hook),
  route: list(
    union<RouteConfig>({
      rfc2136: {
        zone: text,
        servers: list(text),
        key: orNull(tsigKey),
        ttlSeconds: count,
        timeoutMs: amount,
      },
      embedded: { zone: text },
    }),
  ),
  verify: shape<VerifyConfig>({ servers: list(text), resolvers: list(text), timeoutMs: amount }),
  announce: list(union<AnnounceConfig>({ webhook: { url: text, timeoutMs: amount }, exec: { hook } })),
  retry: shape<RetryConfig>({ limit: count, backoffMs: amount, backoffMaxMs: amount }),
  onFailure: oneOf("next", "wait"),
});

const dns = shape<EmbeddedDnsConfig>({
  maxStalenessMs: amount,
  staleness: oneOf("stale", "servfail"),
  zones: list(
    shape<EmbeddedZoneConfig>({
      name: text,
      nameServers: list(text),
      contact: text,
      ttlSeconds: count,
      negativeTtlSeconds: count,
      records: list(recordSet),
    }),
  ),
});

const witness = shape<WitnessConfig>({
  id: name,
  site: orNull(name),
  peers: list(text),
  admin: text,
  dns: orNull(text),
});

const config = shape<ClusterConfig>({
  cluster: text,
  version: count,
  witnesses: list(witness),
  sites: list(shape<SiteConfig>({ id: name })),
  leaders: optional(list(name)),
  groups: list(group),
  timings: shape<Timings>({
    profile: oneOf("wan", "fast"),
    tickMs: amount,
    heartbeatMs: amount,
    electionMinMs: amount,
    electionMaxMs: amount,
    viewIntervalMs: amount,
    viewTimeoutMs: amount,
  }),
  dns: orNull(dns),
});

const evidence = shape<Evidence>({
  kind: oneOf("ok", "definite", "ambiguous", "stall", "start"),
  text,
  count,
  falseAlarm: orNull(amount),
  rttMs: orNull(amount),
  loss: orNull(amount),
});

const stepName: Check = oneOf(...STEP_ORDER);
const stepKey = shape<StepKey>({ group: text, epoch: count, step: stepName, attempt: count });

const outcome = shape<StepOutcome>({
  kind: oneOf("done", "failed", "unknown"),
  code: text,
  message: text,
  retriable: flag,
  detail: text,
});

const command = union<Command>({
  configure: { config, hash: text },
  observe: {
    witness: text,
    abstaining: flag,
    observations: list(
      shape<Observation>({ target: text, opinion: oneOf("up", "down", "unknown"), evidence }),
    ),
  },
  stale: { witness: text },
  decide: {
    group: text,
    epoch: count,
    plan: oneOf("initial", "failover", "failback", "switchover", "rollback"),
    from: orNull(text),
    to: text,
    steps: list(stepName),
    reason: text,
    evidence: list(text),
    by: text,
  },
  begin: { key: stepKey, leader: text },
  finish: { key: stepKey, outcome, next: flag },
  grant: { group: text, epoch: count, site: text },
  close: {
    group: text,
    epoch: count,
    status: oneOf("done", "failed", "rolled_back"),
    reason: text,
    hold: orNull(text),
  },
  hold: { group: text, by: text, reason: text },
  resume: { group: text, by: text },
  note: { group: text, code: orNull(text), message: text, evidence: list(text) },
  noop: { data: text },
  member_add: { witness, replaces: orNull(count), node: count, by: text },
  member_promote: { node: count, by: text },
  member_remove: { node: count, by: text },
  member_bind: { node: count, disk: text },
  refuse: { code: oneOf(...REFUSAL_CODE_LIST), message: text },
});

const ordinal: Check = (value, path) =>
  value === 0 ? `${path} is 0, and the first one is 1` : count(value, path);
const session = shape<SessionKey>({ id: name, sequence: ordinal });

const wallMs: Check = (value, path) =>
  typeof value === "number" && Number.isFinite(value) ? null : `${path} is not a time`;

const envelope = shape<Envelope>({
  atMs: count,
  wallMs,
  leader: text,
  request: orNull(text),
  session: optional(session),
  command,
});

/** Null when the envelope and its command are well formed, else one line that names the first wrong field. */
export function envelopeFlaw(value: unknown): string | null {
  return envelope(value, "envelope");
}
