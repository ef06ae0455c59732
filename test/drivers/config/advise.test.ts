/**
 * Warnings: one unwise change to a sound document brings that warning, at its line, and drowns no other.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { witnessId } from "../../../src/core/base/ids.js";
import type { GroupConfig } from "../../../src/core/model/config.js";
import { ADVICE_CODES, type AdviceCode, adviseConfig } from "../../../src/drivers/config/advise.js";
import { failoverBound } from "../../../src/drivers/config/bound.js";
import { formatPath } from "../../../src/drivers/config/problem.js";
import { accept, changed, GOOD } from "./fixture.js";

const QUIET: readonly AdviceCode[] = ["unfenced", "no_resolvers"];
const route = "    route:";
const web = 'http: "http://10.1.0.10/health"';

/** What is changed, the warning that must come of it, and where. */
const cases: { name: string; code: AdviceCode; path: string; line: number; text: string }[] = [
  {
    name: "a timeout longer than the interval",
    code: "probe_timeout_over_interval",
    path: "groups.shop.sites.a.targets.db.timeout",
    line: 21,
    text: changed(["interval: 5s", "interval: 1s, timeout: 3s"]),
  },
  {
    name: "an exec probe five times a second",
    code: "exec_probe_fast",
    path: "groups.shop.sites.a.targets.db.interval",
    line: 21,
    text: changed(["interval: 5s", "interval: 200ms, timeout: 200ms"]),
  },
  {
    name: "two targets with one probe",
    code: "duplicate_probe",
    path: "groups.shop.sites.b.targets.web",
    line: 27,
    text: changed(["http://10.2.0.10/health", "http://10.1.0.10/health"]),
  },
  {
    name: "a false alarm rate of one in a hundred",
    code: "false_alarm_extreme",
    path: "groups.shop.sites.a.targets.db.falseAlarm",
    line: 21,
    text: changed(["interval: 5s", "interval: 5s, falseAlarm: 1%"]),
  },
  {
    name: "a probe that accepts any certificate",
    code: "tls_unverified",
    path: "groups.shop.sites.a.targets.web.http.tls",
    line: 20,
    text: changed([web, 'http: { url: "https://10.1.0.10/", tls: { verify: false } }']),
  },
  {
    name: "one address of a witness",
    code: "single_peer_address",
    path: "witnesses.w-b.peer",
    line: 5,
    text: changed(["[10.2.0.5:7400, 10.9.1.5:7400]", "10.2.0.5:7400"]),
  },
  {
    name: "a majority of witnesses at one site",
    code: "site_holds_majority",
    path: "witnesses",
    line: 3,
    text: changed(["w-c: { peer", "w-c: { site: a, peer"]),
  },
  {
    name: "a time to live of an hour",
    code: "ttl_over_failover",
    path: "groups.shop.route[0].rfc2136.ttl",
    line: 37,
    text: changed(
      ["server: 10.0.0.53", "server: 10.0.0.53\n          ttl: 1h"],
      [route, `    holdDown: 2h\n${route}`],
    ),
  },
  {
    name: "a hold-down shorter than the time to live",
    code: "hold_down_below_ttl",
    path: "groups.shop.holdDown",
    line: 32,
    text: changed([route, `    holdDown: 3s\n${route}`]),
  },
  {
    name: "a verify shorter than the time to live",
    code: "verify_below_ttl",
    path: "groups.shop.verify.timeout",
    line: 32,
    text: changed([route, `    verify: { resolvers: 10.0.0.1, timeout: 5s }\n${route}`]),
  },
  {
    name: "an update without a key",
    code: "unsigned_update",
    path: "groups.shop.route[0].rfc2136",
    line: 33,
    text: changed(["          key: { name: pointsman., secretFile: /etc/pointsman/tsig.key }\n", ""]),
  },
  {
    name: "a name server without an address",
    code: "name_server_without_address",
    path: 'dns.zones["gtm.example.com"].nameServers',
    line: 12,
    text: changed(["nameServers: ns1", "nameServers: ns2"]),
  },
  {
    name: "an announcement in clear text",
    code: "webhook_clear_text",
    path: "groups.shop.announce[0].webhook",
    line: 32,
    text: changed([route, `    announce: [{ webhook: "http://chat.example.com/" }]\n${route}`]),
  },
  {
    name: "a password on a command line",
    code: "command_with_secret",
    path: "groups.shop.promote.exec",
    line: 32,
    text: changed([route, `    promote: { exec: [/bin/promote, --password=hunter2hunter2] }\n${route}`]),
  },
  {
    name: "a view timeout that bears one lost view",
    code: "view_timeout_tight",
    path: "timings.viewTimeout",
    line: 8,
    text: changed(["profile: wan", "profile: wan, viewTimeout: 3s"]),
  },
  {
    name: "four witnesses",
    code: "even_witnesses",
    path: "witnesses",
    line: 3,
    text: changed(["sites: [a", "  w-d: { peer: [h:1, h:2], admin: h:3 }\nsites: [a"]),
  },
  {
    name: "two witnesses",
    code: "few_witnesses",
    path: "witnesses",
    line: 3,
    text: GOOD.replace(/ {2}w-c.*\n/, ""),
  },
];

describe("config check warns of", () => {
  for (const { name, code, path, line, text } of cases) {
    test(name, () => {
      const { warnings } = accept(text);
      const found = warnings.filter((warning) => !QUIET.includes(warning.code));
      const shown = JSON.stringify(warnings, null, 2);
      const verify = found.filter((warning) => warning.code === code);
      assert.equal(verify.length, 1, shown);
      assert.equal(formatPath(verify[0]?.path ?? []), path);
      assert.equal(verify[0]?.line, line);
      assert.ok((verify[0]?.remedy ?? "").length > 0);
      assert.ok(!shown.includes("hunter2"), "a warning repeats the secret");
      const others = found.filter((warning) => warning.code !== code);
      // One change may be unwise in two ways; none may drown the other.
      assert.ok(others.length <= 1, shown);
    });
  }

  test("an unfenced group and one without resolvers, and of nothing else in a sound document", () => {
    assert.deepEqual(
      accept(GOOD)
        .warnings.map((warning) => warning.code)
        .sort(),
      [...QUIET].sort(),
    );
  });

  test("an election timeout below ten measured round trips, and not above", () => {
    const { config } = accept(GOOD);
    const rtt = (rttMs: number) => [{ from: witnessId("w-a"), to: witnessId("w-c"), rttMs }];
    const codes = (rttMs: number) => adviseConfig(config, rtt(rttMs)).map((advice) => advice.code);
    assert.ok(!codes(99).includes("election_below_rtt"));
    assert.ok(codes(101).includes("election_below_rtt"));
    const advice = adviseConfig(config, rtt(180)).find(({ code }) => code === "election_below_rtt");
    assert.match(advice?.remedy ?? "", /1800ms/);
  });

  test("a group of one site, and one in which nothing moves", () => {
    const text = `${GOOD}  lone:\n    sites: { a: { targets: { x: { tcp: h:1 } } } }\n`;
    const codes = accept(text)
      .warnings.filter(({ path }) => path[1] === "lone")
      .map(({ code }) => code);
    assert.ok(codes.includes("single_site_group") && codes.includes("nothing_moves"), codes.join());
  });

  test("every code of the list is used by a test", () => {
    const used = new Set<string>([
      ...cases.map(({ code }) => code),
      ...QUIET,
      "election_below_rtt",
      "single_site_group",
      "nothing_moves",
    ]);
    assert.deepEqual(
      Object.keys(ADVICE_CODES).filter((code) => !used.has(code)),
      [],
    );
  });
});

describe("the published bound", () => {
  const group = (text: string): { bound: ReturnType<typeof failoverBound>; group: GroupConfig } => {
    const { config } = accept(text);
    const [first] = config.groups;
    assert.ok(first !== undefined);
    return { bound: failoverBound(config, first), group: first };
  };

  test("is the sum of its parts, the slowest required target first", () => {
    const { bound } = group(GOOD);
    // The db target: eight silences of 5 s, or three refusals, + 0.5 s; one view and two heartbeats; the
    // route's timeout.
    assert.deepEqual(bound, {
      detectMs: 40_500,
      detectKilledMs: 15_500,
      agreeMs: 1400,
      electMs: 4000,
      fenceMs: 0,
      promoteMs: 0,
      routeMs: 5000,
      cacheMs: 10_000,
      totalMs: 46_900,
      totalWithElectionMs: 50_900,
    });
  });

  test("leaves out targets that are not required, and counts hooks", () => {
    const { bound } = group(
      changed(
        ["interval: 5s", "interval: 5s, required: false"],
        [
          route,
          `    fence: { exec: [/bin/f], timeout: 7s }\n    promote: { exec: [/bin/p], timeout: 3s }\n${route}`,
        ],
      ),
    );
    assert.deepEqual(
      [bound.detectMs, bound.detectKilledMs, bound.fenceMs, bound.promoteMs],
      [8500, 3500, 7000, 3000],
    );
  });
});
