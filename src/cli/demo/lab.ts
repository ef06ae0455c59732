/**
 * The demo's little world: two sites with three services each and three witnesses, all real processes on loopback.
 *
 * Invariants: every process that was started is ended by `stop`, by its pid; nothing is left on disk.
 * Children also end by themselves when this process dies without a word, because their IPC channel closes.
 */
import { type ChildProcess, fork } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const SITES = ["a", "b"] as const;
const SERVICES = ["web", "api", "db"] as const;
const WITNESSES = ["w-a", "w-b", "w-c"] as const;
export const GROUP = "shop";
export const NAME = "www.shop.demo";
/** What the name says for each site (addresses of RFC 5737, for documentation). */
export const ADDRESS: Readonly<Record<string, string>> = { a: "192.0.2.10", b: "198.51.100.20" };

export interface Witness {
  readonly id: string;
  readonly peer: string;
  readonly admin: string;
  readonly dns: string;
}

export interface Service {
  /** `site/service`. */
  readonly id: string;
  readonly port: number;
}

const ENTRY = fileURLToPath(new URL("../main.js", import.meta.url));
const SERVICE = fileURLToPath(new URL("./service.js", import.meta.url));

/** A port that is free now: the preferred one, or any. */
async function freePort(preferred: number): Promise<number> {
  const attempt = (port: number): Promise<number | null> =>
    new Promise((resolve) => {
      const probe = createServer();
      probe.once("error", () => resolve(null));
      probe.listen(port, "127.0.0.1", () => {
        const bound = probe.address();
        probe.close(() => resolve(typeof bound === "object" && bound !== null ? bound.port : null));
      });
    });
  const port = (await attempt(preferred)) ?? (await attempt(0));
  if (port === null) throw new Error("no free port on 127.0.0.1");
  return port;
}

export class Lab {
  readonly directory: string;
  readonly witnesses: readonly Witness[];
  readonly services: readonly Service[];
  private readonly children = new Map<string, ChildProcess>();
  private stopping = false;
  /** Called when a child ended that nobody asked to end. */
  onExit: (id: string, code: number | null, signal: string | null) => void = () => undefined;

  private constructor(directory: string, witnesses: readonly Witness[], services: readonly Service[]) {
    this.directory = directory;
    this.witnesses = witnesses;
    this.services = services;
  }

  /** Chooses ports and a directory, writes the document, starts the services and then the witnesses. */
  static async start(): Promise<Lab> {
    const directory = await mkdtemp(join(tmpdir(), "pointsman-demo-"));
    const witnesses: Witness[] = [];
    for (const [i, id] of WITNESSES.entries()) {
      const at = async (preferred: number): Promise<string> => `127.0.0.1:${await freePort(preferred)}`;
      witnesses.push({
        id,
        peer: await at(7400 + 10 * i),
        admin: await at(7401 + 10 * i),
        dns: await at(5301 + i),
      });
    }
    const services: Service[] = [];
    for (const [s, site] of SITES.entries()) {
      for (const [k, service] of SERVICES.entries()) {
        services.push({ id: `${site}/${service}`, port: await freePort(8101 + 100 * s + k) });
      }
    }
    const lab = new Lab(directory, witnesses, services);
    try {
      await writeFile(lab.configFile, lab.document());
      await Promise.all(services.map(({ id }) => lab.startService(id)));
      await Promise.all(witnesses.map(({ id }) => lab.startWitness(id)));
    } catch (error) {
      await lab.stop();
      throw error;
    }
    return lab;
  }

  get configFile(): string {
    return join(this.directory, "pointsman.yaml");
  }

  witness(id: string): Witness {
    const found = this.witnesses.find((witness) => witness.id === id);
    if (found === undefined) throw new Error(`no witness ${id}`);
    return found;
  }

  pid(id: string): number | null {
    return this.children.get(id)?.pid ?? null;
  }

  isRunning(id: string): boolean {
    return this.children.has(id);
  }

  /** Starts a service; resolves when it listens. */
  async startService(id: string): Promise<void> {
    const service = this.services.find((candidate) => candidate.id === id);
    if (service === undefined) throw new Error(`no service ${id}`);
    const child = fork(SERVICE, [String(service.port), id], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.adopt(id, child);
    await new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("error", reject);
      child.once("exit", () => reject(new Error(`service ${id} did not start`)));
    });
  }

  /** Starts a witness on its own data directory; its log goes to a file beside it. */
  async startWitness(id: string): Promise<void> {
    const data = join(this.directory, id);
    await mkdir(data, { recursive: true });
    const log = createWriteStream(join(this.directory, `${id}.log`), { flags: "a" });
    await new Promise<void>((resolve, reject) => log.once("open", () => resolve()).once("error", reject));
    if (this.stopping) {
      log.close();
      throw new Error(`the lab was stopped before witness ${id} was started`);
    }
    const child = fork(ENTRY, ["run", "--config", this.configFile, "--witness", id, "--data", data], {
      stdio: ["ignore", log, log, "ipc"],
      env: { ...process.env, UV_THREADPOOL_SIZE: "16" },
    });
    child.once("exit", () => log.close());
    this.adopt(id, child);
  }

  /** Ends a process at once, as a crash would. Resolves when it is gone. */
  kill(id: string): Promise<void> {
    return this.end(id, "SIGKILL");
  }

  /** The last lines of a witness's log, for when something went wrong. */
  async lastLog(id: string): Promise<string> {
    const text = await readFile(join(this.directory, `${id}.log`), "utf8").catch(() => "no log");
    return `--- ${id}\n${text.split("\n").slice(-12).join("\n")}`;
  }

  /** Ends everything and removes the directory, unless it is to be kept. */
  async stop(keep = false): Promise<void> {
    this.stopping = true;
    await Promise.all(WITNESSES.map((id) => this.end(id, "SIGTERM")));
    await Promise.all(this.services.map(({ id }) => this.end(id, "SIGKILL")));
    if (!keep) await rm(this.directory, { recursive: true, force: true });
  }

  private adopt(id: string, child: ChildProcess): void {
    this.children.set(id, child);
    child.once("exit", (code, signal) => {
      if (this.children.get(id) === child) this.children.delete(id);
      if (!this.stopping) this.onExit(id, code, signal);
    });
  }

  private end(id: string, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.children.get(id);
    if (child === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const last = setTimeout(() => child.kill("SIGKILL"), 5000);
      child.once("exit", () => {
        clearTimeout(last);
        resolve();
      });
      child.kill(signal);
    });
  }

  private document(): string {
    const witnesses = this.witnesses.map(
      ({ id, peer, admin, dns }, i) =>
        `  ${id}: { ${i < SITES.length ? `site: ${SITES[i]}, ` : ""}peer: "${peer}", admin: "${admin}", dns: "${dns}" }`,
    );
    const sites = SITES.map((site) => {
      const targets = this.services
        .filter(({ id }) => id.startsWith(`${site}/`))
        .map(
          ({ id, port }) =>
            `          ${id.slice(site.length + 1)}: { http: "http://127.0.0.1:${port}/health" }`,
        );
      return [
        `      ${site}:`,
        "        targets:",
        ...targets,
        `        records: { ${NAME}: { A: ${ADDRESS[site]} } }`,
      ].join("\n");
    });
    return `# Written by \`pointsman demo\`: two sites, three services each, three witnesses, one name.
cluster: demo
version: 1
witnesses:
${witnesses.join("\n")}
sites: [a, b]
# Patient elections: this machine is shared by all nine processes, and a busy one stops each of them for half a second.
timings: { profile: fast, tick: 50ms, heartbeat: 100ms, electionMin: 1s, electionMax: 2s, viewTimeout: 3s }
probes: { timeout: 1s }
dns:
  zones:
    shop.demo: { nameServers: [ns.shop.demo], contact: hostmaster@shop.demo, ttl: 1s, records: { ns.shop.demo: { A: 127.0.0.1 } } }
groups:
  ${GROUP}:
    sites:
${sites.join("\n")}
    drain: { exec: ["${process.execPath}", "-e", "setTimeout(() => console.log('drained'), 1000)"], timeout: 5s }
    route:
      - embedded: { zone: shop.demo }
`;
  }
}
