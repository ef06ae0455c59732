/**
 * What goes wrong around a running cluster, on loopback: things that hang, lie, vanish, flood, or fill up.
 * Each ends with the right word in the right place, and the cluster goes on.
 *
 * One cluster with a group for each kind of trouble, because a group in trouble must not touch its neighbours
 * anyway.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { queryDns } from "../../src/drivers/dns/query.js";
import { connectAdmin } from "../../src/drivers/server/admin-client.js";
import { encodeFrame, STREAM_PATH } from "../../src/drivers/transport/wire.js";
import {
  freePort,
  type NameServer,
  skipNameServer,
  startNameServer,
  testKey,
} from "../support/name-servers.js";
import { act } from "./act.js";
import { Cluster, COMMAND } from "./cluster.js";
import { ADDRESS, GROUP, NAME, type Section, WITNESSES, ZONE } from "./document.js";
import { startWebhookReceiver, type WebhookReceiver } from "./listeners.js";
import { LOOPBACK } from "./machine.js";
import { mountSmallDisk, type SmallDisk } from "./small-disk.js";
import { until } from "./until.js";

/** Zone at the real name server; the embedded ones have ZONE. */
const UPDATED = "servers.test";

interface Surroundings {
  readonly bind: NameServer;
  readonly webhook: WebhookReceiver;
  /** A key of the right name and the wrong secret. */
  readonly wrong: ReturnType<typeof testKey>;
  /** The command of the hook that never ends; no other process has this text in its command line. */
  readonly endless: string;
}

async function start(t: TestContext): Promise<{ cluster: Cluster; around: Surroundings; disk: SmallDisk }> {
  const disk = mountSmallDisk(t, "8m");
  if (disk === null) throw new Error("skipped");
  const webhook = await startWebhookReceiver("127.0.0.1");
  webhook.holding = true;
  t.after(() => webhook.close());
  const bind = await startNameServer("bind", { zone: UPDATED });
  t.after(() => bind.close());
  const around: Surroundings = {
    bind,
    webhook,
    wrong: testKey(),
    endless: `pointsman-endless-${process.pid}-${Date.now()}`,
  };
  const key = join(disk.path, "wrong.key");
  writeFileSync(key, around.wrong.secret.toString("base64"), { mode: 0o600 });
  const nowhere = `127.0.0.1:${await freePort()}`;
  const retry = { limit: 2, backoff: "100ms" };
  const updates = (server: string): Section => ({
    route: [
      { rfc2136: { zone: UPDATED, server, key: { name: "pointsman", secretFile: key }, timeout: "8s" } },
    ],
    retry,
    onFailure: "wait",
  });
  const embedded = { route: [{ embedded: ZONE }] };
  const endless = `trap '' TERM; : ${around.endless}; while :; do sleep 1; done`;
  const cluster = await Cluster.start({
    machines: { "w-a": LOOPBACK, "w-b": LOOPBACK, "w-c": LOOPBACK },
    embeddedDns: true,
    // Thirty targets: a calmer pace, or the probes alone would keep two cores busy.
    extra: { probes: { interval: "600ms", timeout: "500ms" } },
    dataOf: { "w-c": join(disk.path, "w-c") },
    groups: {
      [GROUP]: embedded,
      locked: updates(bind.address),
      nowhere: updates(nowhere),
      mute: { ...embedded, announce: [{ webhook: webhook.url, timeout: "500ms" }], retry },
      endless: {
        ...embedded,
        promote: { exec: ["/bin/sh", "-c", endless], timeout: "1s" },
        retry,
        onFailure: "wait",
      },
    },
    names: {
      locked: `www.locked.${UPDATED}`,
      nowhere: `www.nowhere.${UPDATED}`,
      mute: `www.mute.${ZONE}`,
      endless: `www.endless.${ZONE}`,
    },
  });
  t.after(() => cluster.destroy());
  return { cluster, around, disk };
}

test("things go wrong around a cluster, and it goes on", {
  skip: skipNameServer("bind"),
  timeout: 900_000,
}, async (t) => {
  const { cluster, around, disk } = await start(t);
  try {
    await play(t, cluster, around, disk);
  } catch (error) {
    process.stderr.write(`${await cluster.tails()}\n`);
    throw error;
  }
});

async function play(t: TestContext, cluster: Cluster, around: Surroundings, disk: SmallDisk): Promise<void> {
  await cluster.settled("w-a", "a");
  await cluster.leader();

  await act(
    t,
    "a name server that knows another secret: the plan ends, the group is on hold with the reason",
    async () => {
      const reason = await onHold(cluster, "locked");
      assert.match(reason, /dns_badsig/);
      assert.match(reason, new RegExp(around.bind.address));
      const attempts = (await steps(cluster, "locked", "route")).length;
      assert.equal(attempts, 1, "a wrong key is not tried again");
    },
  );

  await act(
    t,
    "a name server that is not there: tried again to the limit, then on hold with the reason",
    async () => {
      const reason = await onHold(cluster, "nowhere");
      assert.match(reason, /dns_unreachable/);
      assert.ok((await begun(cluster, "nowhere", "route")) >= 2, "as often as retry.limit says");
    },
  );

  await act(t, "a webhook that hangs: given up in time, and the plan is done without it", async () => {
    await cluster.settled("w-a", "a", "mute");
    const ends = await steps(cluster, "mute", "announce");
    assert.ok(
      ends.some((end) => /webhook_timeout/.test(end)),
      ends.join("; "),
    );
    assert.match(ends.at(-1) ?? "", /skipped/);
    assert.ok(around.webhook.received.length >= 1, "it was asked");
  });

  await act(
    t,
    "a hook that never ends: stopped at its timeout with all that it started, and the group waits for a person",
    async () => {
      const reason = await onHold(cluster, "endless");
      // A leader that lost its place in the meantime says `deadline` of what it no longer knows.
      assert.match(reason, /hook_timeout|deadline/);
      assert.ok((await begun(cluster, "endless", "promote")) >= 2, "as often as retry.limit says");
      await until("nothing of the hook is left", () => !isAlive(around.endless));
    },
  );

  await act(t, "people leave in the middle of a watch: nobody notices", async () => {
    const leader = await cluster.leader();
    const before = await cluster.status(leader);
    for (let i = 0; i < 30; i++) await watchAndLeave(cluster.place(leader).admin, i);
    await goesOn(cluster, leader, before.raft.term);
  });

  await act(
    t,
    "the peer port gets garbage and a message of 100 MB: refused, in little memory, without a new election",
    async () => {
      const leader = await cluster.leader();
      const before = await cluster.status(leader);
      const logged = (await cluster.logLines(leader)).length;
      const rss = residentMb(cluster.pid(leader));
      await flood(cluster.place(leader).peer);
      const grown = residentMb(cluster.pid(leader)) - rss;
      t.diagnostic(`memory of the flooded leader grew by ${grown.toFixed(0)} MB`);
      assert.ok(grown < 100, `grew by ${grown} MB`);
      const said = (await cluster.logLines(leader)).slice(logged).filter(({ level }) => level === "warn");
      const about = said.filter(({ reason }) => reason !== undefined).map(({ msg }) => String(msg));
      t.diagnostic(`what it said: ${about.join("; ")}`);
      assert.ok(about.length >= 1 && about.length <= 20, `${about.length} lines: ${about.join("; ")}`);
      await goesOn(cluster, leader, before.raft.term);
    },
  );

  await act(
    t,
    "a leader is told to stop: another one leads without waiting for an election timeout, and it exits 0",
    async () => {
      await handOver(t, cluster);
    },
  );

  await act(
    t,
    "the disk of a witness fills up: it stops with 74 and the reason, and the others go on",
    async () => {
      await fillDisk(cluster, disk);
    },
  );

  await act(t, "all witnesses are killed at once: what was acknowledged is there afterwards", async () => {
    await killAll(cluster);
  });

  await act(t, "no log holds a secret", async () => {
    for (const { log } of cluster.witnesses) {
      const text = readFileSync(log, "utf8");
      for (const { secret } of [around.wrong, around.bind.key]) {
        assert.ok(!text.includes(secret.toString("base64")), log);
        assert.ok(!text.includes(secret.toString("hex")), log);
      }
    }
  });
}

/** Waits until a group is on hold; returns why. */
function onHold(cluster: Cluster, group: string): Promise<string> {
  return until(`${group} is on hold`, async () => {
    const { mode, holdReason } = await cluster.group("w-a", group);
    return mode === "hold" ? (holdReason ?? "no reason") : null;
  });
}

/** How the attempts of a step ended, in the words of the history. */
async function steps(cluster: Cluster, group: string, step: string): Promise<string[]> {
  const records = await cluster.history("w-a");
  return records
    .filter((record) => record.group === group && record.kind === "step_finished" && record.step === step)
    .map(({ message }) => message);
}

/** How often a step was begun; a leader that is lost in between adds to it. */
async function begun(cluster: Cluster, group: string, step: string): Promise<number> {
  return (await cluster.history("w-a")).filter(
    (record) => record.group === group && record.kind === "step_begun" && record.step === step,
  ).length;
}

/** True while a process has that text in its command line (but for whoever looks). */
function isAlive(text: string): boolean {
  const commands = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" });
  return commands.split("\n").some((line) => line.includes(text) && line.startsWith("/bin/sh"));
}

/** The same leader in the same term answers, decides, and the names are answered. */
async function goesOn(cluster: Cluster, leader: string, term: number): Promise<void> {
  const after = await cluster.status(leader);
  assert.deepEqual([after.raft.role, after.raft.term], ["leader", term], "no new election");
  const answer = await cluster.ask("w-a", { kind: "hold", group: GROUP, by: "e2e", reason: "still here?" });
  assert.equal(answer.kind, "accepted", JSON.stringify(answer));
  const back = await cluster.ask("w-b", { kind: "resume", group: GROUP, by: "e2e" });
  assert.equal(back.kind, "accepted", JSON.stringify(back));
  for (const { dns } of cluster.witnesses) {
    const { answers } = await queryDns(dns ?? "", NAME, "A", { timeoutMs: 5000 });
    assert.deepEqual(
      answers.map(({ value }) => value),
      [ADDRESS.a],
    );
  }
}

/** Opens a watch, reads a little, and leaves in one of three ways. */
async function watchAndLeave(address: string, i: number): Promise<void> {
  if (i % 3 === 2) {
    // Not even a goodbye: the connection is reset in the midst of its preface.
    const [host = "", port = ""] = address.split(":");
    const socket = connect(Number(port), host);
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    socket.resetAndDestroy();
    return;
  }
  const connection = await connectAdmin(address, 5000);
  const leaving = new AbortController();
  const stream = connection.watch({ group: null, since: { index: 0, seq: null } }, leaving.signal);
  await stream.next();
  if (i % 3 === 0) leaving.abort();
  connection.close();
  await stream.return(null).catch(() => undefined);
}

/** Noise, then a stream that greets like a peer would and sends 100 MB. */
async function flood(peer: string): Promise<void> {
  const [host = "", port = ""] = peer.split(":");
  for (let i = 0; i < 10; i++) {
    const socket = connect(Number(port), host);
    socket.on("error", () => undefined);
    socket.resume();
    await new Promise((resolve) => socket.once("connect", resolve));
    const preface = i % 2 === 0 ? "" : "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    socket.write(Buffer.concat([Buffer.from(preface), randomBytes(100_000)]));
    await sleep(50);
    socket.destroy();
  }
  const client = new Client(peer, credentials.createInsecure(), { "grpc.max_send_message_length": -1 });
  const same = (bytes: Buffer): Buffer => bytes;
  const stream = client.makeBidiStreamRequest<Buffer, Buffer>(STREAM_PATH, same, same);
  const failed = new Promise<ServiceError>((resolve) => stream.on("error", resolve));
  stream.on("data", () => undefined);
  const hello = { protocol: 2, cluster: "e2e", from: "w-x", to: "w-y", life: 5, disk: "none" };
  stream.write(encodeFrame({ seq: 0, sentMs: 1, body: { kind: "hello", hello } }));
  stream.write(Buffer.alloc(100 * 2 ** 20, 1));
  const error = await failed;
  assert.ok(error.code !== status.OK, String(error));
  client.close();
  // And one from nobody in particular, without a greeting.
  const other = new Client(peer, credentials.createInsecure(), { "grpc.max_send_message_length": -1 });
  const second = other.makeBidiStreamRequest<Buffer, Buffer>(STREAM_PATH, same, same);
  const end = new Promise<ServiceError>((resolve) => second.on("error", resolve));
  second.on("data", () => undefined);
  second.write(Buffer.alloc(100 * 2 ** 20, 1));
  assert.equal((await end).code, status.RESOURCE_EXHAUSTED);
  other.close();
}

/** Unit: MB. */
function residentMb(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1]) / 1024;
}

async function handOver(t: TestContext, cluster: Cluster): Promise<void> {
  const leader = await cluster.leader();
  const others = WITNESSES.filter((id) => id !== leader);
  const before = (await cluster.status(leader)).raft.term;
  const stopped = cluster.stop(leader);
  const next = await cluster.leader(others);
  assert.deepEqual(await stopped, { code: 0, signal: null });
  assert.equal((await cluster.status(next)).raft.term, before + 1, "one election");
  // A witness whose patience ended asks first whether it could win; one that was handed the leadership does
  // not.
  const roles = (await cluster.logLines(next))
    .filter((line) => line["event"] === "role" && Number(line["term"]) >= before)
    .map(({ msg }) => String(msg));
  assert.ok(!roles.some((role) => role === `pre-candidate in term ${before}`), roles.join("; "));
  const told = await logged(cluster, leader, (msg) => msg === "stopping: SIGTERM");
  const led = await logged(cluster, next, (msg) => msg === `leader in term ${before + 1}`);
  t.diagnostic(`another one leads ${led - told} ms after SIGTERM (election timeout: 1 to 2 s)`);
  await cluster.startWitness(leader);
  await cluster.leader();
}

/** When a witness last logged such a sentence; ms since 1970. */
async function logged(cluster: Cluster, id: string, isIt: (msg: string) => boolean): Promise<number> {
  const line = (await cluster.logLines(id)).filter(({ msg }) => isIt(String(msg))).at(-1);
  return Date.parse(String(line?.["time"]));
}

async function fillDisk(cluster: Cluster, disk: SmallDisk): Promise<void> {
  const exited = cluster.exited("w-c");
  disk.fill(0);
  // Decisions are written until there is no room left for them.
  for (let i = 0; i < 2000 && cluster.isRunning("w-c"); i++) {
    await cluster
      .ask("w-a", { kind: "hold", group: GROUP, by: "e2e", reason: `${i} ${"x".repeat(200)}` })
      .catch(() => undefined);
  }
  assert.equal((await exited)?.code, 74);
  const fatal = (await cluster.logLines("w-c")).filter(({ level }) => level === "fatal");
  assert.equal(fatal.length, 1, "one line");
  assert.equal(fatal[0]?.["code"], "STORAGE_FULL");
  assert.match(String(fatal[0]?.["msg"]), /full/);
  await cluster.leader();
  const answer = await cluster.ask("w-a", { kind: "resume", group: GROUP, by: "e2e" });
  assert.equal(answer.kind, "accepted", JSON.stringify(answer));
  disk.free();
  await cluster.startWitness("w-c");
  await cluster.leader();
}

async function killAll(cluster: Cluster): Promise<void> {
  const via = await cluster.leader();
  const reason = "acknowledged, then darkness";
  const answer = await cluster.ask(via, { kind: "hold", group: GROUP, by: "e2e", reason });
  assert.equal(answer.kind, "accepted", JSON.stringify(answer));
  for (const id of WITNESSES) cluster.signal(id, "SIGKILL");
  await Promise.all(WITNESSES.map((id) => cluster.kill(id)));
  await Promise.all(WITNESSES.map((id) => cluster.startWitness(id)));
  await cluster.leader();
  for (const id of WITNESSES) {
    const state = await until(`${id} knows of the hold again`, async () => {
      const group = await cluster.group(id);
      return group.mode === "hold" ? group : null;
    });
    assert.match(state.holdReason ?? "", new RegExp(reason));
    assert.equal(state.ticket.site, "a");
  }
  // The same through the command line, as a person would look.
  const addresses = cluster.adminAddresses.flatMap((address) => ["--address", address]);
  const text = execFileSync(
    process.execPath,
    [COMMAND, "history", "--json", "--limit", "1000", ...addresses],
    {
      encoding: "utf8",
    },
  );
  const records = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { kind: string; message: string });
  assert.ok(records.some(({ kind, message }) => kind === "hold" && message.includes(reason)));
}
