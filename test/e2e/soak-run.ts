/**
 * Rounds of kill -9: clients hold, resume and switch over through any witness, at a random moment all
 * witnesses (sometimes one or two) are killed, all are started again, and the ledger compares what was
 * acknowledged with what is there.
 *
 * On loopback, with the embedded name servers as the fourth witness of the truth: all three must answer each
 * name with the address of the site where the group's names point. What is random comes from the seed; when
 * things happen also depends on the machine.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { nextBelow, type RandomState, randomState } from "../../src/core/base/random.js";
import type { AdminRequest, AdminResponse } from "../../src/core/model/admin.js";
import { queryDns } from "../../src/drivers/dns/query.js";
import { connectAdmin } from "../../src/drivers/server/admin-client.js";
import { Cluster } from "./cluster.js";
import { ADDRESS, SITES, type SiteName, WITNESSES, ZONE } from "./document.js";
import { LOOPBACK } from "./machine.js";
import { Ledger, type Testimony } from "./soak-ledger.js";
import { until } from "./until.js";

const GROUPS = ["shop", "files"] as const;
const CLIENTS = 3;

export interface SoakResult {
  readonly rounds: number;
  readonly seed: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  /** How many kills hit one, two or all witnesses. */
  readonly kills: Readonly<Record<"one" | "two" | "all", number>>;
  readonly highestEpoch: number;
  readonly lastIndex: number;
  readonly tookMs: number;
  readonly violations: readonly string[];
}

export interface SoakOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Called after each round. */
  readonly onRound: (round: number, soFar: Omit<SoakResult, "violations">) => void;
}

/**
 * Plays the rounds; stops at the first round that finds something wrong. Throws when a cluster does not come
 * back.
 */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const embedded = { route: [{ embedded: ZONE }], stability: "300ms", holdDown: "0s" };
  const cluster = await Cluster.start({
    machines: { "w-a": LOOPBACK, "w-b": LOOPBACK, "w-c": LOOPBACK },
    embeddedDns: true,
    groups: Object.fromEntries(GROUPS.map((group) => [group, embedded])),
    names: Object.fromEntries(GROUPS.map((group) => [group, nameOf(group)])),
  });
  try {
    return await new Soak(cluster, options).run();
  } catch (error) {
    process.stderr.write(`${await cluster.tails()}\n`);
    throw error;
  } finally {
    await cluster.destroy();
  }
}

function nameOf(group: string): string {
  return `www.${group}.${ZONE}`;
}

class Soak {
  private readonly cluster: Cluster;
  private readonly options: SoakOptions;
  private readonly random: RandomState;
  private readonly ledger = new Ledger();
  private readonly kills = { one: 0, two: 0, all: 0 };
  private readonly startedAtMs = performance.now();
  private deedCount = 0;
  private onWord: () => void = () => undefined;
  private lastIndex = 0;

  constructor(cluster: Cluster, options: SoakOptions) {
    this.cluster = cluster;
    this.options = options;
    this.random = randomState(options.seed, "soak");
  }

  async run(): Promise<SoakResult> {
    for (const group of GROUPS) await this.cluster.settled("w-a", "a", group);
    let violations: string[] = [];
    let round = 0;
    while (round < this.options.rounds && violations.length === 0) {
      round += 1;
      await this.disturb();
      violations = await this.judge();
      this.options.onRound(round, this.soFar(round));
    }
    return { ...this.soFar(round), violations };
  }

  private soFar(rounds: number): Omit<SoakResult, "violations"> {
    const { acknowledged, refused, unknown, highestEpoch } = this.ledger;
    return {
      rounds,
      seed: this.options.seed,
      acknowledged,
      refused,
      unknown,
      kills: { ...this.kills },
      highestEpoch,
      lastIndex: this.lastIndex,
      tookMs: Math.round(performance.now() - this.startedAtMs),
    };
  }

  /** Clients at work, then kill -9, then everybody is started again. */
  private async disturb(): Promise<void> {
    const stop = new AbortController();
    const clients = Array.from({ length: CLIENTS }, () => this.work(stop.signal));
    await sleep(300 + nextBelow(this.random, 1500));
    const victims = this.victims();
    // Half of the time right after the witnesses gave their word: there a word given too early shows.
    if (nextBelow(this.random, 2) === 0) await this.nextWord(3000);
    for (const id of victims) this.cluster.signal(id, "SIGKILL");
    await Promise.all(victims.map((id) => this.cluster.kill(id)));
    // With a majority left the clients go on for a while, through a new leader.
    if (victims.length === 1) await sleep(nextBelow(this.random, 2500));
    stop.abort();
    await Promise.all(clients);
    await Promise.all(victims.map((id) => this.cluster.startWitness(id)));
  }

  /** Waits for the next acknowledgement, at most so long. */
  private nextWord(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.onWord = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private victims(): string[] {
    const dice = nextBelow(this.random, 10);
    const count = dice < 6 ? 3 : dice < 8 ? 1 : 2;
    this.kills[count === 3 ? "all" : count === 1 ? "one" : "two"] += 1;
    const left: string[] = [...WITNESSES];
    return Array.from({ length: count }, () => left.splice(nextBelow(this.random, left.length), 1)[0] ?? "");
  }

  /** One client: asks for one thing after the other, until told to stop. */
  private async work(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const via = WITNESSES[nextBelow(this.random, WITNESSES.length)] ?? "w-a";
      const group = GROUPS[nextBelow(this.random, GROUPS.length)] ?? "shop";
      const text = `[soak ${++this.deedCount}]`;
      const request = this.request(group, text);
      const answer = await this.ask(via, request);
      if (answer !== "not asked" && answer?.kind === "accepted") this.onWord();
      if (answer !== "not asked")
        this.ledger.add({ text, via, asked: `${request.kind} of ${group} ${text}`, answer });
      await sleep(nextBelow(this.random, 60));
    }
  }

  private request(group: string, text: string): AdminRequest {
    switch (nextBelow(this.random, 4)) {
      case 0:
        return { kind: "hold", group, by: "soak", reason: text };
      case 1:
        return { kind: "resume", group, by: text };
      default: {
        const to = SITES[nextBelow(this.random, SITES.length)] ?? "a";
        return { kind: "switchover", group, to: to as never, by: "soak", reason: text };
      }
    }
  }

  /** Null: it was asked and no word came back. */
  private async ask(via: string, request: AdminRequest): Promise<AdminResponse | null | "not asked"> {
    const connection = await connectAdmin(this.cluster.place(via).admin, 300).catch(() => null);
    if (connection === null) return "not asked";
    try {
      return await connection.request(request, 5000);
    } catch {
      return null;
    } finally {
      connection.close();
    }
  }

  /** Waits until all witnesses rest at the same place of the log, and compares. */
  private async judge(): Promise<string[]> {
    await this.cluster.leader(WITNESSES);
    const testimonies = await until("all witnesses rest at the same place of the log", () => this.hear(), {
      everyMs: 150,
    });
    this.lastIndex = testimonies[0]?.history.at(-1)?.index ?? 0;
    return [...this.ledger.compare(testimonies), ...(await this.compareNames(testimonies))];
  }

  /** What each witness says, if nothing was applied anywhere while they were asked and no plan runs. */
  private async hear(): Promise<Testimony[] | null> {
    const look = () => Promise.all(WITNESSES.map((id) => this.cluster.status(id)));
    const before = await look();
    const histories = await Promise.all(WITNESSES.map((id) => this.cluster.history(id)));
    const after = await look();
    const places = new Set([...before, ...after].map(({ raft }) => raft.applied));
    const isBusy = after.some(({ groups }) => groups.some(({ group }) => group.plan?.status === "running"));
    if (places.size !== 1 || isBusy) return null;
    return WITNESSES.map((witness, i) => ({
      witness,
      history: histories[i] ?? [],
      groups: (after[i]?.groups ?? []).map(({ group }) => group),
    }));
  }

  /**
   * Every embedded name server says where the names point. A witness that just started may wait for its
   * leader.
   */
  private async compareNames(testimonies: readonly Testimony[]): Promise<string[]> {
    const wrong: string[] = [];
    for (const group of testimonies[0]?.groups ?? []) {
      const site = group.routed?.site as string | undefined as SiteName | undefined;
      const expected = site === undefined ? [] : [ADDRESS[site]];
      for (const { id, dns } of this.cluster.witnesses) {
        const { answers } = await queryDns(dns ?? "", nameOf(group.id), "A", { timeoutMs: 5000 });
        const values = answers.map(({ value }) => value);
        if (values.join() !== expected.join())
          wrong.push(
            `${id} answers ${nameOf(group.id)} with [${values.join()}], expected [${expected.join()}]`,
          );
      }
    }
    return wrong;
  }
}
