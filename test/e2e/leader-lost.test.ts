/**
 * The leader is killed, or frozen for ten seconds, in each step of a plan in turn. The next leader finishes
 * the plan; one epoch is used; the name server, the hooks and the webhook see nothing that they could not
 * have seen without the loss.
 *
 * Each step is held open by what it touches (a hook that waits, an answer that is lost, a resolver or a
 * webhook that is silent), so that the leader dies in its midst and not beside it. Only `precheck` touches
 * nothing: there the kill follows the acceptance at once, and lands in it or within a few milliseconds after
 * it.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Observer } from "../../src/cli/demo/observer.js";
import type { AuditRecord, StepName } from "../../src/core/model/state.js";
import { type DnsProxy, isUpdate, startDnsProxy } from "../support/dns-proxy.js";
import { act } from "./act.js";
import { ADDRESS, GROUP, type SiteName, WITNESSES, type WitnessName } from "./document.js";
import { Hooks } from "./hooks.js";
import { type Resolver, startResolver, startWebhookReceiver, type WebhookReceiver } from "./listeners.js";
import { type Additions, type Scene, type Stage, skipSites, withSites } from "./sites.js";
import { always, until } from "./until.js";

const STEPS: readonly StepName[] = ["precheck", "fence", "drain", "promote", "route", "verify", "announce"];
const HOOK_STEPS: readonly string[] = ["fence", "drain", "promote"];

/** What the witnesses' steps touch, in the hands of the test. */
class Props {
  readonly hooks: Hooks;
  readonly proxy: DnsProxy;
  readonly resolver: Resolver;
  readonly webhook: WebhookReceiver;

  private constructor(hooks: Hooks, proxy: DnsProxy, resolver: Resolver, webhook: WebhookReceiver) {
    this.hooks = hooks;
    this.proxy = proxy;
    this.resolver = resolver;
    this.webhook = webhook;
  }

  static async start({ lab, nameServer, nameServerHost, directory }: Stage): Promise<Props> {
    const here = lab.managementHost;
    const upstream = { host: nameServerHost, port: nameServer.port };
    return new Props(
      new Hooks(directory),
      await startDnsProxy(upstream.host, upstream.port, here),
      await startResolver(here, upstream),
      await startWebhookReceiver(here),
    );
  }

  additions(nameServer: Stage["nameServer"]): Additions {
    const hook = this.hooks.section();
    return {
      route: { server: this.proxy.address, timeout: "30s" },
      group: {
        fence: hook,
        drain: hook,
        promote: hook,
        verify: { servers: nameServer.address, resolvers: this.resolver.address, timeout: "30s" },
        announce: [{ webhook: this.webhook.url, timeout: "20s" }],
      },
    };
  }

  /** From now on the step does not come to its end. */
  hold(step: StepName): void {
    if (HOOK_STEPS.includes(step)) this.hooks.hold(step);
    // The update reaches the name server; that it did nobody learns.
    if (step === "route") this.proxy.fate = (message) => (isUpdate(message) ? "lose_answer" : "pass");
    if (step === "verify") this.resolver.silent = true;
    if (step === "announce") this.webhook.holding = true;
  }

  release(step: StepName): void {
    this.hooks.release(step);
    this.proxy.fate = () => "pass";
    this.resolver.silent = false;
    this.webhook.holding = false;
  }

  async close(): Promise<void> {
    await Promise.all([this.proxy.close(), this.resolver.close(), this.webhook.close()]);
  }
}

/** Moves to the site and waits until the step was begun; returns the epoch and the leader that began it. */
async function moveUntil(
  scene: Scene,
  props: Props,
  to: SiteName,
  step: StepName,
  strike: (leader: WitnessName) => Promise<void>,
): Promise<{ epoch: number; struck: WitnessName }> {
  const { cluster } = scene;
  const leader = await cluster.leader();
  props.hold(step);
  const observer = new Observer([cluster.place(leader).admin, ...cluster.adminAddresses]);
  observer.start();
  try {
    const epoch = await cluster.switchover(leader, to, `to lose the leader in ${step}`);
    if (step !== "precheck") {
      const begun = await observer.expect(`${step} begins`, 60_000, 0, (record) => {
        return record.kind === "step_begun" && record.epoch === epoch && record.step === step;
      });
      assert.equal(begun.leader, leader, "the leader changed by itself before the step began");
      // The step is given the time to touch what it touches.
      await until(`${step} is under way`, () => isUnderWay(props, step, epoch));
    }
    await strike(leader);
    return { epoch, struck: leader };
  } finally {
    await observer.stop();
  }
}

function isUnderWay(props: Props, step: StepName, epoch: number): boolean {
  if (HOOK_STEPS.includes(step)) return props.hooks.entries(epoch).some(({ env }) => env["STEP"] === step);
  if (step === "announce") return props.webhook.received.some(({ body }) => body["epoch"] === epoch);
  return true;
}

function ofStep(records: readonly AuditRecord[], epoch: number, step: StepName): AuditRecord[] {
  return records.filter((record) => record.epoch === epoch && record.step === step);
}

/**
 * One plan, one epoch, every step ended well, by a leader that is not the lost one; the name is where it
 * should be.
 */
async function expectFinished(
  scene: Scene,
  props: Props,
  plan: { to: SiteName; from: SiteName; epoch: number; lost: WitnessName; step: StepName },
): Promise<void> {
  const { cluster } = scene;
  const { to, from, epoch, lost, step } = plan;
  const witness = WITNESSES.find((id) => id !== lost) ?? "w-a";
  const group = await cluster.settled(witness, to);
  assert.equal(group.ticket.epoch, epoch);
  assert.equal(group.lastEpoch, epoch, "one epoch is used");
  const history = await cluster.history(witness);
  const decisions = history.filter((record) => record.kind === "decision" && record.epoch === epoch);
  assert.equal(decisions.length, 1, "one decision");
  for (const name of STEPS) {
    const done = ofStep(history, epoch, name).filter(({ kind }) => kind === "step_finished");
    assert.equal(done.length, 1, `${name} has one end`);
    assert.match(done[0]?.message ?? "", / done: /);
  }
  const begun = ofStep(history, epoch, step).filter(({ kind }) => kind === "step_begun");
  if (step !== "precheck") {
    assert.equal(begun[0]?.leader, lost, "the lost leader began the step");
    assert.notEqual(begun.at(-1)?.leader, lost, "another leader began it again");
    assert.ok(begun.length >= 2);
  }
  const ended = history.find((record) => record.kind === "plan_done" && record.epoch === epoch);
  assert.notEqual(ended?.leader, lost, "the next leader finished the plan");
  await scene.named(to);
  assert.deepEqual(scene.dig(), [ADDRESS[to]]);
  assert.deepEqual(scene.digEpoch(), [`"epoch=${epoch} site=${to} group=${GROUP}"`]);
  expectTold(props, history, { to, from, epoch });
}

/** Hooks and webhook were told the truth, and the same key for each attempt of a step. */
function expectTold(
  props: Props,
  history: readonly AuditRecord[],
  plan: { to: SiteName; from: SiteName; epoch: number },
): void {
  const { to, from, epoch } = plan;
  for (const step of HOOK_STEPS) {
    const entries = props.hooks.entries(epoch).filter(({ env }) => env["STEP"] === step);
    const begun = ofStep(history, epoch, step as StepName).filter(({ kind }) => kind === "step_begun");
    const begins = entries.filter(({ at }) => at === "begin");
    assert.ok(begins.length >= 1 && begins.length <= begun.length, `${step} runs once a begin, at most`);
    for (const { env, input } of entries) {
      const attempt = Number(env["ATTEMPT"]);
      assert.deepEqual(
        { ...env, ATTEMPT: "", WITNESS: "" },
        {
          CLUSTER: "e2e",
          GROUP,
          FROM: from,
          TO: to,
          EPOCH: String(epoch),
          STEP: step,
          ATTEMPT: "",
          KIND: "switchover",
          IDEMPOTENCY_KEY: `${GROUP}:${epoch}:${step}`,
          WITNESS: "",
        },
      );
      assert.equal(env["WITNESS"], begun[attempt - 1]?.leader, "the witness that began the attempt runs it");
      assert.equal(input["idempotencyKey"], env["IDEMPOTENCY_KEY"]);
      assert.equal(input["by"], "e2e");
    }
  }
  const told = props.webhook.received.filter(({ body }) => body["epoch"] === epoch);
  assert.ok(told.length >= 1, "the webhook was told");
  for (const { idempotencyKey, body } of told) {
    assert.equal(idempotencyKey, `${GROUP}:${epoch}:announce`);
    assert.equal(body["to"], to);
    assert.equal(body["from"], from);
  }
}

/** All three witnesses hold the same records. */
async function expectSameHistory(scene: Scene): Promise<void> {
  const { cluster } = scene;
  await until("all witnesses have applied the same", async () => {
    const reports = await Promise.all(WITNESSES.map((id) => cluster.status(id)));
    return new Set(reports.map(({ raft }) => raft.applied)).size === 1;
  });
  const [first, ...others] = await Promise.all(WITNESSES.map((id) => cluster.history(id)));
  const last = Math.min(...[first ?? [], ...others].map((records) => records.at(-1)?.index ?? 0));
  const upTo = (records: readonly AuditRecord[]): AuditRecord[] =>
    records.filter(({ index }) => index <= last);
  for (const records of others) assert.deepEqual(upTo(records), upTo(first ?? []));
}

test("the leader is lost in the middle of a plan", {
  skip: skipSites("bind"),
  timeout: 900_000,
}, async (t) => {
  let props: Props | null = null;
  const prepare = async (stage: Stage): Promise<Additions> => {
    props = await Props.start(stage);
    return props.additions(stage.nameServer);
  };
  try {
    await withSites({ nameServer: "bind", prepare }, async (scene) => {
      assert.ok(props !== null);
      await play(t, scene, props);
    });
  } finally {
    await (props as Props | null)?.close();
  }
});

async function play(t: TestContext, scene: Scene, props: Props): Promise<void> {
  const { cluster } = scene;
  await cluster.settled("w-c", "a");
  await cluster.calm("w-c");
  let at: SiteName = "a";
  const other = (site: SiteName): SiteName => (site === "a" ? "b" : "a");

  for (const step of STEPS) {
    await act(t, `kill -9 of the leader in ${step}: the next leader finishes the plan`, async () => {
      const [from, to] = [at, other(at)];
      const { epoch, struck } = await moveUntil(scene, props, to, step, (leader) => cluster.kill(leader));
      props.release(step);
      await expectFinished(scene, props, { to, from, epoch, lost: struck, step });
      if (step === "precheck") t.diagnostic(await whereHit(scene, epoch, struck));
      at = to;
      await cluster.startWitness(struck);
      await cluster.leader();
      await expectSameHistory(scene);
    });
  }

  await act(
    t,
    "the leader is frozen for 10 s in drain: no second switch, no stale record, it follows",
    async () => {
      const [from, to] = [at, other(at)];
      const frozenAtMs = performance.now();
      const { epoch, struck } = await moveUntil(scene, props, to, "drain", async (leader) =>
        cluster.signal(leader, "SIGSTOP"),
      );
      props.release("drain");
      await expectFinished(scene, props, { to, from, epoch, lost: struck, step: "drain" });
      await sleep(Math.max(0, 10_000 - (performance.now() - frozenAtMs)));
      cluster.signal(struck, "SIGCONT");
      await expectFollows(scene, struck, to, epoch);
      at = to;
    },
  );

  await act(
    t,
    "a leader wakes up with old answers of the name server in hand: its update is refused",
    async () => {
      // It is frozen after it asked what stands and before it heard the answer; while it sleeps, the name
      // moves twice.
      const [home, away] = [at, other(at)];
      const leader = await cluster.leader();
      const seen = refusals(props.proxy);
      props.proxy.fate = () => "hold_answer";
      const epoch = await cluster.switchover(leader, away, "to freeze the leader in route");
      await until("the leader has asked the name server", () => props.proxy.heldAnswers > 0);
      await sleep(200);
      cluster.signal(leader, "SIGSTOP");
      const frozenAtMs = performance.now();
      props.proxy.deliver();
      props.proxy.fate = () => "pass";
      const [next] = WITNESSES.filter((id) => id !== leader);
      assert.ok(next !== undefined);
      await cluster.settled(next, away);
      assert.equal(await cluster.switchover(next, home, "back, while the old leader sleeps"), epoch + 1);
      await cluster.settled(next, home);
      await sleep(Math.max(0, 10_000 - (performance.now() - frozenAtMs)));
      const before = seen.updates;
      cluster.signal(leader, "SIGCONT");
      await expectFollows(scene, leader, home, epoch + 1);
      const late = seen.updates - before;
      const answers = late === 0 ? [] : seen.codes.slice(-late);
      t.diagnostic(
        `updates sent by the leader of the past after it woke up: ${late}; answers: ${answers.join(", ")}`,
      );
      if (late > 0)
        assert.ok(
          answers.every((code) => code !== 0),
          "none of them was carried out",
        );
    },
  );
}

/** Counts updates and their answers' codes at the proxy. */
function refusals(proxy: DnsProxy): { updates: number; codes: number[] } {
  const seen = { updates: 0, codes: [] as number[] };
  proxy.damage = (answer) => {
    if (isUpdate(answer)) {
      seen.updates += 1;
      seen.codes.push(answer.readUInt8(3) & 0xf);
    }
    return answer;
  };
  return seen;
}

/** The witness that led follows again, and for a good while nothing else happens. */
async function expectFollows(scene: Scene, old: WitnessName, site: SiteName, epoch: number): Promise<void> {
  const { cluster } = scene;
  const leader = await cluster.leader();
  assert.notEqual(leader, old, "the old leader follows");
  await expectSameHistory(scene);
  await always("nothing moves after the wake-up", 3000, async () => {
    const group = await cluster.group(old);
    return group.lastEpoch === epoch && group.ticket.site === site && group.plan?.status === "done";
  });
  assert.deepEqual(scene.dig(), [ADDRESS[site]]);
  assert.deepEqual(scene.digEpoch(), [`"epoch=${epoch} site=${site} group=${GROUP}"`]);
}

/** For the precheck, in words: which step the kill landed in. */
async function whereHit(scene: Scene, epoch: number, lost: WitnessName): Promise<string> {
  const witness = WITNESSES.find((id) => id !== lost) ?? "w-a";
  const last = (await scene.cluster.history(witness)).filter(
    (record) => record.epoch === epoch && record.leader === lost,
  );
  return `precheck: the last that the killed leader got into the log: ${last.at(-1)?.message ?? "nothing"}`;
}
