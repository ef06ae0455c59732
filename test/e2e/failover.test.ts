/**
 * The main job at real hosts and a real name server: what fails, what moves, and what must not. One scene for
 * all, because the start of three witnesses is the dear part: each case begins where the one before it ended.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { act } from "./act.js";
import { ADDRESS, GROUP, type SiteName, type WitnessName } from "./document.js";
import { PLACE, type Scene, skipSites, withSites } from "./sites.js";
import { always, until } from "./until.js";

/** Waits for the first primary; every scene begins at site a in epoch 1. */
async function begin({ cluster, named }: Scene): Promise<void> {
  await cluster.settled("w-c", "a");
  await cluster.calm("w-c");
  await named("a");
}

/** The ticket, both records, and one decision an epoch. */
async function expectAt(scene: Scene, site: SiteName, epoch: number, via = "w-c"): Promise<void> {
  const group = await scene.cluster.settled(via, site);
  assert.equal(group.ticket.epoch, epoch);
  assert.deepEqual(scene.dig(), [ADDRESS[site]]);
  assert.deepEqual(scene.digEpoch(), [`"epoch=${epoch} site=${site} group=${GROUP}"`]);
  const decisions = (await scene.cluster.history(via)).filter(({ kind }) => kind === "decision");
  assert.deepEqual(
    decisions.map((record) => record.epoch),
    Array.from({ length: epoch }, (_, i) => i + 1),
    "one decision an epoch",
  );
}

/** Makes a witness the leader. */
async function lead({ cluster }: Scene, id: WitnessName): Promise<void> {
  await until(`${id} leads`, async () => {
    const answer = await cluster.ask("w-c", { kind: "transfer", to: id as never });
    return answer.kind === "accepted" && (await cluster.leader()) === id;
  });
}

/** Nothing moves for a good while. */
async function staysAt(scene: Scene, site: SiteName, epoch: number): Promise<void> {
  await always(`site ${site} is primary`, 6000, async () => {
    const group = await scene.cluster.group("w-c");
    return group.ticket.site === site && group.ticket.status === "held" && group.lastEpoch === epoch;
  });
  await expectAt(scene, site, epoch);
}

test("three witnesses, two sites of three services, and a BIND", {
  skip: skipSites("bind"),
  timeout: 600_000,
}, async (t) => {
  await withSites({ nameServer: "bind" }, async (scene) => {
    const { cluster, lab } = scene;
    await begin(scene);

    await act(t, "one witness is cut from the primary site, where the leader is: nothing moves", async () => {
      await lead(scene, "w-a");
      lab.cutBoth(PLACE.a, PLACE.b);
      await until("what the cut witness sees reaches the leader through the tie-breaker", async () => {
        const record = (await cluster.status("w-c")).witnesses.find(({ witness }) => witness === "w-b");
        return Object.entries(record?.observations ?? {}).some(
          ([target, { opinion }]) => target.startsWith(`${GROUP}/a/`) && opinion === "down",
        );
      });
      await staysAt(scene, "a", 1);
      assert.equal((await cluster.status("w-c")).raft.leader, "w-a", "the leader keeps its majority");
      lab.heal();
      await cluster.leader();
      await cluster.calm("w-c");
    });

    await act(
      t,
      "one witness is cut from the primary site, and the leader hears it: nothing moves",
      async () => {
        await lead(scene, "w-c");
        lab.cutBoth(PLACE.a, PLACE.b);
        await until("the cut witness sees the primary down", async () => {
          const record = (await cluster.status("w-c")).witnesses.find(({ witness }) => witness === "w-b");
          return Object.entries(record?.observations ?? {}).some(
            ([target, { opinion }]) => target.startsWith(`${GROUP}/a/`) && opinion === "down",
          );
        });
        await staysAt(scene, "a", 1);
        lab.heal();
        await cluster.calm("w-c");
      },
    );

    await act(t, "one of three services of the primary is killed: dig shows the standby", async () => {
      const killedAtMs = performance.now();
      await cluster.kill("a/api");
      await scene.named("b");
      t.diagnostic(`from kill -9 to the new answer: ${Math.round(performance.now() - killedAtMs)} ms`);
      await expectAt(scene, "b", 2);
    });

    await act(t, "the service comes back: nothing moves back by itself", async () => {
      await cluster.startService("a/api");
      await cluster.calm("w-c");
      await always("site b is primary", 3000, async () => (await cluster.group("w-c")).ticket.site === "b");
    });

    await act(t, "the primary site is cut off from the rest: dig shows the standby", async () => {
      const cutAtMs = performance.now();
      lab.isolate(PLACE.b);
      await scene.named("a");
      t.diagnostic(`from the cut to the new answer: ${Math.round(performance.now() - cutAtMs)} ms`);
      await expectAt(scene, "a", 3);
      const alone = await cluster.status("w-b");
      assert.notEqual(alone.raft.role, "leader", "a leader without a majority steps down");
    });

    await act(t, "the cut is healed: nothing moves back, and the old site's witness catches up", async () => {
      lab.heal();
      await cluster.leader();
      await until("the witness of the old site catches up", async () => {
        const [old, own] = await Promise.all([cluster.status("w-b"), cluster.status("w-c")]);
        return old.raft.applied >= own.raft.commit;
      });
      await cluster.calm("w-b");
      await always("site a is primary", 3000, async () => (await cluster.group("w-b")).ticket.site === "a");
      await expectAt(scene, "a", 3, "w-b");
    });
  });
});

test("the same at a Knot: one of three services of the primary is killed, and dig shows the standby", {
  skip: skipSites("knot"),
  timeout: 600_000,
}, async (t) => {
  await withSites({ nameServer: "knot" }, async (scene) => {
    await begin(scene);
    const killedAtMs = performance.now();
    await scene.cluster.kill("a/db");
    await scene.named("b");
    t.diagnostic(`from kill -9 to the new answer: ${Math.round(performance.now() - killedAtMs)} ms`);
    await expectAt(scene, "b", 2);
  });
});
