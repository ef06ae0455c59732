/**
 * The documentation of the configuration: its examples are accepted, its tables are complete.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseConfig } from "../../../src/drivers/config/config.js";
import { formatDuration } from "../../../src/drivers/config/leaf.js";
import { DEFAULTS, PROFILES } from "../../../src/drivers/config/profile.js";
import { changed, GOOD } from "./fixture.js";

const page = readFileSync(
  fileURLToPath(new URL("../../../../docs/configuration.md", import.meta.url)),
  "utf8",
);

/** The keys that the parser names as known where a stranger stands. */
function knownAt(text: string): string[] {
  const result = parseConfig(text, "f");
  assert.ok(result.kind === "refused", "the stranger was accepted");
  const error = result.errors.find(({ code }) => code === "unknown_key");
  const list = /^Known here: (.*)\.$/.exec(error?.remedy ?? "");
  assert.ok(list !== null, JSON.stringify(result.errors));
  return (list[1] ?? "").split(", ");
}

const stranger = "qqqqqqqqqqqq: 1";
const group = (more: string): string => changed(["    route:", `    ${more}\n    route:`]);
const http = (more: string): string =>
  changed(['http: "http://10.1.0.10/health"', `http: { url: "http://10.1.0.10/", ${more} }`]);
const places: readonly (readonly [string, string])[] = [
  ["top level", `${GOOD}${stranger}\n`],
  ["a witness", changed(["site: a,", `site: a, ${stranger},`])],
  ["timings", changed(["profile: wan", stranger])],
  ["probes", changed(["sites: [a", `probes: { ${stranger} }\nsites: [a`])],
  ["dns", changed(["dns:\n", `dns:\n  ${stranger}\n`])],
  ["a zone", changed(["contact:", `${stranger}\n      contact:`])],
  ["a group", group(stranger)],
  [
    "a group's site",
    changed(["      a:\n        targets:", `      a:\n        ${stranger}\n        targets:`]),
  ],
  ["records", changed(["{ A: 10.1.0.10 }", `{ A: 10.1.0.10, ${stranger} }`])],
  ["a target", changed(["interval: 5s", stranger])],
  ["http", http(stranger)],
  ["expectBody", http(`expectBody: { ${stranger} }`)],
  ["tls", http(`tls: { ${stranger} }`)],
  ["an exec probe", changed(["exec: [/bin/check, 10.1.0.10]", `exec: { command: [x], ${stranger} }`])],
  ["a hook", group(`promote: { exec: [x], ${stranger} }`)],
  ["failback", group(`failback: { ${stranger} }`)],
  ["a route", `${GOOD}      - ${stranger}\n`],
  ["rfc2136", changed(["          server:", `          ${stranger}\n          server:`])],
  ["a key", changed(["name: pointsman.", `name: pointsman., ${stranger}`])],
  [
    "an embedded route",
    changed(["embedded: gtm.example.com", `embedded: { zone: gtm.example.com, ${stranger} }`]),
  ],
  ["verify", group(`verify: { ${stranger} }`)],
  ["announce", group(`announce: [{ ${stranger} }]`)],
  ["retry", group(`retry: { ${stranger} }`)],
];

for (const [name, text] of places) {
  test(`docs/configuration.md explains every key of ${name}`, () => {
    for (const key of knownAt(text)) {
      const row = new RegExp(`\`(?:[\\w.[\\]]+\\.)?${key}[\`.]`);
      const isThere = (key === "automatic" ? /\{ automatic: DURATION \}/ : row).test(page);
      assert.ok(isThere, `${name}: ${key} is not explained`);
    }
  });
}

test("docs/configuration.md gives the defaults that the program has", () => {
  const { wan, fast } = PROFILES;
  const pairs: [string, number, number][] = [
    ["tick", wan.timings.tickMs, fast.timings.tickMs],
    ["heartbeat", wan.timings.heartbeatMs, fast.timings.heartbeatMs],
    ["electionMin", wan.timings.electionMinMs, fast.timings.electionMinMs],
    ["electionMax", wan.timings.electionMaxMs, fast.timings.electionMaxMs],
    ["viewInterval", wan.timings.viewIntervalMs, fast.timings.viewIntervalMs],
    ["viewTimeout", wan.timings.viewTimeoutMs, fast.timings.viewTimeoutMs],
    ["interval", wan.probe.intervalMs, fast.probe.intervalMs],
    ["timeout", wan.probe.timeoutMs, fast.probe.timeoutMs],
  ];
  const show = (ms: number): string => (ms === 1500 ? "1.5s" : formatDuration(ms));
  for (const [key, wanMs, fastMs] of pairs) {
    const row = new RegExp(`\\| \`${key}\` \\| duration[^|]* \\| ${show(wanMs)} \\| ${show(fastMs)} \\|`);
    assert.match(page, row);
  }
  const has = (row: string): void => assert.ok(page.includes(row), row);
  has(`| \`fall\` | 1 to 100 | ${wan.probe.fall} | ${fast.probe.fall} |`);
  has(`| \`rise\` | 1 to 100 | ${wan.probe.rise} | ${fast.probe.rise} |`);
  has(`| \`stability\` | duration | \`wan\` ${show(wan.stabilityMs)}, \`fast\` ${show(fast.stabilityMs)} |`);
  has(`| \`holdDown\` | duration | \`wan\` ${show(wan.holdDownMs)}, \`fast\` ${show(fast.holdDownMs)} |`);
  has(`\`wan\` ${wan.ttlSeconds}s, \`fast\` ${fast.ttlSeconds}s |`);
  has(`| \`limit\` | 1 to 100 | ${DEFAULTS.retry.limit} |`);
  has(`| \`backoff\` | duration | ${show(DEFAULTS.retry.backoffMs)} |`);
  has(`| \`backoffMax\` | duration | ${show(DEFAULTS.retry.backoffMaxMs)} |`);
  has(`webhook ${show(DEFAULTS.webhookTimeoutMs)}, exec ${show(DEFAULTS.hookTimeoutMs)} |`);
  has(`| \`rfc2136.timeout\` | duration | ${show(DEFAULTS.routeTimeoutMs)} |`);
  has(`| \`maxStaleness\` | duration | ${show(DEFAULTS.dns.maxStalenessMs)} |`);
  has(`| \`timeout\` | duration | ${show(DEFAULTS.verifyTimeoutMs)} | longer than the ttl`);
});
