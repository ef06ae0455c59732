/**
 * Three members of Debian's `etcd-server` on loopback, as the yardstick of `npm run bench:raft`.
 *
 * Invariant: each process is ended by `destroy`, by its pid, and the directory goes with it.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../support/name-servers.js";
import { until } from "./until.js";

interface EtcdMember {
  readonly name: string;
  readonly client: string;
  readonly child: ChildProcess;
}

/** Why etcd cannot run here, with the remedy; null when it can. */
export function missingEtcd(): string | null {
  const found = spawnSync("etcd", ["--version"], { encoding: "utf8" });
  return found.status === 0 ? null : "there is no etcd: apt-get install --no-install-recommends etcd-server";
}

/** The first line of `etcd --version`. */
export function etcdVersion(): string {
  return spawnSync("etcd", ["--version"], { encoding: "utf8" }).stdout.split("\n")[0] ?? "";
}

export class Etcd {
  private readonly directory: string;
  private readonly members: readonly EtcdMember[];

  private constructor(directory: string, members: readonly EtcdMember[]) {
    this.directory = directory;
    this.members = members;
  }

  /** Starts three members with etcd's own default timings and durability, data below the temporary directory. */
  static async start(): Promise<Etcd> {
    const directory = await mkdtemp(join(tmpdir(), "pointsman-etcd-"));
    const places: { name: string; client: string; peer: string }[] = [];
    for (const name of ["e1", "e2", "e3"]) {
      const [client, peer] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
      places.push({ name, client, peer });
    }
    const cluster = places.map(({ name, peer }) => `${name}=http://${peer}`).join(",");
    const members = places.map(({ name, client, peer }): EtcdMember => {
      const flags = {
        name,
        "data-dir": join(directory, name),
        "listen-client-urls": `http://${client}`,
        "advertise-client-urls": `http://${client}`,
        "listen-peer-urls": `http://${peer}`,
        "initial-advertise-peer-urls": `http://${peer}`,
        "initial-cluster": cluster,
        "initial-cluster-state": "new",
        logger: "zap",
        "log-level": "error",
      };
      const output = openSync(join(directory, `${name}.log`), "a");
      const child = spawn(
        "etcd",
        Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`),
        { stdio: ["ignore", output, output] },
      );
      closeSync(output);
      return { name, client, child };
    });
    const etcd = new Etcd(directory, members);
    try {
      await etcd.leader();
      return etcd;
    } catch (error) {
      process.stderr.write(await etcd.tails());
      await etcd.destroy();
      throw error;
    }
  }

  /** Pids by member. */
  get pids(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.members.map(({ name, child }) => [name, child.pid ?? -1]));
  }

  /** The leading member's name and client address, once all agree. */
  leader(): Promise<{ name: string; address: string }> {
    return until("etcd has a leader", async () => {
      const seen = await Promise.all(
        this.members.map(async ({ client }) => {
          const answer = await fetch(`http://${client}/v3/maintenance/status`, {
            method: "POST",
            body: "{}",
          });
          return (await answer.json()) as { leader?: string; header: { member_id: string } };
        }),
      );
      const leader = seen[0]?.leader;
      if (leader === undefined || seen.some((one) => one.leader !== leader)) return null;
      const member = this.members[seen.findIndex(({ header }) => header.member_id === leader)];
      return member === undefined ? null : { name: member.name, address: member.client };
    });
  }

  /** Ends everything and removes the directory. */
  async destroy(): Promise<void> {
    for (const { child } of this.members) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
    await rm(this.directory, { recursive: true, force: true });
  }

  private async tails(): Promise<string> {
    const texts = this.members.map(({ name }) =>
      readFile(join(this.directory, `${name}.log`), "utf8").catch(() => ""),
    );
    return `${(await Promise.all(texts)).map((text) => text.slice(-2000)).join("\n")}\n`;
  }
}
