/**
 * The command as a child process against a real admin server over data: exit codes, JSON, the next address, resuming.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { epoch, logIndex, nodeId } from "../../src/core/base/ids.js";
import type { AdminRequest, MembersReport } from "../../src/core/model/admin.js";
import type { RefusalCode } from "../../src/core/model/code.js";
import type { Plan } from "../../src/core/model/state.js";
import { type AdminServer, startAdminServer } from "../../src/drivers/server/admin.js";
import {
  EXPLANATION,
  GROUP,
  LYON,
  MEMBERS_REPORT,
  PARIS,
  PLAN,
  PROGRESS,
  record,
  SampleBackend,
  SILENT_LOG,
  STATUS,
  until,
} from "../drivers/server/admin-samples.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

interface Running {
  readonly child: ChildProcess;
  readonly done: Promise<Ended>;
  stdout(): string;
  stderr(): string;
}

interface Ended {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const started = new Set<ChildProcess>();
const servers = new Set<AdminServer>();

function start(args: readonly string[], env: Record<string, string> = {}): Running {
  const { POINTSMAN_ADDRESS: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...inherited, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.add(child);
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const done = new Promise<Ended>((resolve) => {
    child.on("close", (exit) => {
      started.delete(child);
      resolve({ exit, stdout, stderr });
    });
  });
  return { child, done, stdout: () => stdout, stderr: () => stderr };
}

const run = (args: readonly string[], env?: Record<string, string>): Promise<Ended> => start(args, env).done;

let backend: SampleBackend;
let server: AdminServer;
let address: string;

/** An admin server that ends with its test, also when the test fails. */
async function serve(from: SampleBackend): Promise<AdminServer> {
  const listening = await startAdminServer({
    address: "127.0.0.1:0",
    backend: from,
    log: SILENT_LOG,
    version: "0.1.0",
  });
  servers.add(listening);
  return listening;
}

beforeEach(async () => {
  backend = new SampleBackend();
  server = await serve(backend);
  address = `127.0.0.1:${server.port}`;
});

afterEach(async () => {
  for (const child of started) child.kill("SIGKILL");
  for (const listening of servers) await listening.close(0);
  servers.clear();
});

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const bound = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  assert.ok(bound !== null && typeof bound === "object");
  return bound.port;
}

const lines = (text: string): unknown[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

describe("reads", () => {
  it("prints the status as text without colours into a pipe, and whole as JSON", async () => {
    const text = await run(["status", "-a", address]);
    assert.equal(text.exit, 0, text.stderr);
    assert.match(text.stdout, /^cluster acme {3}leader w2/);
    assert.ok(!text.stdout.includes("\u001b"));
    const json = await run(["status", "--json", "--linearizable"], { POINTSMAN_ADDRESS: address });
    assert.equal(json.exit, 0, json.stderr);
    assert.deepEqual(lines(json.stdout), [STATUS]);
    assert.deepEqual(backend.requests.at(-1), { kind: "status", linearizable: true });
  });

  it("explains in words and as JSON, and names an unknown group", async () => {
    const text = await run(["explain", "shop", "-a", address]);
    assert.equal(text.exit, 0, text.stderr);
    assert.match(text.stdout, /What would have to change/);
    const json = await run(["explain", "shop", "-a", address, "--json"]);
    assert.deepEqual(lines(json.stdout), [EXPLANATION]);
    const wrong = await run(["explain", "nope", "-a", address, "--json"]);
    assert.equal(wrong.exit, 1);
    assert.match(wrong.stderr, /group nope is not configured.*\[unknown_group\]/);
    const [error] = lines(wrong.stdout) as [{ error: { code: string } }];
    assert.equal(error.error.code, "unknown_group");
  });

  it("pages through the history by the places that it prints", async () => {
    backend.records = [record(1, 0), record(2, 0), record(2, 1), record(3, 0, "other")];
    const first = await run(["history", "-a", address, "--since", "0", "-n", "2", "--json"]);
    assert.deepEqual(lines(first.stdout), [record(1, 0), record(2, 0)]);
    const hint = /--since (\S+)/.exec(first.stderr)?.[1] ?? "";
    const second = await run(["history", "-a", address, "--since", hint, "-n", "2", "--json"]);
    assert.deepEqual(lines(second.stdout), [record(2, 1), record(3, 0, "other")]);
    const table = await run(["history", "shop", "-a", address, "--details"]);
    assert.equal(table.stdout.split("\n").length, 3 * 3 + 1);
    const none = await run(["history", "ghost", "-a", address]);
    assert.equal(none.exit, 0);
    assert.match(none.stderr, /no records of group ghost/);
  });
});

describe("exit codes", () => {
  it("exits 2 for a wrong command line and asks nobody", async () => {
    const wrong = [
      ["switchover", "shop", "-a", address],
      ["hold", "shop", "-a", address],
      ["hold", "shop", "--reason", " ", "-a", address],
      ["explain", "a/b", "-a", address],
      ["status", "-a", "nonsense"],
      ["status", "-a", address, "--timeout", "10"],
      ["history", "-a", address, "--limit", "0"],
      ["frobnicate"],
    ];
    const ended = await Promise.all(wrong.map((args) => run(args)));
    assert.deepEqual(
      ended.map((end) => end.exit),
      wrong.map(() => 2),
      ended.map((end) => end.stderr).join(""),
    );
    assert.deepEqual(backend.requests, []);
  });

  it("exits 0 for help, which lists the exit codes, and for the version", async () => {
    const help = await run(["--help"]);
    assert.equal(help.exit, 0);
    assert.match(help.stdout, /Exit codes:\n {3}0 .*\n {3}1 /);
    const version = await run(["--version"]);
    assert.equal(version.exit, 0);
    assert.match(version.stdout, /^\d+\.\d+\.\d+/);
  });

  const codes: readonly (readonly [RefusalCode, number])[] = [
    ["not_held", 1],
    ["invalid", 1],
    ["no_leader", 3],
    ["busy", 3],
    ["unknown_outcome", 4],
  ];
  for (const [code, exit] of codes) {
    it(`exits ${exit} for the refusal ${code} and prints it`, async () => {
      backend.answer = () => ({ kind: "refused", code, message: "why so", leader: null });
      const ended = await run(["resume", "shop", "-a", address, "--patience", "0"]);
      assert.equal(ended.exit, exit);
      assert.match(ended.stderr, new RegExp(`why so \\[${code}\\]`));
    });
  }

  it("exits 3 when nobody listens, soon, and when somebody listens and says nothing", async () => {
    const begin = Date.now();
    const refused = await run(["status", "-a", `127.0.0.1:${await freePort()}`, "--timeout", "2m"]);
    assert.equal(refused.exit, 3);
    assert.ok(Date.now() - begin < 60_000, "a refused connection waited for the whole timeout");
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const bound = silent.address();
    assert.ok(bound !== null && typeof bound === "object");
    const place = `127.0.0.1:${bound.port}`;
    const ended = await run(["resume", "shop", "-a", place, "--timeout", "500ms", "--patience", "0"]);
    silent.close();
    assert.equal(ended.exit, 3, ended.stderr);
    assert.match(ended.stderr, /admin_unreachable/);
  });

  it("exits 4 when a write was sent and no answer came", async () => {
    backend.answer = () => null;
    const hold = ["hold", "shop", "--reason", "test", "-a", address, "--timeout", "3s", "--json"];
    const ended = await run([...hold, "--patience", "0"]);
    assert.equal(ended.exit, 4);
    assert.equal((lines(ended.stdout)[0] as { error: { code: string } }).error.code, "unknown_outcome");
    assert.equal(backend.requests.length, 1);
  });

  it("exits 78 for a configuration with errors, with line and remedy, and says it in JSON", async () => {
    const text = await run(["config", "check", MAIN]);
    assert.equal(text.exit, 78);
    assert.match(text.stdout, /error .*main\.js/);
    const json = await run(["config", "check", "/nowhere/pointsman.yaml", "--json"]);
    assert.equal(json.exit, 78);
    assert.equal((lines(json.stdout)[0] as { ok: boolean }).ok, false);
    const usage = await run(["config", "check", "/nowhere/pointsman.yaml", "--probe-rtt"]);
    assert.equal(usage.exit, 2);
  });
});

describe("several addresses", () => {
  it("asks the next one when one is unreachable or cannot answer, for a read and for a write", async () => {
    const dead = `127.0.0.1:${await freePort()}`;
    const lost = new SampleBackend();
    lost.answer = () => ({ kind: "refused", code: "no_leader", message: "cut off", leader: null });
    const cutOff = await serve(lost);
    const all = `${dead},127.0.0.1:${cutOff.port} ${address}`;
    const read = await run(["status", "--json"], { POINTSMAN_ADDRESS: all });
    assert.equal(read.exit, 0, read.stderr);
    assert.match(read.stderr, /trying the next one/);
    const write = await run(["resume", "shop", "--by", "anna", "--json"], { POINTSMAN_ADDRESS: all });
    assert.equal(write.exit, 0, write.stderr);
    assert.equal(lost.requests.length, 2);
    const { session, ...request } = backend.requests.at(-1) as Extract<AdminRequest, { kind: "resume" }>;
    assert.deepEqual(request, { kind: "resume", group: "shop", by: "anna" });
    assert.match(session?.id ?? "", /^[0-9a-f]{32}$/);
  });

  it("does not put a write without patience to a second witness after the first may have taken it", async () => {
    const lost = new SampleBackend();
    lost.answer = () => null;
    const first = await serve(lost);
    const move = ["switchover", "shop", "--to", "paris", "-a", `127.0.0.1:${first.port}`, "-a", address];
    move.push("--patience", "0");
    const silent = await run([...move, "--timeout", "3s"]);
    assert.equal(silent.exit, 4, silent.stderr);
    lost.answer = () => ({
      kind: "refused",
      code: "unknown_outcome",
      message: "no leader now",
      leader: null,
    });
    const told = await run(move);
    assert.equal(told.exit, 4, told.stderr);
    assert.deepEqual(backend.requests, []);
  });
});

describe("patience", () => {
  it("asks again under one name, everywhere in turn, until somebody knows what became of the write", async () => {
    const lost = new SampleBackend();
    lost.answer = () => ({
      kind: "refused",
      code: "unknown_outcome",
      message: "no leader now",
      leader: null,
    });
    const first = await serve(lost);
    const accept = backend.answer;
    backend.answer = (request) =>
      backend.requests.length < 3
        ? { kind: "refused", code: "no_leader", message: "not yet", leader: null }
        : accept(request);
    const ended = await run(["resume", "shop", "-a", `127.0.0.1:${first.port}`, "-a", address]);
    assert.equal(ended.exit, 0, ended.stderr);
    assert.match(ended.stderr, /unknown_outcome; asking again/);
    const asked = [...lost.requests, ...backend.requests];
    assert.ok(lost.requests.length >= 3 && backend.requests.length === 3, `asked ${asked.length} times`);
    const names = new Set(asked.map((request) => JSON.stringify("session" in request && request.session)));
    assert.equal(names.size, 1, [...names].join());
    await run(["resume", "shop", "-a", address]);
    assert.notDeepEqual(
      backend.requests.at(-1),
      backend.requests.at(-2),
      "the next command has a name of its own",
    );
  });

  it("exits 4 at its end when one try may have been decided, and 3 when none was", async () => {
    const told: RefusalCode[] = ["unknown_outcome"];
    backend.answer = () => ({
      kind: "refused",
      code: told.shift() ?? "no_leader",
      message: "m",
      leader: null,
    });
    const args = ["resume", "shop", "-a", address, "--patience", "700ms"];
    const unknown = await run(args);
    assert.equal(unknown.exit, 4, unknown.stderr);
    assert.match(unknown.stderr, /\[unknown_outcome\]\n$/);
    assert.ok(backend.requests.length > 1);
    const nothing = await run(args);
    assert.equal(nothing.exit, 3, nothing.stderr);
  });

  it("ends at once with a refusal that asking again cannot change, also after an unknown outcome", async () => {
    const told: RefusalCode[] = ["unknown_outcome"];
    backend.answer = () => ({
      kind: "refused",
      code: told.shift() ?? "plan_running",
      message: "m",
      leader: null,
    });
    const ended = await run(["resume", "shop", "-a", address, "--patience", "20m"]);
    assert.equal(ended.exit, 1, ended.stderr);
    assert.equal(backend.requests.length, 2);
  });

  it("refuses a patience that outlasts what the cluster remembers", async () => {
    assert.equal((await run(["resume", "shop", "-a", address, "--patience", "31m"])).exit, 2);
  });
});

describe("watch", () => {
  it("goes on at another witness after the place of the last record, and ends cleanly with Ctrl-C", async () => {
    const other = new SampleBackend();
    other.records = [record(5, 0), record(6, 0), record(6, 1), record(7, 0)];
    const second = await serve(other);
    backend.records = [record(4, 0), record(5, 0)];
    const watching = start([
      "watch",
      "--from",
      "4",
      "--json",
      "-a",
      address,
      "-a",
      `127.0.0.1:${second.port}`,
    ]);
    await until("the backlog is there", () => lines(watching.stdout()).length === 2, 60_000);
    backend.append(record(6, 0));
    await until("the live record is there", () => lines(watching.stdout()).length === 3);
    await server.close(0);
    await until("it goes on", () => watching.stdout().includes("record 7.0"), 60_000);
    watching.child.kill("SIGINT");
    const ended = await watching.done;
    assert.equal(ended.exit, 0, ended.stderr);
    assert.equal(other.listeners.size, 0);
    const messages = lines(ended.stdout) as { kind: string; record?: { index: number; seq: number } }[];
    assert.deepEqual(
      messages.flatMap((message) =>
        message.record ? [`${message.record.index}.${message.record.seq}`] : [],
      ),
      ["5.0", "6.0", "6.1", "7.0"],
    );
  });

  it("refuses a group that is not configured instead of watching nothing", async () => {
    const stranger = await run(["watch", "stranger", "-a", address]);
    assert.equal(stranger.exit, 1, stranger.stderr);
    assert.match(stranger.stderr, /unknown_group/);
  });

  it("exits 3 when no address ever answers, and 1 when the query is refused", async () => {
    const dead = await run(["watch", "-a", `127.0.0.1:${await freePort()}`]);
    assert.equal(dead.exit, 3, dead.stderr);
    const wrong = await run(["watch", "-a", address, "--from", "9007199254740993"]);
    assert.equal(wrong.exit, 2, wrong.stderr);
  });

  it("ends quietly when its reader goes away", async () => {
    backend.records = Array.from({ length: 2000 }, (_, at) => record(at + 1, 0));
    const watching = start(["watch", "--from", "0", "-a", address]);
    await until("it prints", () => watching.stdout().length > 0, 60_000);
    watching.child.stdout?.destroy();
    backend.append(record(3000, 0), record(3001, 0));
    await until("it writes again", () => {
      backend.append(record(3002 + backend.records.length, 0));
      return watching.child.exitCode !== null;
    });
    assert.equal((await watching.done).exit, 0, watching.stderr());
    await until("the subscription ended", () => backend.listeners.size === 0);
  });

  it("ends quietly when the reader of its help goes away", async () => {
    const helping = start(["--help"]);
    helping.child.stdout?.destroy();
    const { exit, stderr } = await helping.done;
    assert.equal(stderr, "");
    assert.equal(exit, 0);
  });
});

describe("switchover --wait", () => {
  function planAt(status: Plan["status"], cursor: number): void {
    const steps = PLAN.steps.map((step, at) => ({
      ...step,
      status: at < cursor ? ("done" as const) : ("pending" as const),
    }));
    const plan: Plan = {
      ...PLAN,
      kind: "switchover",
      epoch: epoch(6),
      status,
      cursor,
      steps,
      endReason: status === "running" ? null : `it is ${status}`,
    };
    show({ plan, lastEpoch: epoch(6) });
  }

  function show(group: Partial<(typeof GROUP)["group"]>): void {
    const accept = backend.answer;
    backend.answer = (request) =>
      request.kind === "status"
        ? {
            kind: "status",
            status: {
              ...STATUS,
              raft: { ...STATUS.raft, applied: logIndex(4713) },
              groups: [{ ...GROUP, group: { ...GROUP.group, ...group } }],
            },
          }
        : accept(request);
  }

  const ARGS = ["switchover", "shop", "--to", "lyon", "--by", "anna", "--reason", "test", "--wait"];

  it("tells each step once and exits 0 when the plan is done", async () => {
    planAt("running", 2);
    const waiting = start([...ARGS, "-a", address]);
    await until("it tells the first steps", () => waiting.stdout().includes("drain"), 60_000);
    planAt("done", 7);
    const ended = await waiting.done;
    assert.equal(ended.exit, 0, ended.stderr);
    assert.match(ended.stdout, /switchover is decided \(log index 4713, epoch 6\)/);
    for (const { step } of PLAN.steps) {
      assert.equal(ended.stdout.match(new RegExp(`^  ${step}\\b`, "gm"))?.length, 1, ended.stdout);
    }
    assert.match(ended.stdout, /lyon is primary: all steps are done in 1\.4 s/);
  });

  it("exits 5 when the plan is rolled back, and gives the plan as JSON", async () => {
    planAt("rolled_back", 4);
    const ended = await run([...ARGS, "-a", address, "--json"]);
    assert.equal(ended.exit, 5, ended.stderr);
    const [document] = lines(ended.stdout) as [{ error: { code: string; plan: { status: string } } }];
    assert.equal(document.error.code, "plan_failed");
    assert.equal(document.error.plan.status, "rolled_back");
  });

  it("reads the end from the history when a later plan stands in its place", async () => {
    backend.records = [
      { ...record(4713, 0), epoch: epoch(6), kind: "decision", step: null },
      { ...record(4720, 0), epoch: epoch(6), kind: "plan_rolled_back", step: null, message: "verify failed" },
    ];
    show({
      plan: { ...PLAN, kind: "rollback", epoch: epoch(7), to: PARIS },
      lastEpoch: epoch(7),
      ticket: { status: "held", site: PARIS, epoch: epoch(7), grantedAtMs: 1 },
    });
    const lost = await run([...ARGS, "-a", address]);
    assert.equal(lost.exit, 5, lost.stdout);
    assert.match(lost.stderr, /did not reach lyon: verify failed/);
    // Granted, failed at a later step, and its rollback has not yet reached the ticket: that is no success.
    backend.records.splice(1, 0, { ...record(4719, 0), epoch: epoch(6), kind: "grant", step: null });
    show({
      plan: { ...PLAN, kind: "rollback", epoch: epoch(7), to: PARIS },
      lastEpoch: epoch(7),
      ticket: { status: "held", site: LYON, epoch: epoch(6), grantedAtMs: 1 },
    });
    assert.equal((await run([...ARGS, "-a", address])).exit, 5);
    backend.records.splice(2, 1, { ...record(4720, 0), epoch: epoch(6), kind: "plan_done", step: null });
    show({
      plan: { ...PLAN, epoch: epoch(7) },
      lastEpoch: epoch(7),
      ticket: { status: "held", site: LYON, epoch: epoch(7), grantedAtMs: 1 },
    });
    assert.equal((await run([...ARGS, "-a", address])).exit, 0);
  });

  it("exits 4 when the plan has not ended in the time to wait", async () => {
    planAt("running", 3);
    const ended = await run([...ARGS, "-a", address, "--wait-timeout", "700ms"]);
    assert.equal(ended.exit, 4, ended.stderr);
    assert.match(ended.stderr, /still_running/);
  });
});

describe("members", () => {
  /** The report with the newest member changed. */
  const withLast = (
    change: Partial<MembersReport["members"][number]["member"]>,
    progress: Partial<typeof PROGRESS> | null,
  ): MembersReport => ({
    ...MEMBERS_REPORT,
    appliedIndex: logIndex(4713),
    members: MEMBERS_REPORT.members.map((one, at) =>
      at === 3
        ? {
            member: { ...one.member, ...change },
            progress: progress === null ? null : { ...PROGRESS, ...progress },
          }
        : one,
    ),
  });

  /** The backend answers the looks one after the other, the last one for ever. */
  function show(...reports: readonly MembersReport[]): void {
    const { answer } = backend;
    let at = 0;
    backend.answer = (request) => {
      if (request.kind !== "members") return answer(request);
      const report = reports[Math.min(at++, reports.length - 1)];
      return report === undefined ? null : { kind: "members", report };
    };
  }

  it("shows the list with and without its name, also as JSON", async () => {
    const [plain, listed, json] = await Promise.all([
      run(["members", "-a", address]),
      run(["members", "list", "-a", address]),
      run(["members", "--json", "-a", address]),
    ]);
    assert.equal(plain.exit, 0, plain.stderr);
    assert.equal(plain.stdout, listed.stdout);
    assert.match(plain.stdout, /w3 +4 +learner for node 3 .*snapshot 25 % of 52\.0 MB/);
    assert.deepEqual(lines(json.stdout), [JSON.parse(JSON.stringify(MEMBERS_REPORT))]);
  });

  it("asks the leader too when a follower answers, and takes the follower's word when the leader is out of reach", async () => {
    const follower = new SampleBackend();
    const other = `127.0.0.1:${(await serve(follower)).port}`;
    const at = (admin: string): MembersReport => ({
      ...MEMBERS_REPORT,
      witness: STATUS.witness,
      members: MEMBERS_REPORT.members.map(({ member }) => ({
        member: member.node === 2 ? { ...member, admin } : member,
        progress: null,
      })),
    });
    follower.answer = () => ({ kind: "members", report: at(address) });
    assert.match((await run(["members", "-a", other])).stdout, /answered by w2 .*\n[\s\S]*snapshot 25 %/);
    const nobody = `127.0.0.1:${await freePort()}`;
    follower.answer = () => ({ kind: "members", report: at(nobody) });
    assert.match(
      (await run(["members", "-a", other])).stdout,
      /answered by w1 [\s\S]*only the leader knows: ask w2/,
    );
  });

  it("sends every field of each change", async () => {
    const by = ["--by", "anna", "-a", address];
    const place = ["--peers", "10.2.0.5:7400,10.8.0.5:7400", "--site", "paris", "--dns", "10.2.0.5:53"];
    for (const args of [
      ["add", "w4", ...place],
      ["add", "w5", "--peers", "[2001:DB8::5]:7400", "--admin", "ADMIN.example:7500"],
      ["promote", "w4"],
      ["remove", "w4", "--force"],
      ["replace", "w3"],
      ["replace", "w3", "--successor", "w6", ...place, "--admin", "10.2.0.5:7401", "--force"],
    ]) {
      const { exit, stderr } = await run(["members", ...args, ...by]);
      assert.equal(exit, 0, stderr);
    }
    const added = {
      kind: "member_add",
      witness: "w4",
      site: "paris",
      peers: ["10.2.0.5:7400", "10.8.0.5:7400"],
      admin: "10.2.0.5:7401",
      dns: "10.2.0.5:53",
      by: "anna",
    };
    const replaced = { kind: "member_replace", witness: "w3", by: "anna" };
    // Each write has a random name of its own (--patience).
    const sent = backend.requests.map((request) => {
      const { session, ...rest } = request as Extract<AdminRequest, { session?: unknown }>;
      assert.equal(session?.sequence, 1, request.kind);
      return rest;
    });
    assert.deepEqual(sent, [
      added,
      {
        ...added,
        witness: "w5",
        site: null,
        peers: ["[2001:db8::5]:7400"],
        admin: "admin.example:7500",
        dns: null,
      },
      { kind: "member_promote", witness: "w4", by: "anna" },
      { kind: "member_remove", witness: "w4", force: true, by: "anna" },
      { ...replaced, successor: null, site: null, peers: [], admin: null, dns: null, force: false },
      { ...replaced, ...added, kind: "member_replace", witness: "w3", successor: "w6", force: true },
    ]);
  });

  it("tells after a change what comes next", async () => {
    const replaced = await run(["members", "replace", "w3", "-a", address]);
    assert.match(replaced.stderr, /pointsman run --config FILE --witness w3 --data EMPTY_DIRECTORY/);
    const added = await run(["members", "add", "w4", "--peers", "10.2.0.5:7400", "-a", address]);
    assert.match(added.stderr, /pointsman members promote w4/);
  });

  it("with --wait follows the new member to its vote, and says what to write into the document", async () => {
    show(
      { ...MEMBERS_REPORT, appliedIndex: logIndex(1), members: [] },
      withLast({}, null),
      withLast({}, { state: "StateSnapshot", snapshot: { confirmedBytes: 1, totalBytes: 2 } }),
      withLast({ disk: "disk-4" }, {}),
      { ...withLast({ role: "voter", replaces: null, disk: "disk-4" }, {}), changeRunning: true },
      withLast({ role: "voter", replaces: null, disk: "disk-4" }, {}),
    );
    const { exit, stdout, stderr } = await run(["members", "replace", "w3", "--wait", "-a", address]);
    assert.equal(exit, 0, stderr);
    assert.match(
      stdout,
      /not heard of; on its machine: pointsman run[\s\S]*snapshot 50 %[\s\S]*about to vote[\s\S]*being finished[\s\S]*w3 \(node 4\) votes\n$/,
    );
    assert.match(stderr, /put w3 at 10\.1\.0\.4:7400, 10\.9\.0\.4:7400 into the document/);
  });

  it("with --wait ends with 5 when the change was called off, and with 4 when the time is over", async () => {
    show(withLast({}, {}), { ...withLast({}, {}), members: MEMBERS_REPORT.members.slice(0, 2) });
    const off = await run(["members", "replace", "w3", "--wait", "--json", "-a", address]);
    assert.equal(off.exit, 5, off.stderr);
    assert.match(off.stdout, /"code":"called_off"/);
    show(withLast({ node: nodeId(4) }, { active: false }));
    const late = await run(["members", "replace", "w3", "--wait", "--wait-timeout", "700ms", "-a", address]);
    assert.equal(late.exit, 4, late.stderr);
    assert.match(late.stderr, /still_running/);
  });

  it("an add with --wait ends when the learner has the log and its disk is known", async () => {
    show(withLast({ replaces: null }, {}), withLast({ replaces: null, disk: "disk-4" }, {}));
    const args = ["members", "add", "w3", "--peers", "10.1.0.4:7400", "--wait", "--json", "-a", address];
    const { exit, stdout } = await run(args);
    assert.equal(exit, 0);
    assert.match(stdout, /"role":"learner","message":"w3 \(node 4\) has caught up/);
  });
});
