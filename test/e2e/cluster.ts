/**
 * Three witnesses and six services as real processes, and what a test does to them: start, kill -9, stop,
 * freeze; ask over the admin API; read the logs when something went wrong. More witnesses may come later, and
 * any may move, with a document of its own.
 *
 * Invariants: each process is ended by
 * `destroy`, by its pid, and the directory goes with it; a witness keeps its data directory from life to
 * life.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync } from "node:fs";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AdminRequest, AdminResponse, StatusReport } from "../../src/core/model/admin.js";
import type { AuditRecord, GroupState } from "../../src/core/model/state.js";
import { connectAdmin } from "../../src/drivers/server/admin-client.js";
import {
  GROUP,
  SERVICES,
  type Section,
  type ServicePlace,
  SITES,
  type SiteName,
  WITNESSES,
  type WitnessName,
  type WitnessPlace,
  writeDocument,
} from "./document.js";
import type { Machine } from "./machine.js";
import { until } from "./until.js";

/** The `pointsman` command. */
export const COMMAND = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const SERVICE = fileURLToPath(new URL("../../src/cli/demo/service.js", import.meta.url));

export interface ClusterOptions {
  readonly machines: Readonly<Record<WitnessName, Machine>>;
  /** Where the services of a site run. Default: with the witness of that site. */
  readonly serviceMachines?: Readonly<Record<SiteName, Machine>>;
  /** Groups by name, without `sites`. Default: `shop`, routed by the embedded name servers. */
  readonly groups?: Readonly<Record<string, Section>>;
  /** The name that a group moves; default NAME. */
  readonly names?: Readonly<Record<string, string>>;
  /** Further parts of the document: `dns`, `timings`. */
  readonly extra?: Section;
  /** True: each witness has an embedded name server for ZONE. */
  readonly embeddedDns?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  /** Data directories that are not below the cluster's own. */
  readonly dataOf?: Readonly<Partial<Record<WitnessName, string>>>;
  /** Default: both are started. */
  readonly startWitnesses?: boolean;
  readonly startServices?: boolean;
  /** Called when the document is written and nothing runs yet. */
  readonly beforeStart?: (cluster: Cluster) => Promise<void>;
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
}

export class Cluster {
  readonly directory: string;
  private places: readonly WitnessPlace[];
  private readonly options: ClusterOptions;
  private readonly services: ReadonlyMap<string, ServicePlace>;
  private readonly running = new Map<string, Running>();
  private moves = 0;

  private constructor(
    directory: string,
    options: ClusterOptions,
    witnesses: readonly WitnessPlace[],
    services: ReadonlyMap<string, ServicePlace>,
  ) {
    this.directory = directory;
    this.options = options;
    this.places = witnesses;
    this.services = services;
  }

  /** Chooses ports, writes the document, starts the services and the witnesses. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const directory = mkdtempSync(join(tmpdir(), "pointsman-e2e-"));
    const witnesses: WitnessPlace[] = [];
    for (const id of WITNESSES) {
      const place = await choosePlace(directory, id, options.machines[id], options.embeddedDns === true);
      witnesses.push({ ...place, data: options.dataOf?.[id] ?? place.data });
    }
    const services = new Map<string, ServicePlace>();
    for (const site of SITES) {
      const machine = options.serviceMachines?.[site] ?? options.machines[`w-${site}`];
      for (const [i, service] of SERVICES.entries()) {
        services.set(`${site}/${service}`, { machine, port: await machine.port(8101 + i) });
      }
    }
    const cluster = new Cluster(directory, options, witnesses, services);
    await writeFile(cluster.configFile, cluster.document(WITNESSES));
    try {
      await options.beforeStart?.(cluster);
      if (options.startServices !== false)
        await Promise.all([...services.keys()].map((id) => cluster.startService(id)));
      if (options.startWitnesses !== false)
        await Promise.all(witnesses.map(({ id }) => cluster.startWitness(id)));
    } catch (error) {
      await cluster.destroy();
      throw error;
    }
    return cluster;
  }

  get configFile(): string {
    return join(this.directory, "pointsman.yaml");
  }

  /** All witnesses that have a place, those that came later too. */
  get witnesses(): readonly WitnessPlace[] {
    return this.places;
  }

  /**
   * A place for one more witness, or another machine for one that has a place: other ports, another data directory,
   * and a document of its own. It does not run there before `startWitness`.
   */
  async move(
    id: string,
    machine: Machine,
    document: { readonly version: number; readonly witnesses: readonly string[] },
  ): Promise<WitnessPlace> {
    const name = `${id}-${++this.moves}`;
    const chosen = await choosePlace(this.directory, id, machine, this.options.embeddedDns === true);
    const place = {
      ...chosen,
      data: join(this.directory, name),
      config: join(this.directory, `${name}.yaml`),
    };
    this.places = [...this.places.filter((other) => other.id !== id), place];
    await writeFile(place.config, this.document(document.witnesses, document.version));
    return place;
  }

  /** Puts one document with these witnesses at all of them, to be read at their next start. */
  async spreadDocument(ids: readonly string[], version: number): Promise<void> {
    const text = this.document(ids, version);
    for (const file of new Set(ids.map((id) => this.place(id).config))) await writeFile(file, text);
  }

  /** The document with these witnesses, in this order, where they are now. */
  document(ids: readonly string[], version = 1): string {
    const { services } = this;
    const { groups, names, extra } = this.options;
    const witnesses = ids.map((id) => this.place(id));
    return writeDocument({ witnesses, services, groups, names, extra, version });
  }

  get adminAddresses(): string[] {
    return this.witnesses.map(({ admin }) => admin);
  }

  place(id: string): WitnessPlace {
    const found = this.witnesses.find((witness) => witness.id === id);
    if (found === undefined) throw new Error(`no witness ${id}`);
    return found;
  }

  isRunning(id: string): boolean {
    return this.running.has(id);
  }

  pid(id: string): number {
    const pid = this.running.get(id)?.child.pid;
    if (pid === undefined) throw new Error(`${id} does not run`);
    return pid;
  }

  /** Starts a service of a site (`a/web`); resolves when it listens. */
  async startService(id: string): Promise<void> {
    const service = this.services.get(id);
    if (service === undefined) throw new Error(`no service ${id}`);
    const { machine, port } = service;
    const child = machine.spawn(process.execPath, [SERVICE, String(port), id, machine.host], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.adopt(id, child);
    await Promise.race([
      once(child, "message"),
      once(child, "exit").then(() => Promise.reject(new Error(`service ${id} did not start`))),
    ]);
  }

  /** Starts a witness on its data directory. `flags`: further words for `pointsman run`. */
  async startWitness(id: string, flags: readonly string[] = []): Promise<void> {
    const { machine, data, log, config } = this.place(id);
    await mkdir(data, { recursive: true });
    const output = openSync(log, "a");
    const words = ["run", "--config", config, "--witness", id, "--data", data, ...flags];
    const child = machine.spawn(process.execPath, [COMMAND, ...words], {
      stdio: ["ignore", output, output],
      env: { ...process.env, UV_THREADPOOL_SIZE: "8", ...this.options.environment },
    });
    closeSync(output);
    this.adopt(id, child);
  }

  /** How the process ends, or null when it does not run. */
  exited(id: string): Promise<Exit> | null {
    return this.running.get(id)?.exited ?? null;
  }

  /** Sends a signal at once. */
  signal(id: string, signal: NodeJS.Signals): void {
    process.kill(this.pid(id), signal);
  }

  /** kill -9; resolves when the process is gone. */
  async kill(id: string): Promise<void> {
    const running = this.running.get(id);
    if (running === undefined) return;
    running.child.kill("SIGKILL");
    await running.exited;
  }

  /** SIGTERM; resolves with the end. */
  async stop(id: string): Promise<Exit> {
    const running = this.running.get(id);
    if (running === undefined) throw new Error(`${id} does not run`);
    running.child.kill("SIGTERM");
    return running.exited;
  }

  /** Asks one witness. Throws when it gives no word. */
  async ask(id: string, request: AdminRequest, timeoutMs = 5000): Promise<AdminResponse> {
    const connection = await connectAdmin(this.place(id).admin, 2000);
    try {
      return await connection.request(request, timeoutMs);
    } finally {
      connection.close();
    }
  }

  async status(id: string): Promise<StatusReport> {
    const answer = await this.ask(id, { kind: "status", linearizable: false });
    if (answer.kind !== "status") throw new Error(JSON.stringify(answer));
    return answer.status;
  }

  /** The audit records that a witness keeps, oldest first. */
  async history(id: string): Promise<AuditRecord[]> {
    const connection = await connectAdmin(this.place(id).admin, 2000);
    try {
      const records: AuditRecord[] = [];
      for (;;) {
        const last = records.at(-1);
        const since = last === undefined ? { index: 0, seq: null } : { index: last.index, seq: last.seq };
        const page = await connection.history({ group: null, since, limit: 1000 }, 5000);
        if (!("records" in page)) throw new Error(JSON.stringify(page));
        records.push(...page.records);
        if (!page.more) return records;
      }
    } finally {
      connection.close();
    }
  }

  /**
   * Waits until a running witness leads and all of `among` (default: all that run) follow it; returns its
   * name.
   */
  leader(among?: readonly string[]): Promise<WitnessName> {
    const ids = among ?? WITNESSES.filter((id) => this.isRunning(id));
    const look = async (): Promise<WitnessName | null> => {
      const reports = await Promise.all(ids.map((id) => this.status(id)));
      const leader = reports.find(({ raft }) => raft.role === "leader");
      const agree = reports.every(
        ({ raft }) => raft.leader === leader?.witness && raft.term === leader?.raft.term,
      );
      return agree && leader !== undefined ? (leader.witness as string as WitnessName) : null;
    };
    return until(`one of ${ids.join(", ")} leads and the others follow`, look, { everyMs: 150 });
  }

  /** The group as a witness has it. */
  async group(id: string, group = GROUP): Promise<GroupState> {
    const report = (await this.status(id)).groups.find((candidate) => candidate.group.id === group);
    if (report === undefined) throw new Error(`${id} knows no group ${group}`);
    return report.group;
  }

  /** Waits until the witness has a group that is primary at `site` with no plan running. */
  settled(id: string, site: SiteName, group = GROUP): Promise<GroupState> {
    return until(`${group} rests at site ${site} in the eyes of ${id}`, async () => {
      const state = await this.group(id, group);
      return state.ticket.status === "held" && state.ticket.site === site && state.plan?.status === "done"
        ? state
        : null;
    });
  }

  /** Waits until all six services are seen up by the majority and long enough for a switchover. */
  async calm(id: string): Promise<void> {
    await until("both sites are seen up", async () =>
      (await this.status(id)).groups.every(({ sites }) => sites.every(({ verdict }) => verdict === "up")),
    );
  }

  /** Asks for a switchover until it is accepted (a site has to be stable first); returns its epoch. */
  switchover(via: string, to: SiteName, reason: string, group = GROUP): Promise<number> {
    return until(`a switchover to ${to} is accepted`, async () => {
      const answer = await this.ask(via, {
        kind: "switchover",
        group,
        to: to as never,
        by: "e2e",
        reason,
      });
      if (answer.kind === "accepted") return answer.epoch;
      if (answer.kind === "refused" && answer.code === "unknown_outcome")
        throw new Error("the switchover may have been decided");
      throw new Error(JSON.stringify(answer));
    });
  }

  /** What a witness logged, one object a line; lines that are no JSON are left out. */
  async logLines(id: string): Promise<Record<string, unknown>[]> {
    const text = await readFile(this.place(id).log, "utf8");
    return text.split("\n").flatMap((line) => {
      try {
        return [JSON.parse(line) as Record<string, unknown>];
      } catch {
        return [];
      }
    });
  }

  /**
   * The end of every witness's log, for when something went wrong; POINTSMAN_E2E_KEEP names a directory for
   * all of them.
   */
  async tails(lines = 30): Promise<string> {
    const keep = process.env["POINTSMAN_E2E_KEEP"];
    if (keep !== undefined) {
      for (const { id, log } of this.witnesses)
        await cp(log, join(keep, `${basename(this.directory)}-${id}.log`));
    }
    const parts = await Promise.all(
      this.witnesses.map(async ({ id, log }) => {
        const text = await readFile(log, "utf8").catch(() => "no log\n");
        const end = text.trimEnd().split("\n").slice(-lines).join("\n");
        return `--- ${id}${this.isRunning(id) ? "" : " (not running)"}\n${end}`;
      }),
    );
    return parts.join("\n");
  }

  /** Ends everything and removes the directory. */
  async destroy(): Promise<void> {
    const all = [...this.running.values()];
    for (const { child } of all) child.kill("SIGKILL");
    await Promise.all(all.map(({ exited }) => exited));
    await rm(this.directory, { recursive: true, force: true });
  }

  private adopt(id: string, child: ChildProcess): void {
    const exited = new Promise<Exit>((resolve) => {
      child.once("error", () => resolve({ code: null, signal: "not started" }));
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    const running: Running = { child, exited };
    this.running.set(id, running);
    void exited.then(() => {
      if (this.running.get(id) === running) this.running.delete(id);
    });
  }
}

/** Free ports on the machine, and where the witness keeps its things in the directory of the cluster. */
async function choosePlace(
  directory: string,
  id: string,
  machine: Machine,
  hasDns: boolean,
): Promise<WitnessPlace> {
  const at = async (host: string, wish: number) => `${host}:${await machine.port(wish)}`;
  return {
    id,
    machine,
    peer: await at(machine.host, 7400),
    admin: await at(machine.adminHost, 7401),
    dns: hasDns ? await at(machine.adminHost, 5301) : null,
    data: join(directory, id),
    log: join(directory, `${id}.log`),
    config: join(directory, "pointsman.yaml"),
  };
}

/** Runs a test with a cluster; when it fails, the ends of the logs are printed with it. */
export async function withCluster<T>(
  options: ClusterOptions,
  body: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const cluster = await Cluster.start(options);
  try {
    return await body(cluster);
  } catch (error) {
    process.stderr.write(`${await cluster.tails()}\n`);
    throw error;
  } finally {
    await cluster.destroy();
  }
}
