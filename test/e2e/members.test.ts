/**
 * Members that come and go while clients write, with real processes and a state of 50 MB: a learner that catches up
 * by a snapshot and is promoted, a leader that is replaced, a wiped disk, a machine that is gone. One scene for
 * all, in the words of docs/operations.md; at the end the ledger compares what the clients were told with what
 * every member has.
 */
import assert from "node:assert/strict";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { MemberReport, MembersReport } from "../../src/core/model/admin.js";
import type { AuditRecord, GroupState } from "../../src/core/model/state.js";
import { act } from "./act.js";
import { type Cluster, withCluster } from "./cluster.js";
import { command, type Ended } from "./command.js";
import { LOOPBACK } from "./machine.js";
import { seed } from "./seed.js";
import { until } from "./until.js";
import { Writers } from "./writers.js";

const FILLING = { records: 900, recordBytes: 58_000 };
const WAITING = ["--wait", "--wait-timeout", "5m"];

/** A `pointsman members` command, asked of whoever runs. */
function members(cluster: Cluster, ...words: readonly string[]): Promise<Ended> {
  const running = cluster.witnesses.filter(({ id }) => cluster.isRunning(id));
  const addresses = running.flatMap(({ admin }) => ["-a", admin]);
  return command(["members", ...words, ...addresses]);
}

/** Where a witness is reached, as the command wants it. */
function placeWords(cluster: Cluster, id: string): string[] {
  const { peer, admin, dns } = cluster.place(id);
  return ["--peers", peer, "--admin", admin, ...(dns === null ? [] : ["--dns", dns])];
}

function expectDone({ exit, stdout, stderr }: Ended, words: RegExp): void {
  assert.equal(exit, 0, `${stdout}\n${stderr}`);
  assert.match(stdout, words);
}

/** The report of the leader, when it has what is asked for. */
function reported(
  cluster: Cluster,
  what: string,
  holds: (report: MembersReport) => boolean = () => true,
): Promise<MembersReport> {
  return until(
    what,
    async () => {
      for (const { id } of cluster.witnesses.filter((place) => cluster.isRunning(place.id))) {
        const answer = await cluster.ask(id, { kind: "members" }).catch(() => null);
        if (answer?.kind !== "members" || answer.report.leader !== id) continue;
        return holds(answer.report) ? answer.report : null;
      }
      return null;
    },
    { everyMs: 200 },
  );
}

function newest({ members: all }: MembersReport, id: string): MemberReport | undefined {
  return all.findLast(({ member }) => member.witness === id);
}

const shown = ({ members: all }: MembersReport): string =>
  all.map(({ member }) => `${member.witness}=${member.node}:${member.role}`).join(" ");

/** Adds a learner as docs/operations.md says it. */
async function joinLearner(cluster: Cluster): Promise<void> {
  await cluster.move("w-d", LOOPBACK, { version: 2, witnesses: ["w-a", "w-b", "w-c", "w-d"] });
  const added = members(cluster, "add", "w-d", ...placeWords(cluster, "w-d"), ...WAITING);
  await cluster.startWitness("w-d");
  expectDone(await added, /w-d \(node 4\) has caught up/);
  const { data } = cluster.place("w-d");
  const snapshots = await readdir(join(data, "snapshots"));
  assert.ok(
    snapshots.some((file) => file.endsWith(".snap")),
    "it came by a snapshot",
  );
  const seen = await reported(cluster, "the leader answers");
  assert.equal(shown(seen), "w-a=1:voter w-b=2:voter w-c=3:voter w-d=4:learner");
  const held = (await cluster.history("w-d"))[0];
  assert.equal(held?.kind, "config", "it has the history from its beginning");
}

/** What a witness logged with that code since it was moved or wiped. */
async function warned(cluster: Cluster, id: string, code: string): Promise<boolean> {
  return (await cluster.logLines(id)).some((line) => line["code"] === code);
}

interface Testimony {
  readonly witness: string;
  readonly history: readonly AuditRecord[];
  readonly groups: readonly GroupState[];
}

/** What each member says when all have applied the same; nobody writes any more. */
function testimonies(cluster: Cluster, ids: readonly string[]): Promise<Testimony[]> {
  return until(
    "all members rest at the same place of the log",
    async () => {
      const look = () => Promise.all(ids.map((id) => cluster.status(id)));
      const before = await look();
      const histories: AuditRecord[][] = [];
      for (const id of ids) histories.push(await cluster.history(id));
      const after = await look();
      if (new Set([...before, ...after].map(({ raft }) => raft.applied)).size !== 1) return null;
      return ids.map((witness, i) => ({
        witness,
        history: histories[i] ?? [],
        groups: (after[i]?.groups ?? []).map(({ group }) => group),
      }));
    },
    { everyMs: 500 },
  );
}

test("members come and go under load with a state of 50 MB, and no acknowledged write is lost or applied twice", {
  timeout: 900_000,
}, async (t) => {
  const options = {
    machines: { "w-a": LOOPBACK, "w-b": LOOPBACK, "w-c": LOOPBACK },
    embeddedDns: true,
    startServices: false,
    // Calmer than the other scenes: a loaded machine takes seconds of processor time for each state of 50 MB.
    extra: { timings: { profile: "fast", electionMin: "2s", electionMax: "4s", viewTimeout: "10s" } },
    beforeStart: async (cluster: Cluster) => void (await seed(cluster, FILLING)),
  };
  await withCluster(options, async (cluster) => {
    await cluster.leader();
    const writers = new Writers(cluster);
    const began = performance.now();
    const tell = (what: string): void =>
      t.diagnostic(`${Math.round(performance.now() - began)} ms: ${what}; ${writers.summary}`);
    try {
      await act(t, "a learner joins, catches up by a snapshot of 50 MB, and is promoted", async () => {
        await joinLearner(cluster);
        tell("w-d has caught up");
        expectDone(await members(cluster, "promote", "w-d", ...WAITING), /w-d \(node 4\) votes/);
        const seen = await reported(cluster, "the change is over", ({ changeRunning }) => !changeRunning);
        assert.equal(shown(seen), "w-a=1:voter w-b=2:voter w-c=3:voter w-d=4:voter");
        tell("w-d votes");
      });

      let left = "";
      await act(t, "the leader is replaced by a new witness, and leaves", async () => {
        left = (await reported(cluster, "somebody leads")).leader ?? "";
        const all = ["w-a", "w-b", "w-c", "w-d", "w-e"];
        await cluster.move("w-e", LOOPBACK, { version: 3, witnesses: all });
        const words = ["replace", left, "--successor", "w-e", ...placeWords(cluster, "w-e"), ...WAITING];
        const replaced = members(cluster, ...words);
        await cluster.startWitness("w-e");
        expectDone(await replaced, /w-e \(node 5\) votes/);
        tell(`w-e votes in the place of the leader ${left}`);
        const seen = await reported(cluster, "another one leads", ({ leader }) => leader !== left);
        assert.equal(newest(seen, left), undefined, shown(seen));
        assert.deepEqual(await cluster.stop(left), { code: 0, signal: null });
        const present = all.filter((id) => id !== left);
        await cluster.spreadDocument(present, 4);
      });

      const rest = ["w-a", "w-b", "w-c"].filter((id) => id !== left);
      await act(
        t,
        "a wiped disk is refused under its old name, and joins anew without a restart",
        async () => {
          const { leader } = await reported(cluster, "somebody leads");
          const wiped = rest.find((id) => id !== leader) ?? "";
          await cluster.kill(wiped);
          await rm(cluster.place(wiped).data, { recursive: true });
          await cluster.startWitness(wiped);
          await until(`${wiped} is told other_disk`, () => warned(cluster, wiped, "other_disk"));
          await reported(
            cluster,
            `${wiped} is shown as refused`,
            (seen) => newest(seen, wiped)?.progress?.refused === "other_disk",
          );
          tell(`the wiped ${wiped} is refused`);
          expectDone(await members(cluster, "replace", wiped, ...WAITING), /\(node 6\) votes/);
          tell(`${wiped} votes again`);
        },
      );

      await act(t, "a machine that is gone is replaced by one at another address", async () => {
        const { leader } = await reported(cluster, "somebody leads");
        const gone = ["w-d", "w-e"].find((id) => id !== leader) ?? "";
        await cluster.kill(gone);
        await reported(
          cluster,
          `${gone} is not heard of`,
          (seen) => newest(seen, gone)?.progress?.active === false,
        );
        const present = (await reported(cluster, "somebody leads")).members.map(
          ({ member }) => member.witness as string,
        );
        await cluster.move(gone, LOOPBACK, { version: 5, witnesses: present });
        const replaced = members(cluster, "replace", gone, ...placeWords(cluster, gone), ...WAITING);
        await cluster.startWitness(gone);
        expectDone(await replaced, /\(node 7\) votes/);
        tell(`${gone} votes from another address`);
      });

      await act(t, "the document follows at all witnesses, one restart after the other", async () => {
        const seen = await reported(cluster, "no change is running", ({ changeRunning }) => !changeRunning);
        const present = seen.members.map(({ member }) => member.witness as string);
        await cluster.spreadDocument(present, 6);
        for (const id of present) {
          await cluster.stop(id);
          await cluster.startWitness(id);
          await cluster.leader(present);
        }
        await until("all have the new document", async () => {
          const reports = await Promise.all(present.map((id) => cluster.status(id)));
          return reports.every((status) => status.configVersion === 6 && !status.configDiffers);
        });
        tell("all have the new document");
      });
    } finally {
      await writers.stop();
    }

    await act(t, "every acknowledged write stands once in the history of every member", async () => {
      const listed = await members(cluster, "list", "--json");
      assert.equal(listed.exit, 0, listed.stderr);
      const seen = JSON.parse(listed.stdout) as MembersReport;
      const ids = seen.members.map(({ member }) => member.witness as string);
      assert.deepEqual(
        ids.filter((id) => !cluster.isRunning(id)),
        [],
        "nobody halted",
      );
      const heard = await testimonies(cluster, ids);
      assert.equal(heard[0]?.history[0]?.kind, "config", "nothing was pushed out of the history");
      assert.deepEqual(writers.ledger.compare(heard), []);
      assert.ok(writers.ledger.acknowledged > 100, writers.summary);
      tell(`compared; ${shown(seen)}`);
    });
    for (const { id } of cluster.witnesses) {
      const lines = await cluster.logLines(id);
      const told = lines.filter(({ code }) => code === "stalled" || code === "disk_stalled");
      for (const { code, msg } of told) t.diagnostic(`${id}: ${String(code)}: ${String(msg)}`);
    }
  });
});
