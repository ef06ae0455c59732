/**
 * The actuator: deadlines, cancels, attempts that overtake each other, and the look ahead.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { StepOutcome } from "../../../src/core/model/state.js";
import type { Announcement } from "../../../src/drivers/actuator/announce-step.js";
import type { DnsRouteRequest } from "../../../src/drivers/actuator/dns-route.js";
import { verifyDns } from "../../../src/drivers/actuator/dns-verify.js";
import { done, failed, join as joinParts, unknown } from "../../../src/drivers/actuator/outcome.js";
import type { RouteDns } from "../../../src/drivers/actuator/route-step.js";
import { SecretError } from "../../../src/drivers/config/secret.js";
import { ANY_ROUTE, actuatorOf, configure, directoryOf, order, script } from "./fixture.js";

const noVerify = { verify: verifyDns };

/** A route function that answers by zone and remembers what it was asked. */
function routes(answers: Readonly<Record<string, StepOutcome>>): {
  route: RouteDns;
  asked: DnsRouteRequest[];
} {
  const asked: DnsRouteRequest[] = [];
  const route: RouteDns = (request) => {
    asked.push(request);
    return Promise.resolve(answers[request.zone] ?? failed("test", "no answer planned", false));
  };
  return { route, asked };
}

const TWO_ROUTES = `    route:
      - rfc2136: { zone: example.com, server: [10.0.0.1, 10.0.0.2], key: { name: k, secretEnv: K }, ttl: 7s, timeout: 2s }
      - rfc2136: { zone: gtm.example.com, server: 10.0.0.3 }`;

describe("the route step", () => {
  test("gives each zone its own names, those of every site as known, and the key", async (context) => {
    const config = configure(TWO_ROUTES);
    const { route, asked } = routes({ "example.com": done("one"), "gtm.example.com": done("two") });
    const secrets = () => Promise.resolve(Buffer.from("the key"));
    const { actuator } = actuatorOf(context, config, { secrets, dns: { route, ...noVerify } });
    const outcome = await actuator.run(order(config, "route"));
    assert.equal(outcome.kind, "done", outcome.message);
    const first = asked.find(({ zone }) => zone === "example.com");
    const second = asked.find(({ zone }) => zone === "gtm.example.com");
    assert.deepEqual(first, {
      group: "shop",
      epoch: 7,
      site: "b",
      zone: "example.com",
      servers: ["10.0.0.1:53", "10.0.0.2:53"],
      key: { name: "k", algorithm: "hmac-sha256", secret: Buffer.from("the key") },
      ttlSeconds: 7,
      records: [{ name: "www.example.com", type: "A", values: ["192.0.2.2"] }],
      knownValues: [
        { site: "a", records: [{ name: "www.example.com", type: "A", values: ["192.0.2.1"] }] },
        { site: "b", records: [{ name: "www.example.com", type: "A", values: ["192.0.2.2"] }] },
      ],
      timeoutMs: 4000,
    });
    assert.equal(second?.key, null);
    assert.deepEqual(second?.records, [{ name: "api.gtm.example.com", type: "A", values: ["192.0.2.4"] }]);
  });

  test("is done only when every route is, and tries each whatever becomes of the others", async (context) => {
    const config = configure(TWO_ROUTES);
    const { route, asked } = routes({
      "example.com": unknown("dns_timeout", "silence"),
      "gtm.example.com": done("two"),
    });
    const secrets = () => Promise.resolve(Buffer.from("x"));
    const { actuator } = actuatorOf(context, config, { secrets, dns: { route, ...noVerify } });
    const outcome = await actuator.run(order(config, "route"));
    assert.deepEqual([outcome.kind, outcome.code, outcome.retriable], ["unknown", "dns_timeout", true]);
    assert.match(outcome.message, /silence \(1 of 2 done\)/);
    assert.equal(asked.length, 2);
  });

  test("does not touch any zone when a key cannot be had", async (context) => {
    const config = configure(TWO_ROUTES);
    const { route, asked } = routes({ "example.com": done("one"), "gtm.example.com": done("two") });
    const secrets = () => Promise.reject(new SecretError("secret_missing", "K is not set"));
    const { actuator } = actuatorOf(context, config, { secrets, dns: { route, ...noVerify } });
    const outcome = await actuator.run(order(config, "route"));
    assert.deepEqual([outcome.kind, outcome.code, outcome.retriable], ["failed", "secret_missing", false]);
    assert.equal(asked.length, 0);
  });

  test("of an embedded zone is done by its commit, without a word to any server", async (context) => {
    const dns = "dns: { zones: { example.com: { nameServers: ns.example.com, contact: a@example.com } } }";
    const config = configure("    route: [{ embedded: example.com }]", dns, ["127.0.0.1:53"]);
    const { route, asked } = routes({});
    const { actuator } = actuatorOf(context, config, { dns: { route, ...noVerify } });
    const outcome = await actuator.run(order(config, "route"));
    assert.equal(outcome.kind, "done", outcome.message);
    assert.equal(asked.length, 0);
  });

  test("that breaks off by a bug ends as unknown, is logged, and rejects nobody", async (context) => {
    const config = configure(ANY_ROUTE);
    const route: RouteDns = () => Promise.reject(new TypeError("a bug"));
    const { actuator, lines } = actuatorOf(context, config, { dns: { route, ...noVerify } });
    const outcome = await actuator.run(order(config, "route"));
    assert.deepEqual([outcome.kind, outcome.code], ["unknown", "internal"]);
    assert.ok(lines.some(({ level, fields }) => level === "warn" && fields["err"] instanceof TypeError));
  });
});

describe("joined outcomes", () => {
  const part = (outcome: StepOutcome) => ({ name: "part", outcome });
  test("say the gravest: what can never succeed, then what nobody knows, then what may be tried again", () => {
    const never = failed("never", "n", false);
    const again = failed("again", "a", true);
    const maybe = unknown("maybe", "m");
    assert.equal(joinParts([part(done("x")), part(done("y"))]).kind, "done");
    assert.equal(joinParts([part(again), part(maybe), part(never)]).code, "never");
    assert.equal(joinParts([part(again), part(maybe)]).code, "maybe");
    assert.equal(joinParts([part(done("x")), part(again)]).code, "again");
    assert.equal(joinParts([]).kind, "done");
  });
});

describe("before something is touched", () => {
  test("a hook of a later step that is not installed stops the plan", async (context) => {
    const directory = await directoryOf(context);
    const fence = await script(directory, "fence", `touch ${join(directory, "fenced")}`);
    const config = configure(
      `    fence: { exec: [${fence}] }\n    promote: { exec: [${directory}/absent] }\n${ANY_ROUTE}`,
    );
    const { actuator } = actuatorOf(context, config);
    const outcome = await actuator.run(order(config, "fence"));
    assert.deepEqual([outcome.kind, outcome.code, outcome.retriable], ["failed", "hook_missing", false]);
    assert.match(outcome.message, /promote: .*absent/);
    assert.ok(!existsSync(join(directory, "fenced")), "the old site was fenced");
  });

  test("a file that is not executable, and a directory, are no hooks; a program in the PATH is one", async (context) => {
    const directory = await directoryOf(context);
    await writeFile(join(directory, "plain"), "#!/bin/sh\n");
    const outcomeOf = async (program: string): Promise<string> => {
      const config = configure(`    promote: { exec: [${program}] }\n${ANY_ROUTE}`);
      return (await actuatorOf(context, config).actuator.run(order(config, "promote"))).code;
    };
    assert.equal(await outcomeOf(join(directory, "plain")), "hook_missing");
    assert.equal(await outcomeOf(directory), "hook_missing");
    assert.equal(await outcomeOf("no-such-program-anywhere"), "hook_missing");
    assert.equal(await outcomeOf('"true"'), "ok");
  });

  test("an announcement that cannot be made does not keep a failover from happening", async (context) => {
    const config = configure(
      `    promote: { exec: ["true"] }\n    announce: [{ exec: [/absent] }]\n${ANY_ROUTE}`,
    );
    const { actuator } = actuatorOf(context, config);
    assert.equal((await actuator.run(order(config, "promote"))).kind, "done");
  });
});

describe("a step that runs", () => {
  const endless = (directory: string): Promise<string> =>
    script(directory, "hook", `echo $POINTSMAN_ATTEMPT >> ${directory}/begun; sleep 1000`);

  async function began(directory: string, count: number): Promise<void> {
    for (let tries = 0; tries < 1000; tries++) {
      const text = await readFile(join(directory, "begun"), "utf8").catch(() => "");
      if (text.trim().split("\n").filter(Boolean).length >= count) return;
      await sleep(10);
    }
    assert.fail("the hook did not begin");
  }

  async function start(context: TestContext) {
    const directory = await directoryOf(context);
    const config = configure(
      `    promote: { exec: [${await endless(directory)}], timeout: 60s }\n${ANY_ROUTE}`,
    );
    return { directory, config, ...actuatorOf(context, config) };
  }

  test("ends at its deadline, as unknown", async (context) => {
    const { actuator, config } = await start(context);
    const outcome = await actuator.run(order(config, "promote", { deadlineMs: 300 }));
    assert.equal(outcome.kind, "unknown");
  });

  test("ends when it is cancelled; a cancel of another attempt does not touch it", async (context) => {
    const { actuator, config, directory } = await start(context);
    const running = actuator.run(order(config, "promote", { attempt: 2 }));
    await began(directory, 1);
    let isEnded = false;
    void running.then(() => {
      isEnded = true;
    });
    actuator.cancel(order(config, "promote", { attempt: 1 }).key);
    await sleep(100);
    assert.equal(isEnded, false);
    actuator.cancel(order(config, "promote", { attempt: 2 }).key);
    const outcome = await running;
    assert.deepEqual([outcome.kind, outcome.code], ["unknown", "cancelled"]);
  });

  test("is not run twice for one key", async (context) => {
    const { actuator, config, directory } = await start(context);
    const first = actuator.run(order(config, "promote"));
    const second = actuator.run(order(config, "promote"));
    assert.equal(first, second);
    await began(directory, 1);
    actuator.cancel(order(config, "promote").key);
    await first;
    assert.equal((await readFile(join(directory, "begun"), "utf8")).trim(), "1");
  });

  test("is ended before its next attempt begins", async (context) => {
    const directory = await directoryOf(context);
    // It takes a while to end, and says so.
    const hook = await script(
      directory,
      "hook",
      `trap 'sleep 0.3; echo "end $POINTSMAN_ATTEMPT" >> ${directory}/story; exit 0' TERM
echo "begin $POINTSMAN_ATTEMPT" >> ${directory}/story
echo >> ${directory}/begun$POINTSMAN_ATTEMPT
[ $POINTSMAN_ATTEMPT = 2 ] && exit 0
while :; do sleep 0.05; done`,
    );
    const config = configure(`    promote: { exec: [${hook}], timeout: 60s }\n${ANY_ROUTE}`);
    const { actuator } = actuatorOf(context, config);
    const first = actuator.run(order(config, "promote", { attempt: 1 }));
    for (let tries = 0; tries < 1000 && !existsSync(join(directory, "begun1")); tries++) await sleep(10);
    const second = actuator.run(order(config, "promote", { attempt: 2 }));
    assert.equal((await first).kind, "unknown");
    assert.equal((await second).kind, "done");
    const story = (await readFile(join(directory, "story"), "utf8")).trim().split("\n");
    assert.deepEqual(story, ["begin 1", "end 1", "begin 2"]);
  });

  test("ends when the actuator is closed, and none begins after that", async (context) => {
    const { actuator, config, directory } = await start(context);
    const running = actuator.run(order(config, "promote"));
    await began(directory, 1);
    await actuator.close();
    assert.equal((await running).kind, "unknown");
    const late = await actuator.run(order(config, "promote", { attempt: 2 }));
    assert.deepEqual([late.kind, late.code, late.retriable], ["failed", "stopping", true]);
  });

  test("and does not react to being stopped is left behind a second later, as unknown", async (context) => {
    const config = configure(ANY_ROUTE);
    const route: RouteDns = () => new Promise(() => {});
    const { actuator } = actuatorOf(context, config, { dns: { route, ...noVerify } });
    const outcome = await actuator.run(order(config, "route", { deadlineMs: 100 }));
    assert.equal(outcome.kind, "unknown");
    assert.match(outcome.message, /did not end/);
  });

  test("is logged with group, epoch, step and attempt at its begin and its end", async (context) => {
    const config = configure(`    promote: { exec: ["true"] }\n${ANY_ROUTE}`);
    const { actuator, lines } = actuatorOf(context, config);
    await actuator.run(order(config, "promote", { attempt: 4 }));
    assert.equal(lines.length, 2);
    for (const { fields } of lines) {
      assert.deepEqual(
        [fields["group"], fields["epoch"], fields["step"], fields["attempt"]],
        ["shop", 7, "promote", 4],
      );
    }
  });
});

describe("the announce step", () => {
  test("tells everybody, even when the first fails, and says who did not hear", async (context) => {
    const directory = await directoryOf(context);
    const heard: { key: unknown; body: Announcement }[] = [];
    const server = createServer((request, response) => {
      let text = "";
      request.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      request.on("end", () => {
        heard.push({ key: request.headers["idempotency-key"], body: JSON.parse(text) as Announcement });
        response.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    context.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const hook = await script(directory, "hook", `cat > ${directory}/told`);
    const config = configure(
      `    announce: [{ webhook: "http://127.0.0.1:1/x" }, { webhook: "http://127.0.0.1:${port}/y" }, { exec: [${hook}] }]\n${ANY_ROUTE}`,
    );
    const { actuator } = actuatorOf(context, config);
    const outcome = await actuator.run(order(config, "announce"));
    assert.deepEqual(
      [outcome.kind, outcome.code, outcome.retriable],
      ["failed", "webhook_unreachable", true],
    );
    assert.match(outcome.message, /2 of 3 done/);
    assert.match(outcome.detail, /webhook http:\/\/127\.0\.0\.1:1: failed/);
    const [call] = heard;
    assert.equal(call?.key, "shop:7:announce");
    assert.match(call?.body.text ?? "", /^acme: group shop moved from a to b \(failover, epoch 7\)/);
    assert.deepEqual(
      call?.body.steps.map(({ step, status }) => `${step} ${status}`),
      ["precheck done", "fence done", "drain done", "promote done", "route done", "verify done"],
    );
    assert.equal(call?.body.steps[0]?.tookMs, 50);
    assert.deepEqual(call?.body.evidence, ["w-b: refused", "w-c: refused"]);
    assert.equal(
      (JSON.parse(await readFile(join(directory, "told"), "utf8")) as { step: string }).step,
      "announce",
    );
  });

  test("does not wait for a webhook that hangs longer than its timeout", async (context) => {
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    context.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const config = configure(
      `    announce: [{ webhook: "http://127.0.0.1:${port}/", timeout: 200ms }]\n${ANY_ROUTE}`,
    );
    const { actuator } = actuatorOf(context, config);
    const outcome = await actuator.run(order(config, "announce"));
    assert.deepEqual([outcome.kind, outcome.code], ["unknown", "webhook_timeout"]);
  });
});
