/**
 * The composition root: builds one witness process out of the core and its drivers, and takes it down in order.
 *
 * Order of start: the document, the disk, the listeners, and only then the witness, so that whatever cannot
 * work is said before anything is promised. Order of stop: the witness hands over, the listeners close, the
 * disk last.
 */
import { randomInt } from "node:crypto";
import type { AdminResponse } from "./core/model/admin.js";
import type { ClusterConfig, WitnessConfig } from "./core/model/config.js";
import type { PublishedEvent } from "./core/witness/contract.js";
import { Witness } from "./core/witness/witness.js";
import { createActuator } from "./drivers/actuator/actuator.js";
import { loadConfig } from "./drivers/config/config.js";
import { formatPath, formatProblem } from "./drivers/config/problem.js";
import { createLog, type Log, type LogFormat, type LogLevel } from "./drivers/log/log.js";
import { createProber } from "./drivers/probe/probe.js";
import { EXIT_SOFTWARE, EXIT_STORAGE, Runtime } from "./drivers/runtime/runtime.js";
import { startAdminServer } from "./drivers/server/admin.js";
import type { AdminBackend } from "./drivers/server/admin-calls.js";
import { startDnsServer } from "./drivers/server/dns-server.js";
import { ZoneView } from "./drivers/server/zone-data.js";
import { openStorage } from "./drivers/storage/storage.js";
import { StorageError } from "./drivers/storage/storage-error.js";
import { parseAddress } from "./drivers/transport/address.js";
import { openTransport, type Transport } from "./drivers/transport/transport.js";
import { packageVersion } from "./version.js";

export interface RunOptions {
  readonly configFile: string;
  /** Which witness of the document this process is. */
  readonly witness: string;
  readonly dataDir: string;
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
}

/** Exit codes of a witness (sysexits.h), documented in docs/errors.md. */
const EXIT_UNAVAILABLE = 69;
const EXIT_CONFIG = 78;
/** After so long a driver that does not close is left to the end of the process. */
const CLOSE_MS = 5000;

/** SIGHUP: the terminal was closed. */
const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

type Closer = () => Promise<void> | void;

/** Runs one witness until it is stopped; resolves with the exit code. Never rejects. */
export async function runWitness(options: RunOptions): Promise<number> {
  let term = 0;
  const log = createLog({
    witness: options.witness,
    level: options.logLevel ?? "info",
    format: options.logFormat ?? "auto",
    output: 1,
    context: () => ({ term }),
  });
  const loaded = await loadConfig(options.configFile);
  if (loaded.kind === "refused") {
    for (const problem of loaded.errors) log.error({ code: problem.code }, formatProblem(problem));
    return EXIT_CONFIG;
  }
  for (const warning of loaded.warnings) {
    log.warn({ code: warning.code }, `${formatPath(warning.path)}: ${warning.message}. ${warning.remedy}`);
  }
  const { config, hash } = loaded;
  const self = config.witnesses.find(({ id }) => id === options.witness);
  if (self === undefined) {
    const known = config.witnesses.map(({ id }) => id).join(", ");
    log.error(
      { code: "unknown_witness" },
      `${options.configFile} has no witness ${options.witness}; give --witness one of: ${known}`,
    );
    return EXIT_CONFIG;
  }
  const closers: Closer[] = [];
  try {
    return await run(
      options,
      {
        config,
        hash,
        self,
        onTerm: (now) => {
          term = now;
        },
      },
      log,
      closers,
    );
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const code = codeOf(error) ?? "internal";
    log.fatal({ code, ...whence(error) }, error.message);
    return error instanceof StorageError
      ? EXIT_STORAGE
      : code === "internal"
        ? EXIT_SOFTWARE
        : EXIT_UNAVAILABLE;
  } finally {
    await closeAll(closers, log);
  }
}

/** The stable code of a failure of the world; null for anything else, Node's own ERR_ codes too, which is a bug. */
function codeOf(thrown: unknown): string | null {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : null;
  return typeof code === "string" && !code.startsWith("ERR_") ? code : null;
}

/** Where a bug was found. What has a code says all in its sentence, and a stack would only hide it. */
function whence(thrown: unknown): object {
  return thrown === null || codeOf(thrown) !== null ? {} : { err: thrown };
}

interface Own {
  readonly config: ClusterConfig;
  readonly hash: string;
  readonly self: WitnessConfig;
  /** The term stands in each line of the log. */
  readonly onTerm: (term: number) => void;
}

async function run(options: RunOptions, own: Own, log: Log, closers: Closer[]): Promise<number> {
  const { config, hash, self } = own;
  const identity = { cluster: config.cluster, witness: self.id };
  const { storage, restored } = await openStorage({ directory: options.dataDir, identity });
  closers.push(() => storage.close());
  for (const notice of restored.notices) log.warn({ code: "storage_repaired" }, notice);
  if (restored.recovering !== null)
    log.error({ code: "recovering", ...restored.recovering }, restored.recovering.reason);

  // A new life is told from the former one by peers and by the leader; the number only has to differ.
  const life = randomInt(2 ** 47);
  const witness = new Witness({ self: self.id, config, configHash: hash, seed: randomInt(2 ** 32), life });
  const prober = createProber();
  closers.push(() => prober.close());
  const actuator = createActuator({ witness: self.id, config: () => witness.state.config, log });
  closers.push(() => actuator.close());

  let end: (code: number) => void = () => undefined;
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });
  const transport = await openTransport({
    cluster: config.cluster,
    self: self.id,
    disk: restored.diskId,
    life,
    listen: self.peers,
    peers: config.witnesses.flatMap((peer) =>
      peer === self ? [] : [{ witness: peer.id, addresses: peer.peers }],
    ),
    heartbeatMs: config.timings.heartbeatMs,
    onMessage: (from, message, disk) => runtime.postSoon({ kind: "message", from, disk, message }),
    onSnapshotSent: (to, index, ok) => runtime.post({ kind: "snapshot_sent", to, index, ok }),
    log,
  });
  closers.push(() => transport.close());
  const runtime: Runtime = new Runtime(
    witness,
    {
      persist: (effect) => storage.append(effect),
      adopt: ({ adopted }) => storage.adopt(adopted),
      compact: ({ snapshot, keepFrom }) => storage.compact(snapshot, keepFrom),
      peers: ({ peers }) => transport.updatePeers(peers),
      send: ({ to, message, urgent }) => transport.send(to, message, { urgent }),
      probe: ({ target, spec, timeoutMs }) => prober.run(spec, timeoutMs, target),
      actuate: (effect) => actuator.run(effect),
      cancel: ({ key }) => actuator.cancel(key),
      halt: (code, reason, thrown) => {
        if (code === 0) log.info({}, reason);
        else {
          const words = thrown instanceof Error ? `${reason}: ${thrown.message}` : reason;
          log.fatal({ code: codeOf(thrown) ?? "halt", exit: code, ...whence(thrown) }, words);
        }
        end(code);
      },
    },
    `${self.id}-${life}`,
  );
  runtime.subscribe((event) => {
    if (event.kind === "role") {
      own.onTerm(event.term);
      if (event.role !== "leader") transport.abandonSnapshots();
    }
    logEvent(log, event);
  });
  const backend: AdminBackend = {
    request: async (request, signal) =>
      withSnapshots(await runtime.request(request, signal), transport.snapshots()),
    history: () => runtime.history(),
    state: () => runtime.state(),
    subscribe: (listener) => runtime.subscribe(listener),
  };
  await listen(own, witness, { runtime, backend }, log, closers);
  runtime.post({
    kind: "restored",
    monoMs: monoMs(),
    hardState: restored.hardState,
    base: restored.base,
    entries: restored.entries,
    snapshot: restored.snapshot,
    adopted: restored.adopted,
    disk: restored.diskId,
    recovering: restored.recovering,
  });
  closers.push(runtime.startClock(config.timings.tickMs, monoMs));
  closers.push(onSignals(runtime, log, end));
  log.info(
    { data: options.dataDir, disk: restored.diskId, admin: self.admin, peers: self.peers },
    "witness started",
  );
  return await ended;
}

/** Opens what people and programs use: the admin API and, if this witness has one, the name server. */
async function listen(
  own: Own,
  witness: Witness,
  { runtime, backend }: { readonly runtime: Runtime; readonly backend: AdminBackend },
  log: Log,
  closers: Closer[],
): Promise<void> {
  const admin = await startAdminServer({
    address: own.self.admin,
    backend,
    log,
    version: packageVersion(),
  });
  closers.push(() => admin.close(1000));
  runtime.subscribe((event) => {
    if (event.kind === "role") admin.setServing(event.leader !== null);
  });
  if (own.self.dns === null) return;
  const { host, port } = parseAddress(own.self.dns, "dns");
  const zones = new ZoneView();
  const dns = await startDnsServer({
    host,
    port,
    lookup: () => zones.data(witness.state, witness.leaderContactAgeMs(monoMs())),
    onProblem: (message, cause) =>
      log.warn({ code: "dns", ...(cause === undefined ? {} : { err: cause }) }, message),
  });
  closers.push(() => dns.close());
}

/** How far the transport is with the snapshots that it sends: the core orders them and does not know. */
function withSnapshots(response: AdminResponse, sent: ReturnType<Transport["snapshots"]>): AdminResponse {
  if (response.kind !== "members" || sent.length === 0) return response;
  const members = response.report.members.map(({ member, progress }) => {
    const under = sent.find(({ to }) => to === member.witness);
    if (progress === null || under === undefined) return { member, progress };
    const { confirmedBytes, totalBytes } = under;
    return { member, progress: { ...progress, snapshot: { confirmedBytes, totalBytes } } };
  });
  return { kind: "members", report: { ...response.report, members } };
}

function monoMs(): number {
  return Math.floor(performance.now());
}

/** The first signal, or the end of the parent that started us over IPC, stops in good order; a second one at once. */
function onSignals(runtime: Runtime, log: Log, end: (code: number) => void): Closer {
  let asked = false;
  const stop = (why: string): void => {
    if (asked) return end(EXIT_UNAVAILABLE);
    asked = true;
    log.info({}, `stopping: ${why}`);
    runtime.post({ kind: "stop" });
  };
  const onDisconnect = (): void => stop("the parent process is gone");
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  if (process.connected) process.on("disconnect", onDisconnect);
  return () => {
    for (const signal of STOP_SIGNALS) process.off(signal, stop);
    process.off("disconnect", onDisconnect);
  };
}

/**
 * Detail as it stands in the log. Unit: characters. A state that is installed brings up to two thousand records at
 * once, each with the output of a hook perhaps: written whole, that would stop a witness for seconds.
 */
const LOGGED_DETAIL_MAX = 2000;

function cut(detail: readonly string[]): readonly string[] {
  const lines: string[] = [];
  let left = LOGGED_DETAIL_MAX;
  for (const line of detail) {
    if (line.length > left) return [...lines, `${line.slice(0, left)}… (all of it: pointsman history)`];
    lines.push(line);
    left -= line.length;
  }
  return lines;
}

function logEvent(log: Log, event: PublishedEvent): void {
  switch (event.kind) {
    case "audit": {
      const { record } = event;
      const fields = {
        event: record.kind,
        index: record.index,
        ...(record.group === null ? {} : { group: record.group }),
        ...(record.epoch === null ? {} : { epoch: record.epoch }),
        ...(record.detail.length === 0 ? {} : { detail: cut(record.detail) }),
      };
      return log.info(fields, record.message);
    }
    case "role":
      return log.info({ event: "role", leader: event.leader }, `${event.role} in term ${event.term}`);
    case "routed":
      return log.info(
        { event: "routed", group: event.group },
        `the names of ${event.group} point at ${event.site}`,
      );
    case "warning":
      // These say that something may be lost already, or that a person has to do something.
      if (["log_anomaly", "other_disk", "no_member", "disk_stalled"].includes(event.code))
        return log.error({ code: event.code }, event.message);
      return log.warn({ code: event.code }, event.message);
  }
}

async function closeAll(closers: Closer[], log: Log): Promise<void> {
  for (const close of closers.reverse()) {
    const late = new Promise<"late">((resolve) => setTimeout(() => resolve("late"), CLOSE_MS).unref());
    try {
      if ((await Promise.race([close(), late])) === "late")
        log.warn({ code: "close" }, "something does not close; going on");
    } catch (thrown) {
      log.warn({ code: "close", err: thrown }, "could not close in good order");
    }
  }
}
