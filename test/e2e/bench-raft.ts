/**
 * `npm run bench:raft`: what one replicated write costs, beside etcd on the same machine in the same run.
 *
 *   --rounds N    of each system at each number of clients, alternating (default 5)
 *   --seconds N   of each round (default 4)
 *   --idle N      seconds during which both systems are left alone and watched first (default 60)
 *   --bytes N     size of a value (default 100)
 *   --clients N,N numbers of clients, in that order (default 64,1: the many warm the code for the one)
 *   --ours        without etcd: for profiling
 *
 * Three witnesses (profile `wan`, two sites of three services that they probe) and three members of Debian's
 * etcd-server run as processes on loopback, with their data below the temporary directory; client processes
 * drive the leader of each (bench-client.ts). Ours is the call Exercise: every answer has been through the
 * Raft log, synced on a majority, and applied. POINTSMAN_BENCH_PROFILE names a directory for CPU profiles of
 * the witnesses. The last line is one JSON object; of each figure it gives the median of the rounds.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Clients, cpuSeconds, median, memoryMb, percentile } from "./bench-load.js";
import { Cluster } from "./cluster.js";
import { WITNESSES } from "./document.js";
import { Etcd, etcdVersion, missingEtcd } from "./etcd.js";
import { LOOPBACK, type Machine } from "./machine.js";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "4" },
    idle: { type: "string", default: "60" },
    bytes: { type: "string", default: "100" },
    clients: { type: "string", default: "64,1" },
    ours: { type: "boolean", default: false },
  },
});
const [rounds, seconds, idle, bytes] = [values.rounds, values.seconds, values.idle, values.bytes].map(Number);
const clientCounts = values.clients.split(",").map(Number);
if (![rounds, seconds, idle, bytes, ...clientCounts].every((value) => value !== undefined && value >= 0)) {
  console.error("--rounds, --seconds, --idle, --bytes and --clients take numbers");
  process.exit(2);
}
const missing = values.ours ? null : missingEtcd();
if (missing !== null) {
  console.error(`cannot measure here: ${missing}`);
  process.exit(2);
}

/** In how many processes the clients live at most. */
const PROCESSES = 2;

/** One system under load. */
interface Subject {
  readonly name: "ours" | "etcd";
  /** By member. */
  readonly pids: Readonly<Record<string, number>>;
  leader: string;
  clients: Clients;
  /** The leading member and its address now: leadership may move, for instance to a witness that is preferred. */
  readonly find: () => Promise<{ readonly name: string; readonly address: string }>;
}

type Idler = Pick<Subject, "name" | "pids" | "leader">;

/** One round: latencies in ms, CPU of all members together and of the clients in µs for each operation. */
interface Round {
  readonly opsPerSecond: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly cpuMicros: number;
  readonly leaderCpuMicros: number;
  readonly clientCpuMicros: number;
}

function say(line: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)}  ${line}`);
}

const round2 = (value: number): number => Math.round(value * 100) / 100;

async function cpuOf(pids: Subject["pids"]): Promise<Record<string, number>> {
  const pairs = Object.entries(pids).map(async ([name, pid]) => [name, await cpuSeconds(pid)] as const);
  return Object.fromEntries(await Promise.all(pairs));
}

/** Makes the clients talk to the member that leads now. */
async function follow(subject: Subject): Promise<void> {
  const { name, address } = await subject.find();
  if (name === subject.leader) return;
  say(`  ${subject.name}: ${name} leads now`);
  await subject.clients.end();
  subject.leader = name;
  subject.clients = await Clients.start(PROCESSES, address, subject.name);
}

async function measure(subject: Subject, clients: number): Promise<Round> {
  await follow(subject);
  const before = await cpuOf(subject.pids);
  const results = await subject.clients.run({ clients, seconds: seconds ?? 0, bytes: bytes ?? 0 });
  const after = await cpuOf(subject.pids);
  const refusal = results.find((result) => result.refusal !== null);
  if (refusal !== undefined) say(`  ${subject.name} refused ${refusal.refused}: ${refusal.refusal}`);
  const micros = Float64Array.from(results.flatMap((result) => [...result.micros])).sort();
  const tookSeconds = Math.max(...results.map((result) => result.seconds));
  const spent = (name: string): number => (after[name] ?? 0) - (before[name] ?? 0);
  const each = (cpu: number): number => Math.round((cpu * 1e6) / Math.max(1, micros.length));
  const measured: Round = {
    opsPerSecond: Math.round(micros.length / tookSeconds),
    p50: round2(percentile(micros, 0.5) / 1000),
    p90: round2(percentile(micros, 0.9) / 1000),
    p99: round2(percentile(micros, 0.99) / 1000),
    cpuMicros: each(Object.keys(subject.pids).reduce((sum, name) => sum + spent(name), 0)),
    leaderCpuMicros: each(spent(subject.leader)),
    clientCpuMicros: each(results.reduce((sum, { cpuSeconds: cpu }) => sum + cpu, 0)),
  };
  say(`  ${subject.name.padEnd(4)} ${clients} client(s): ${JSON.stringify(measured)}`);
  return measured;
}

function medians(all: readonly Round[]): Round {
  const of = (field: keyof Round): number => round2(median(all.map((one) => one[field])));
  return {
    opsPerSecond: of("opsPerSecond"),
    p50: of("p50"),
    p90: of("p90"),
    p99: of("p99"),
    cpuMicros: of("cpuMicros"),
    leaderCpuMicros: of("leaderCpuMicros"),
    clientCpuMicros: of("clientCpuMicros"),
  };
}

/** Leaves the members alone; per cent of a core and MB of each. */
async function rest(subjects: readonly Idler[]): Promise<Record<string, object>> {
  const before = await Promise.all(subjects.map(({ pids }) => cpuOf(pids)));
  await sleep((idle ?? 0) * 1000);
  const seen = subjects.map(async ({ name, pids, leader }, i) => {
    const after = await cpuOf(pids);
    const members = Object.entries(pids).map(async ([id, pid]) => {
      const cpuPercent = round2((((after[id] ?? 0) - (before[i]?.[id] ?? 0)) / Math.max(1, idle ?? 0)) * 100);
      return [id, { leads: id === leader, cpuPercent, rssMb: await memoryMb(pid, "VmRSS") }] as const;
    });
    return [name, Object.fromEntries(await Promise.all(members))] as const;
  });
  return Object.fromEntries(await Promise.all(seen));
}

async function peaks(subjects: readonly Subject[]): Promise<Record<string, object>> {
  const seen = subjects.map(async ({ name, pids }) => {
    const members = Object.entries(pids).map(
      async ([id, pid]) => [id, await memoryMb(pid, "VmHWM")] as const,
    );
    return [name, Object.fromEntries(await Promise.all(members))] as const;
  });
  return Object.fromEntries(await Promise.all(seen));
}

/** `ours` divided by `etcd`, for each number of clients. */
function ratios(results: Readonly<Record<string, Readonly<Record<string, Round>>>>): object {
  return Object.fromEntries(
    Object.entries(results).flatMap(([clients, { ours, etcd }]) =>
      ours === undefined || etcd === undefined
        ? []
        : [
            [
              clients,
              {
                throughput: round2(ours.opsPerSecond / etcd.opsPerSecond),
                p50: round2(ours.p50 / etcd.p50),
                p99: round2(ours.p99 / etcd.p99),
                cpu: round2(ours.cpuMicros / etcd.cpuMicros),
              },
            ],
          ],
    ),
  );
}

const closers: (() => Promise<void>)[] = [];
async function main(): Promise<void> {
  const etcd = values.ours ? null : await Etcd.start();
  if (etcd !== null) closers.push(() => etcd.destroy());
  const profile = process.env["POINTSMAN_BENCH_PROFILE"];
  const machine: Machine = {
    ...LOOPBACK,
    spawn: (command, args, options) =>
      LOOPBACK.spawn(
        command,
        profile === undefined ? args : ["--cpu-prof", `--cpu-prof-dir=${profile}`, ...args],
        options,
      ),
  };
  const cluster = await Cluster.start({
    machines: { "w-a": machine, "w-b": machine, "w-c": machine },
    serviceMachines: { a: LOOPBACK, b: LOOPBACK },
    embeddedDns: true,
    extra: { timings: { profile: "wan" }, probes: { interval: "1s" } },
  });
  closers.push(() => cluster.destroy());
  const leader = await cluster.leader().catch(async (error: unknown) => {
    process.stderr.write(`${await cluster.tails()}\n`);
    throw error;
  });
  await cluster.calm(leader);
  const ours: Idler = {
    name: "ours",
    pids: Object.fromEntries(WITNESSES.map((id) => [id, cluster.pid(id)])),
    leader,
  };
  const theirs = etcd === null ? null : await etcd.leader();
  const idlers: Idler[] = [ours];
  if (etcd !== null && theirs !== null) idlers.push({ name: "etcd", pids: etcd.pids, leader: theirs.name });
  say(`at rest for ${idle} s`);
  const atRest = await rest(idlers);
  say(JSON.stringify(atRest));

  const subjects: Subject[] = [];
  for (const idler of idlers) {
    const find = async (): Promise<{ name: string; address: string }> => {
      if (idler.name === "etcd" && etcd !== null) return await etcd.leader();
      const name = await cluster.leader();
      return { name, address: cluster.place(name).admin };
    };
    const { name, address } = await find();
    const clients = await Clients.start(PROCESSES, address, idler.name);
    const subject: Subject = { ...idler, leader: name, clients, find };
    closers.push(() => subject.clients.end());
    subjects.push(subject);
  }
  const results: Record<string, Record<string, Round>> = {};
  for (const clients of clientCounts) {
    say(`${clients} client(s), ${rounds} rounds of ${seconds} s after one to warm up`);
    const seen = new Map<string, Round[]>(subjects.map(({ name }) => [name, []]));
    for (let number = 0; number <= (rounds ?? 0); number++) {
      for (const subject of subjects) {
        const measured = await measure(subject, clients);
        if (number > 0) seen.get(subject.name)?.push(measured);
      }
    }
    results[clients] = Object.fromEntries([...seen].map(([name, all]) => [name, medians(all)]));
  }
  const line = {
    bytes,
    rounds,
    seconds,
    etcd: values.ours ? null : etcdVersion(),
    clients: results,
    ratios: ratios(results),
    peakMb: await peaks(subjects),
    idleSeconds: idle,
    atRest,
  };
  if (profile !== undefined) for (const id of WITNESSES) await cluster.stop(id);
  console.log(JSON.stringify(line));
}

try {
  await main();
} finally {
  for (const close of closers.reverse()) await close();
}
