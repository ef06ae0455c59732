/**
 * Real name servers for tests: BIND 9 (`named`) and Knot (`knotd`), each in a private directory, on a free
 * port, with one zone that a TSIG key may update, ended by the process id that we started.
 *
 * `argvPrefix` puts the server elsewhere, e.g. `["ip", "netns", "exec", ns]`, and `host` is where it listens;
 * the directory is shared by both worlds, so the journal of a server that was killed is there when it starts
 * again.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** The products that the tests know. */
export type NameServerKind = "bind" | "knot";

/** A TSIG key with its secret decoded. */
export interface TestKey {
  readonly name: string;
  readonly algorithm: "hmac-sha256" | "hmac-sha512";
  readonly secret: Buffer;
}

/** What to start. */
export interface NameServerOptions {
  /** Default "example.test". */
  readonly zone?: string;
  /** Listen address. Default 127.0.0.1. */
  readonly host?: string;
  /** Further addresses to listen on, at the same port. */
  readonly alsoListen?: readonly string[];
  /** Default: a free port. */
  readonly port?: number;
  /** Zone file lines after SOA and NS, names relative to the zone. */
  readonly records?: readonly string[];
  /** Names of the NS records. Default ["ns1"], with an A record for `host`. */
  readonly nameServers?: readonly string[];
  /** Default: a fresh hmac-sha256 key. */
  readonly key?: TestKey;
  /** Further keys that the server knows but that may not update the zone. */
  readonly otherKeys?: readonly TestKey[];
  /** Words before the server's own command line. */
  readonly argvPrefix?: readonly string[];
}

/** A running name server. */
export interface NameServer {
  readonly kind: NameServerKind;
  readonly zone: string;
  readonly host: string;
  readonly port: number;
  /** "host:port". */
  readonly address: string;
  readonly key: TestKey;
  /** What the server wrote to its log so far. */
  log(): string;
  /** Ends it (SIGTERM, then SIGKILL after 5 s) and keeps its directory for `start`. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Starts it again on its old data. */
  start(): Promise<void>;
  /** Stops it and deletes its directory. */
  close(): Promise<void>;
}

const BINARIES: Readonly<Record<NameServerKind, readonly string[]>> = {
  bind: ["/usr/sbin/named", "/usr/bin/named"],
  knot: ["/usr/sbin/knotd", "/usr/bin/knotd"],
};
const PACKAGES: Readonly<Record<NameServerKind, string>> = { bind: "bind9", knot: "knot" };

/** The path of a server's program, or null when it is not installed. */
export function nameServerBinary(kind: NameServerKind): string | null {
  return BINARIES[kind].find((path) => existsSync(path)) ?? null;
}

/**
 * Why tests of this server are skipped here, or false; in CI (`CI=true`) nothing is skipped, so they fail
 * instead.
 */
export function skipNameServer(kind: NameServerKind): string | false {
  if (nameServerBinary(kind) !== null || process.env["CI"] === "true") return false;
  return `${kind} is not installed (Debian package ${PACKAGES[kind]})`;
}

/** A key with a random secret. */
export function testKey(name = "pointsman.", algorithm: TestKey["algorithm"] = "hmac-sha256"): TestKey {
  return { name, algorithm, secret: randomBytes(32) };
}

/** The ports that this process was given; whoever got one may not listen on it yet. */
const given = new Set<number>();

/** A TCP port that was free a moment ago; taken below the range that the kernel gives to clients, and given once. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  for (let trial = 0; trial < 50; trial++) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once("error", () => resolve(false));
      server.listen(port, host, () => server.close(() => resolve(true)));
    });
    if (!isFree || given.has(port)) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port on ${host}`);
}

function zoneFile(zone: string, host: string, options: NameServerOptions): string {
  const names = options.nameServers ?? ["ns1"];
  return [
    "$TTL 60",
    `$ORIGIN ${zone}.`,
    `@ IN SOA ${names[0]} hostmaster 1 3600 600 86400 60`,
    ...names.map((name) => `@ IN NS ${name}`),
    ...(options.nameServers === undefined ? [`ns1 IN ${host.includes(":") ? "AAAA" : "A"} ${host}`] : []),
    ...(options.records ?? []),
    "",
  ].join("\n");
}

function bindConfig(
  dir: string,
  server: { zone: string; host: string; port: number; alsoListen: readonly string[] },
  keys: readonly TestKey[],
) {
  const [own] = keys;
  const isV6 = server.host.includes(":");
  const listen = `port ${server.port} { ${[server.host, ...server.alsoListen].join("; ")}; }`;
  return [
    `options { directory "${dir}"; listen-on ${isV6 ? "{ none; }" : listen}; listen-on-v6 ${isV6 ? listen : "{ none; }"};`,
    "pid-file none; session-keyfile none; recursion no; dnssec-validation no; empty-zones-enable no; notify no; };",
    "controls { };",
    ...keys.map(
      (key) =>
        `key "${key.name}" { algorithm ${key.algorithm}; secret "${key.secret.toString("base64")}"; };`,
    ),
    `zone "${server.zone}" { type primary; file "${join(dir, "zone.db")}"; max-journal-size 1m;`,
    `update-policy { grant ${own?.name} zonesub A AAAA CNAME TXT; }; };`,
    "",
  ].join("\n");
}

function knotConfig(
  dir: string,
  server: { zone: string; host: string; port: number; alsoListen: readonly string[] },
  keys: readonly TestKey[],
) {
  return [
    "server:",
    `    rundir: "${dir}"`,
    `    listen: [${[server.host, ...server.alsoListen].map((host) => `${host}@${server.port}`).join(", ")}]`,
    "    udp-workers: 1",
    "    tcp-workers: 1",
    "    background-workers: 1",
    "log:",
    "  - target: stderr",
    "    any: info",
    "database:",
    `    storage: "${join(dir, "db")}"`,
    "key:",
    ...keys.flatMap((key) => [
      `  - id: ${key.name}`,
      `    algorithm: ${key.algorithm}`,
      `    secret: ${key.secret.toString("base64")}`,
    ]),
    "acl:",
    "  - id: may_update",
    `    key: ${keys[0]?.name}`,
    "    action: update",
    "zone:",
    `  - domain: ${server.zone}`,
    `    storage: "${dir}"`,
    "    file: zone.db",
    "    acl: may_update",
    "    semantic-checks: on",
    // The journal alone keeps the changes; with the default, an update that meets the rewriting of the zone
    // file waits 1 s.
    "    zonefile-sync: -1",
    "",
  ].join("\n");
}

function argvOf(kind: NameServerKind, binary: string, config: string): string[] {
  return kind === "bind" ? [binary, "-g", "-n", "1", "-c", config] : [binary, "-c", config];
}

/** Starts a name server and returns when it answers for its zone. */
export async function startNameServer(
  kind: NameServerKind,
  options: NameServerOptions = {},
): Promise<NameServer> {
  const binary = nameServerBinary(kind);
  if (binary === null) throw new Error(`${kind} is not installed: apt-get install ${PACKAGES[kind]}`);
  const zone = options.zone ?? "example.test";
  const host = options.host ?? "127.0.0.1";
  const prefix = options.argvPrefix ?? [];
  const port = options.port ?? (prefix.length > 0 ? 5353 : await freePort(host));
  const key = options.key ?? testKey();
  const dir = await mkdtemp(join(tmpdir(), `pointsman-${kind}-`));
  await mkdir(join(dir, "db"));
  await writeFile(join(dir, "zone.db"), zoneFile(zone, host, options));
  const keys = [key, ...(options.otherKeys ?? [])];
  const config = join(dir, "server.conf");
  const configText = kind === "bind" ? bindConfig : knotConfig;
  await writeFile(config, configText(dir, { zone, host, port, alsoListen: options.alsoListen ?? [] }, keys), {
    mode: 0o600,
  });
  const [program = "", ...args] = [...prefix, ...argvOf(kind, binary, config)];
  let child: ChildProcess | null = null;
  let text = "";

  const answers = (): boolean => {
    try {
      const [dig = "", ...digArgs] = [
        ...prefix,
        ..."dig +norec +tries=1 +time=1 +noall +comments +nocookie".split(" "),
        `@${host}`,
        "-p",
        String(port),
        zone,
        "SOA",
      ];
      return execFileSync(dig, digArgs, { encoding: "utf8", stdio: "pipe" }).includes(" aa");
    } catch {
      return false;
    }
  };
  const start = async (): Promise<void> => {
    // No shell in between: the pid is the server's own (`ip netns exec` replaces itself).
    const started = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    child = started;
    for (const stream of [started.stdout, started.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        text += chunk.toString("utf8");
      });
    }
    started.on("error", (error) => {
      text += `${error.message}\n`;
    });
    for (let trial = 0; trial < 100; trial++) {
      if (answers()) return;
      if (started.exitCode !== null) break;
      await sleep(50);
    }
    await stop("SIGKILL");
    throw new Error(`${kind} did not come up on ${host}:${port}:\n${text}`);
  };
  const stop = async (signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> => {
    const running = child;
    child = null;
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => running.once("exit", () => resolve()));
    running.kill(signal);
    const timer = setTimeout(() => running.kill("SIGKILL"), 5_000);
    await exited;
    clearTimeout(timer);
  };
  await start();
  return {
    kind,
    zone,
    host,
    port,
    address: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
    key,
    log: () => text,
    stop,
    start,
    close: async () => {
      await stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** What a server has for a name and type, in the short form of `dig`, one line a record, sorted. */
export function digShort(
  server: NameServer,
  name: string,
  type: string,
  argvPrefix: readonly string[] = [],
): string[] {
  const [program = "", ...args] = [
    ...argvPrefix,
    ..."dig +norec +tcp +tries=1 +time=3 +short".split(" "),
    `@${server.host}`,
    "-p",
    String(server.port),
    name,
    type,
  ];
  const text = execFileSync(program, args, { encoding: "utf8" });
  return text
    .split("\n")
    .filter((line) => line !== "")
    .sort();
}
