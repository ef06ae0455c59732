/**
 * Sites in Linux network namespaces on one machine, joined by a router whose links can be cut and made lossy,
 * each direction by itself.
 *
 *   site 1 (10.<carrier>.1.1) --.
 *   site 2 (10.<carrier>.2.1) ----- router namespace, nftables in the forward hook
 *   site 3 (10.<carrier>.3.1) --'
 *
 * A carrier is a network of its own: a site has one address in each, and traffic to a carrier's address
 * travels on that carrier. Further addresses of a site on the same carrier are .2, .3 and so on. Node cannot
 * change its namespace, so what shall run at a site is a child process (`spawn`, `run`). Names carry this
 * process's pid; leftovers of dead processes are removed on `create`. Needs root and `ip`, `nft`; ask
 * `netnsAvailable` first. Loss is nftables' `numgen random`: netem is not in every kernel.
 *
 * With `management`, each site has one more link, straight to this process's namespace, which no fault
 * touches: over it the test asks every site whatever it cut, and plays servers for the sites at
 * `managementHost`. Its addresses are from 198.18.0.0/15 (RFC 2544, for tests of networks), chosen by pid.
 */
import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from "node:child_process";
import { existsSync } from "node:fs";

const PREFIX = "pml";
const MANAGEMENT_SITES_MAX = 8;
const MANAGEMENT_LABS = 2 ** 17 / 4 / MANAGEMENT_SITES_MAX;
let labCount = 0;
let verdict: string | null | undefined;

/** Null when namespaces work here, else the reason why not. */
export function netnsAvailable(): string | null {
  if (verdict === undefined) verdict = tryNetns();
  return verdict;
}

/**
 * For `test(name, { skip: skipWithoutNetns() }, …)`: in CI nothing is skipped, so that what cannot run fails.
 */
export function skipWithoutNetns(): string | false {
  return process.env["CI"] === "true" ? false : (netnsAvailable() ?? false);
}

export interface NetLabOptions {
  /** Sites are numbered from 1. */
  readonly sites: number;
  /** Networks that join every site, numbered from 0; default 1. */
  readonly carriers?: number;
  /** Addresses of a site in each carrier; default 1. */
  readonly addresses?: number;
  /** A link from each site to the namespace of this process; at most 8 sites. Default false. */
  readonly management?: boolean;
}

/** Which traffic a fault touches: one direction between two sites, on one carrier or all. */
interface Fault {
  readonly from: number;
  readonly to: number;
  readonly carrier: number | null;
  /** 100 is a cut. */
  readonly lossPercent: number;
}

export class NetLab {
  readonly sites: number;
  readonly carriers: number;
  private readonly addresses: number;
  private readonly name: string;
  /** First /30 of this lab in the management network, or null when it has none. */
  private readonly managementBlock: number | null;
  private readonly children = new Set<ChildProcess>();
  private faults: Fault[] = [];
  private destroyed = false;

  private constructor(options: NetLabOptions) {
    this.sites = options.sites;
    this.carriers = options.carriers ?? 1;
    this.addresses = options.addresses ?? 1;
    labCount += 1;
    this.name = `${PREFIX}${process.pid}-${labCount}`;
    this.managementBlock = options.management === true ? freeManagementBlock(options.sites) : null;
  }

  /** Builds the namespaces. Whatever happens to this process (but SIGKILL), they are removed with it. */
  static create(options: NetLabOptions): NetLab {
    removeLeftovers();
    const lab = new NetLab(options);
    LABS.add(lab);
    try {
      lab.build();
    } catch (error) {
      lab.destroy();
      throw error;
    }
    return lab;
  }

  /** Name of the namespace of a site, for `ip netns exec`. */
  namespace(site: number): string {
    return `${this.name}-s${site}`;
  }

  /** The site's address in a carrier; `extra` from 0 to `addresses - 1`. */
  address(site: number, carrier = 0, extra = 0): string {
    return `10.${carrier}.${site}.${1 + extra}`;
  }

  /** The site's address on its management link. */
  managementAddress(site: number): string {
    return this.managementHosts(site).inside;
  }

  /** The address of this process that every site reaches over its management link. */
  get managementHost(): string {
    return this.managementHosts(1).outside;
  }

  /**
   * What a site sends to `from` (`host` and `port`) over TCP goes to an address of this process instead, and over
   * UDP nowhere; one at a time.
   */
  redirect(site: number, from: { host: string; port: number }, toPort: number): void {
    const script = [
      "table ip aside {}",
      "delete table ip aside",
      "table ip aside {",
      "  chain out {",
      "    type nat hook output priority -100;",
      `    ip daddr ${from.host} tcp dport ${from.port} dnat to ${this.managementHost}:${toPort}`,
      "  }",
      "  chain packets {",
      "    type filter hook output priority 0;",
      `    ip daddr ${from.host} udp dport ${from.port} drop`,
      "  }",
      "  chain post {",
      "    type nat hook postrouting priority 100;",
      `    oifname "mgmt" masquerade`,
      "  }",
      "}",
    ].join("\n");
    this.run(site, "nft", ["-f", "-"], { input: script });
  }

  /** Starts a process at a site. It is killed with the lab. */
  spawn(site: number, command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawn("ip", ["netns", "exec", this.namespace(site), command, ...args], options);
    this.children.add(child);
    child.once("exit", () => this.children.delete(child));
    return child;
  }

  /** Runs a command at a site to its end; returns what it printed. Throws when it fails. */
  run(
    site: number,
    command: string,
    args: readonly string[],
    options: { timeoutMs?: number; input?: string } = {},
  ): string {
    return execFileSync("ip", ["netns", "exec", this.namespace(site), command, ...args], {
      encoding: "utf8",
      stdio: ["pipe", "pipe", "pipe"],
      timeout: options.timeoutMs ?? 10_000,
      ...(options.input === undefined ? {} : { input: options.input }),
    });
  }

  /** Drops every packet from one site to another; the other direction goes on. */
  cut(from: number, to: number, carrier: number | null = null): void {
    this.setFault({ from, to, carrier, lossPercent: 100 });
  }

  /** Cuts both directions between two sites. */
  cutBoth(a: number, b: number, carrier: number | null = null): void {
    this.faults.push(
      { from: a, to: b, carrier, lossPercent: 100 },
      { from: b, to: a, carrier, lossPercent: 100 },
    );
    this.apply();
  }

  /** Cuts a site from all others, both ways. */
  isolate(site: number): void {
    for (const other of this.everySite()) {
      if (other === site) continue;
      this.faults.push(
        { from: site, to: other, carrier: null, lossPercent: 100 },
        { from: other, to: site, carrier: null, lossPercent: 100 },
      );
    }
    this.apply();
  }

  /** Loses that share of the packets from one site to another. */
  loss(from: number, to: number, lossPercent: number, carrier: number | null = null): void {
    this.setFault({ from, to, carrier, lossPercent });
  }

  /** Loses that share of the packets between all sites, each way. */
  lossEverywhere(lossPercent: number): void {
    for (const from of this.everySite()) {
      for (const to of this.everySite()) {
        if (from !== to) this.faults.push({ from, to, carrier: null, lossPercent });
      }
    }
    this.apply();
  }

  /** Ends every fault. */
  heal(): void {
    this.faults = [];
    this.apply();
  }

  /** Kills what runs here and removes the namespaces. */
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    LABS.delete(this);
    for (const child of this.children) child.kill("SIGKILL");
    for (const name of [this.router, ...this.everySite().map((site) => this.namespace(site))])
      removeNamespace(name);
  }

  private get router(): string {
    return `${this.name}-r`;
  }

  private everySite(): number[] {
    return Array.from({ length: this.sites }, (_, i) => i + 1);
  }

  private setFault(fault: Fault): void {
    this.faults.push(fault);
    this.apply();
  }

  private build(): void {
    ip(["netns", "add", this.router]);
    ipIn(this.router, ["link", "set", "lo", "up"]);
    setForwarding(this.router, "1");
    for (const site of this.everySite()) {
      const inside = this.namespace(site);
      ip(["netns", "add", inside]);
      // A new namespace takes over ip_forward from its parent; a site is no router.
      setForwarding(inside, "0");
      ipIn(inside, ["link", "set", "lo", "up"]);
      for (let carrier = 0; carrier < this.carriers; carrier++) this.join(site, carrier);
      if (this.managementBlock !== null) this.joinManagement(site);
    }
    this.apply();
  }

  private managementHosts(site: number): { outside: string; inside: string } {
    if (this.managementBlock === null) throw new Error("this lab has no management links");
    const base = (198 << 24) + (18 << 16) + 4 * (this.managementBlock + site - 1);
    const text = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join(".");
    return { outside: text(base + 1), inside: text(base + 2) };
  }

  /** The outer end is deleted with its peer, that is with the namespace. */
  private joinManagement(site: number): void {
    const inside = this.namespace(site);
    const outer = `${this.name}s${site}`;
    const hosts = this.managementHosts(site);
    ip(["link", "add", outer, "type", "veth", "peer", "name", "mgmt", "netns", inside]);
    ip(["addr", "add", `${hosts.outside}/30`, "dev", outer]);
    ip(["link", "set", outer, "up"]);
    ipIn(inside, ["addr", "add", `${hosts.inside}/30`, "dev", "mgmt"]);
    ipIn(inside, ["link", "set", "mgmt", "up"]);
    // This process answers at one address for all; other hosts of its namespace are not reached.
    ipIn(inside, ["route", "replace", `${this.managementHost}/32`, "via", hosts.outside]);
  }

  private join(site: number, carrier: number): void {
    const inside = this.namespace(site);
    const outer = `s${site}c${carrier}`;
    const inner = `c${carrier}`;
    const net = `10.${carrier}.${site}`;
    ipIn(this.router, ["link", "add", outer, "type", "veth", "peer", "name", inner, "netns", inside]);
    ipIn(this.router, ["addr", "add", `${net}.254/24`, "dev", outer]);
    ipIn(this.router, ["link", "set", outer, "up"]);
    for (let extra = 0; extra < this.addresses; extra++) {
      ipIn(inside, ["addr", "add", `${this.address(site, carrier, extra)}/24`, "dev", inner]);
    }
    ipIn(inside, ["link", "set", inner, "up"]);
    ipIn(inside, ["route", "add", `10.${carrier}.0.0/16`, "via", `${net}.254`]);
  }

  /** One transaction replaces every rule, so that no packet meets half a fault. */
  private apply(): void {
    const rules = this.faults.flatMap(({ from, to, carrier, lossPercent }) => {
      const carriers = carrier === null ? Array.from({ length: this.carriers }, (_, i) => i) : [carrier];
      const share = lossPercent >= 100 ? "" : `numgen random mod 1000 < ${Math.round(lossPercent * 10)} `;
      return carriers.map((c) => `    iifname "s${from}c${c}" oifname "s${to}c${c}" ${share}drop`);
    });
    const script = [
      "table inet lab {}",
      "delete table inet lab",
      "table inet lab {",
      "  chain forward {",
      "    type filter hook forward priority 0; policy accept;",
      ...rules,
      "  }",
      "}",
    ].join("\n");
    execFileSync("ip", ["netns", "exec", this.router, "nft", "-f", "-"], {
      input: script,
      stdio: ["pipe", "pipe", "pipe"],
    });
  }
}

const LABS = new Set<NetLab>();
const destroyAll = (): void => {
  for (const lab of LABS) lab.destroy();
};
process.once("exit", destroyAll);
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.once(signal, () => {
    destroyAll();
    process.exit(code);
  });
}

function tryNetns(): string | null {
  if (process.platform !== "linux") return "network namespaces need Linux";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const name = `${PREFIX}${process.pid}-0`;
  try {
    ip(["netns", "add", name]);
    const rule =
      "table inet t { chain c { type filter hook forward priority 0; numgen random mod 1000 < 1 drop; }; }";
    execFileSync("ip", ["netns", "exec", name, "nft", "-f", "-"], {
      input: rule,
      stdio: ["pipe", "pipe", "pipe"],
    });
    return null;
  } catch (error) {
    return `network namespaces or nftables do not work here: ${String((error as Error).message).split("\n")[0]}`;
  } finally {
    removeNamespace(name);
  }
}

function removeLeftovers(): void {
  const names = ip(["netns", "list"])
    .split("\n")
    .map((line) => line.split(" ")[0] ?? "");
  for (const name of names) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeNamespace(name);
  }
}

function removeNamespace(name: string): void {
  try {
    // A process that is left inside would keep the namespace, and its addresses, alive without a name.
    for (const pid of ip(["netns", "pids", name])
      .split("\n")
      .filter((line) => line !== "")) {
      process.kill(Number(pid), "SIGKILL");
    }
    ip(["netns", "del", name]);
  } catch {
    // It is gone, or was never made.
  }
}

/**
 * A row of /30 networks of 198.18.0.0/15 that nobody has, by pid first, so that two processes do not choose
 * the same.
 */
function freeManagementBlock(sites: number): number {
  if (sites > MANAGEMENT_SITES_MAX)
    throw new Error(`at most ${MANAGEMENT_SITES_MAX} sites with management links`);
  const taken = ip(["-4", "-o", "addr", "show"]);
  for (let trial = 0; trial < MANAGEMENT_LABS; trial++) {
    const lab = (process.pid * 7 + labCount + trial) % MANAGEMENT_LABS;
    const net = (lab * MANAGEMENT_SITES_MAX * 4) >>> 8;
    // One lab in each /24 at a time is more than enough room, and easy to see.
    const prefix = ` 198.${18 + (net >>> 8)}.${net & 0xff}.`;
    if (!taken.includes(prefix)) return lab * MANAGEMENT_SITES_MAX;
  }
  throw new Error("198.18.0.0/15 is full");
}

function ip(args: readonly string[]): string {
  return execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

function ipIn(namespace: string, args: readonly string[]): void {
  ip(["-n", namespace, ...args]);
}

function setForwarding(namespace: string, value: "0" | "1"): void {
  const script = `echo ${value} > /proc/sys/net/ipv4/ip_forward`;
  execFileSync("ip", ["netns", "exec", namespace, "sh", "-c", script], { stdio: ["ignore", "pipe", "pipe"] });
}
