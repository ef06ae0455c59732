/**
 * A cluster that is started anew, as real processes: all three witnesses from a backup, and one survivor of a lost
 * majority that becomes a cluster of its own and is joined by another one again.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse, stringify } from "yaml";
import type { GroupState } from "../../src/core/model/state.js";
import { act } from "./act.js";
import { type Cluster, COMMAND, withCluster } from "./cluster.js";
import { GROUP, WITNESSES } from "./document.js";
import { LOOPBACK } from "./machine.js";
import { always, until } from "./until.js";

const MACHINES = { "w-a": LOOPBACK, "w-b": LOOPBACK, "w-c": LOOPBACK };
const LEFT_OUT = 1000;
/** Calm: elections are not what is tested here, and other tests take the processor away. */
const OPTIONS = {
  machines: MACHINES,
  embeddedDns: true,
  extra: { timings: { profile: "fast", electionMin: "2s", electionMax: "4s", viewTimeout: "10s" } },
};

interface Ended {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(...args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [COMMAND, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  const [exit] = (await once(child, "close")) as [number | null];
  return { exit, ...output };
}

async function must(...args: readonly string[]): Promise<Ended> {
  const ended = await run(...args);
  assert.equal(ended.exit, 0, `${args.join(" ")}: ${ended.stderr}${ended.stdout}`);
  return ended;
}

/** Writes the document again, of the next version, for those witnesses. */
function rewrite(cluster: Cluster, witnesses: readonly string[], name?: string): void {
  const document = parse(readFileSync(cluster.configFile, "utf8")) as {
    cluster: string;
    version: number;
    witnesses: Record<string, unknown>;
  };
  const places = Object.fromEntries(
    cluster.witnesses.map(({ id, peer, admin, dns }) => [
      id,
      { ...(id === "w-c" ? {} : { site: id.slice(2) }), peer, admin, ...(dns === null ? {} : { dns }) },
    ]),
  );
  const kept = Object.fromEntries(witnesses.map((id) => [id, places[id]]));
  const { cluster: was, version } = document;
  const text = stringify({
    ...document,
    cluster: name ?? was,
    version: version + 1,
    witnesses: kept,
    leaders: witnesses,
  });
  writeFileSync(cluster.configFile, text);
}

/** A switchover to b, and a hold: something to lose. */
async function decideThings(cluster: Cluster): Promise<GroupState> {
  const leader = await cluster.leader();
  await cluster.settled(leader, "a");
  await cluster.calm(leader);
  await cluster.switchover(leader, "b", "before the loss");
  const state = await cluster.settled(leader, "b");
  await until("the hold is accepted", async () => {
    const answer = await cluster.ask(leader, { kind: "hold", group: GROUP, by: "anna", reason: "works" });
    return answer.kind === "accepted" ? true : Promise.reject(new Error(JSON.stringify(answer)));
  });
  await until("all witnesses have the hold", async () => {
    const groups = await Promise.all(WITNESSES.map((id) => cluster.group(id)));
    return groups.every(({ mode }) => mode === "hold");
  });
  return state;
}

/** Everything as it was, on hold, with the epochs moved on; and nothing happens by itself. */
async function expectAsBefore(
  cluster: Cluster,
  id: string,
  before: GroupState,
  reason: RegExp,
): Promise<void> {
  const group = await cluster.group(id);
  assert.deepEqual([group.ticket, group.routed, group.plan], [before.ticket, before.routed, before.plan]);
  assert.equal(group.lastEpoch, before.lastEpoch + LEFT_OUT);
  assert.equal(group.mode, "hold");
  assert.match(group.holdReason ?? "", reason);
  assert.match(group.holdReason ?? "", /held before by anna: works/);
  const history = await cluster.history(id);
  assert.ok(
    history.some(({ message }) => message.includes("before the loss")),
    "the old history",
  );
  assert.ok(
    history.some(({ kind, message }) => kind === "note" && message.startsWith("the cluster begins anew")),
  );
  await until("the new document is in force", async () =>
    (await cluster.history(id)).some(({ message }) =>
      message.startsWith("configuration: version 2 replaces 1"),
    ),
  );
  await cluster.calm(id);
  await always("nothing moves before a person looked", 2000, async () => {
    return (await cluster.group(id)).lastEpoch === group.lastEpoch;
  });
}

async function expectBound(cluster: Cluster, id: string, nodes: readonly number[]): Promise<void> {
  await until(`nodes ${nodes.join(", ")} are members on disks that are known`, async () => {
    const answer = await cluster.ask(id, { kind: "members" });
    if (answer.kind !== "members") throw new Error(JSON.stringify(answer));
    const members = answer.report.members.map(({ member }) => member);
    if (members.some(({ disk }) => disk === null)) throw new Error(JSON.stringify(members));
    return members.map(({ node }) => node).join() === nodes.join();
  });
}

test("three witnesses are restored from a backup and go on", { timeout: 600_000 }, async (t) => {
  await withCluster(OPTIONS, async (cluster) => {
    const file = join(cluster.directory, "state.pmbackup");
    let before: GroupState | null = null;
    await act(t, "a switchover and a hold are in the backup; then every directory is lost", async () => {
      before = await decideThings(cluster);
      await must("backup", "--out", file, "-a", cluster.place("w-a").admin);
      for (const { id, data } of cluster.witnesses) {
        await cluster.kill(id);
        rmSync(data, { recursive: true, force: true });
      }
    });

    await act(t, "restored under a new name they elect a leader and hold what was decided", async () => {
      rewrite(cluster, WITNESSES, "e2e-anew");
      for (const { id, data } of cluster.witnesses) {
        await must(
          "restore",
          "--from",
          file,
          "--config",
          cluster.configFile,
          "--witness",
          id,
          "--data",
          data,
        );
      }
      for (const id of WITNESSES) await cluster.startWitness(id);
      const leader = await cluster.leader();
      assert.ok(before !== null);
      await expectAsBefore(cluster, leader, before, /^restored from the backup of e2e at log index \d+/);
      await expectBound(cluster, leader, [1, 2, 3]);
    });

    await act(
      t,
      "they go on working: a switchover takes the next epoch, and a restart changes nothing",
      async () => {
        assert.ok(before !== null);
        const leader = await cluster.leader();
        const epoch = await cluster.switchover(leader, "a", "after the restore");
        assert.equal(epoch, before.lastEpoch + LEFT_OUT + 1);
        await cluster.settled(leader, "a");
        for (const id of WITNESSES) {
          await cluster.kill(id);
          await cluster.startWitness(id);
        }
        const next = await cluster.leader();
        assert.equal((await cluster.settled(next, "a")).lastEpoch, epoch);
        const [one, ...others] = await Promise.all(WITNESSES.map((id) => cluster.history(id)));
        const upTo = Math.min(...[one, ...others].map((records) => records?.at(-1)?.index ?? 0));
        const cut = (records: typeof one) => records?.filter(({ index }) => index <= upTo);
        for (const other of others) assert.deepEqual(cut(other), cut(one));
      },
    );
  });
});

test("the one that is left of three becomes a cluster, and another joins", {
  timeout: 600_000,
}, async (t) => {
  await withCluster(OPTIONS, async (cluster) => {
    const { data } = cluster.place("w-a");
    const kept = `${data}.before-recover`;
    const oldDocument = join(cluster.directory, "before.yaml");
    const oldDisk = join(cluster.directory, "old-disk");
    const words = [
      ...["unsafe-recover", "--data", data, "--witness", "w-a", "--config", cluster.configFile],
      ...["--cluster", "e2e"],
    ];
    let before: GroupState | null = null;
    await act(t, "it is refused while the witness runs, and with a document of all three", async () => {
      before = await decideThings(cluster);
      for (const id of ["w-b", "w-c"]) await cluster.kill(id);
      copyFileSync(cluster.configFile, oldDocument);
      // Kept against the advice, to see that it does no harm.
      cpSync(cluster.place("w-b").data, oldDisk, { recursive: true });
      rmSync(cluster.place("w-b").data, { recursive: true, force: true });
      const many = await run(...words, "--i-accept-data-loss");
      assert.equal(many.exit, 78, many.stderr);
      assert.match(many.stderr, /\[recover_witnesses\]/);
      rewrite(cluster, ["w-a"]);
      const inUse = await run(...words, "--i-accept-data-loss");
      assert.equal(inUse.exit, 74, inUse.stderr);
      assert.match(inUse.stderr, /\[STORAGE_IN_USE\]/);
      await cluster.kill("w-a");
    });

    await act(
      t,
      "without the word, or with another name, it shows what there is and changes nothing",
      async () => {
        const files = () =>
          readdirSync(data, { recursive: true, encoding: "utf8" }).filter((name) => !name.startsWith("lock"));
        const bytes = () =>
          files().map((name) => [
            name,
            existsSync(join(data, name)) && /\.|MANIFEST|CURRENT/.test(name)
              ? readFileSync(join(data, name)).toString("base64")
              : "",
          ]);
        const first = bytes();
        const shown = await run(...words);
        assert.equal(shown.exit, 2, shown.stderr);
        assert.match(shown.stderr, /\[recover_not_accepted\]/);
        assert.match(shown.stderr, /its log ends at index \d+, term \d+/);
        assert.match(shown.stderr, /group shop: ticket held by b, epoch 2; last plan: switchover to b/);
        const other = await run(...words.slice(0, -1), "e2f", "--i-accept-data-loss");
        assert.equal(other.exit, 78, other.stderr);
        assert.match(other.stderr, /\[recover_cluster\]/);
        assert.deepEqual(bytes(), first);
        assert.deepEqual(
          readdirSync(cluster.directory).filter((name) => name.startsWith("w-a.")),
          ["w-a.log"],
        );
      },
    );

    await act(t, "with it, the survivor leads alone, on hold, with all that it knew", async () => {
      await must(...words, "--i-accept-data-loss");
      assert.ok(existsSync(join(kept, "identity.json")), "the old directory is kept");
      await cluster.startWitness("w-a");
      assert.equal(await cluster.leader(["w-a"]), "w-a");
      assert.ok(before !== null);
      await expectAsBefore(
        cluster,
        "w-a",
        before,
        /^recovered from w-a alone at log index \d+, its majority lost/,
      );
      await expectBound(cluster, "w-a", [1]);
      const again = await run(...words, "--i-accept-data-loss");
      assert.match(again.stderr, /\[recover_kept\]/);
    });

    await act(t, "a lost one that comes back on its old disk is no member, and changes nothing", async () => {
      const { term } = (await cluster.status("w-a")).raft;
      await cluster.startWitness("w-c", ["--config", oldDocument]);
      await until("w-c is refused", async () =>
        (await cluster.logLines("w-c")).some((line) => JSON.stringify(line).includes("unknown_peer")),
      );
      await always("w-a leads in the same term", 3000, async () => {
        const { raft } = await cluster.status("w-a");
        return raft.role === "leader" && raft.term === term;
      });
      await cluster.kill("w-c");
    });

    await act(t, "another witness is added, catches up and votes", async () => {
      const { admin } = cluster.place("w-a");
      const { peer } = cluster.place("w-b");
      rewrite(cluster, ["w-a", "w-b"]);
      const added = must(
        "members",
        "add",
        "w-b",
        "--site",
        "b",
        "--peers",
        peer,
        "--admin",
        cluster.place("w-b").admin,
        "--wait",
        "-a",
        admin,
      );
      await cluster.startWitness("w-b");
      await added;
      await must("members", "promote", "w-b", "--wait", "-a", admin);
      await expectBound(cluster, "w-a", [1, 104]);
      assert.equal((await cluster.group("w-b")).lastEpoch, (before?.lastEpoch ?? 0) + LEFT_OUT);
      const leader = await cluster.leader(["w-a", "w-b"]);
      const epoch = await cluster.switchover(leader, "a", "after the recovery");
      assert.equal(epoch, (before?.lastEpoch ?? 0) + LEFT_OUT + 1);
      await cluster.settled("w-b", "a");
    });

    await act(
      t,
      "an old disk that is taken for an empty one gets the survivor's state, not its own",
      async () => {
        const { admin, peer } = cluster.place("w-c");
        rewrite(cluster, ["w-a", "w-b", "w-c"]);
        const to = ["--peers", peer, "--admin", admin, "--wait", "-a", cluster.place("w-a").admin];
        const added = must("members", "add", "w-c", ...to);
        await cluster.startWitness("w-c");
        await added;
        await until("w-c has the history of w-a", async () => {
          const [one, other] = [await cluster.history("w-a"), await cluster.history("w-c")];
          assert.deepEqual(other, one);
          return true;
        });
        assert.deepEqual(await cluster.group("w-c"), await cluster.group("w-a"));
      },
    );

    await act(t, "an old disk is refused once its name is a member on another one", async () => {
      await cluster.kill("w-b");
      rmSync(cluster.place("w-b").data, { recursive: true, force: true });
      cpSync(oldDisk, cluster.place("w-b").data, { recursive: true });
      await cluster.startWitness("w-b");
      await until("the old disk of w-b is refused", async () => {
        const answer = await cluster.ask("w-a", { kind: "members" });
        if (answer.kind !== "members") throw new Error(JSON.stringify(answer));
        const refused = answer.report.members.map(({ progress }) => progress?.refused ?? null);
        const lines = [...(await cluster.logLines("w-a")), ...(await cluster.logLines("w-b"))];
        const told = lines.filter((line) => /other_disk|no_member/.test(JSON.stringify(line))).length;
        if (told === 0) throw new Error(JSON.stringify(refused));
        return true;
      });
    });
  });
});
