/**
 * Refused documents: each mistake is found at its line, with a remedy, and no secret is repeated.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatProblem } from "../../../src/drivers/config/problem.js";
import { changed, GOOD, refuse } from "./fixture.js";

/** What is changed, and the one error that must come of it. */
interface Case {
  readonly name: string;
  readonly text: string;
  readonly code: string;
  readonly path: string;
  readonly line: number;
  readonly remedy?: RegExp;
  readonly value?: string;
}

const inTarget = "groups.shop.sites.a.targets";
const withTimings = (more: string): string => changed(["profile: wan", `profile: wan, ${more}`]);
const withDb = (from: string, to: string): string => changed([from, to]);
const withAdmin = (address: string): string => changed(["admin: 10.2.0.5:7401", `admin: ${address}`]);
const withHttp = (more: string): string =>
  changed(['http: "http://10.1.0.10/health"', `http: { url: "http://10.1.0.10/health", ${more} }`]);

const cases: Case[] = [
  {
    name: "an unknown key, with the near one named",
    text: changed(["admin: 10.1.0.5:7401, dns", "amdin: 10.1.0.5:7499, admin: 10.1.0.5:7401, dns"]),
    code: "unknown_key",
    path: "witnesses.w-a.amdin",
    line: 4,
    remedy: /Did you mean `admin`/,
  },
  {
    name: "an unknown key with none near, with the list",
    text: changed(["version: 1", "version: 1\nquorum: 2"]),
    code: "unknown_key",
    path: "quorum",
    line: 3,
    remedy: /cluster, version, witnesses/,
  },
  {
    name: "a mistyped probe, without the noise that the right one is missing",
    text: withDb("exec: [/bin/check, 10.1.0.10]", "exce: [/bin/check, 10.1.0.10]"),
    code: "unknown_key",
    path: `${inTarget}.db.exce`,
    line: 21,
    remedy: /Did you mean `exec`/,
  },
  {
    name: "a key that stands twice",
    text: changed(["version: 1", "version: 1\nversion: 2"]),
    code: "duplicate_key",
    path: "",
    line: 3,
  },
  {
    name: "a bare number for a duration",
    text: withDb("interval: 5s", "interval: 5"),
    code: "invalid",
    path: `${inTarget}.db.interval`,
    line: 21,
    remedy: /write 5s or 5ms/,
    value: "5",
  },
  {
    name: "a wrong unit",
    text: withDb("interval: 5s", "interval: 5sec"),
    code: "invalid",
    path: `${inTarget}.db.interval`,
    line: 21,
    remedy: /ms, s, m, h or d/,
    value: '"5sec"',
  },
  {
    name: "a duration out of bounds",
    text: withDb("interval: 5s", "interval: 5ms"),
    code: "out_of_range",
    path: `${inTarget}.db.interval`,
    line: 21,
    remedy: /20ms to 1h/,
  },
  {
    name: "half a millisecond",
    text: withDb("interval: 5s", "interval: 100.5ms"),
    code: "invalid",
    path: `${inTarget}.db.interval`,
    line: 21,
    remedy: /whole milliseconds/,
  },
  {
    name: "a time to live of half a second",
    text: changed(["server: 10.0.0.53", "server: 10.0.0.53\n          ttl: 500ms"]),
    code: "invalid",
    path: "groups.shop.route[0].rfc2136.ttl",
    line: 36,
    remedy: /seconds/,
  },
  {
    name: "a missing key",
    text: changed(["version: 1\n", ""]),
    code: "missing",
    path: "version",
    line: 1,
  },
  {
    name: "a missing section",
    text: changed(["sites: [a, b]\n", ""]),
    code: "missing",
    path: "sites",
    line: 1,
  },
  {
    name: "a key without a value",
    text: changed(["version: 1", "version:"]),
    code: "empty",
    path: "version",
    line: 2,
  },
  {
    name: "a section without a value",
    text: changed(["timings: { profile: wan }", "timings:"]),
    code: "empty",
    path: "timings",
    line: 8,
  },
  {
    name: "a word that is not accepted",
    text: changed(["profile: wan", "profile: lan"]),
    code: "invalid",
    path: "timings.profile",
    line: 8,
    remedy: /wan, fast/,
    value: '"lan"',
  },
  {
    name: "an address without a port",
    text: withAdmin("10.2.0.5"),
    code: "invalid",
    path: "witnesses.w-b.admin",
    line: 5,
    value: '"10.2.0.5"',
  },
  { name: "port 0", text: withAdmin("10.2.0.5:0"), code: "invalid", path: "witnesses.w-b.admin", line: 5 },
  {
    name: "port 65536",
    text: withAdmin("10.2.0.5:65536"),
    code: "invalid",
    path: "witnesses.w-b.admin",
    line: 5,
  },
  {
    name: "an IPv4 address that is none",
    text: withAdmin("10.2.0.256:7401"),
    code: "invalid",
    path: "witnesses.w-b.admin",
    line: 5,
  },
  {
    name: "an IPv6 address without brackets",
    text: changed(["10.9.1.5:7400", "'2001:db8::5:7400'"]),
    code: "invalid",
    path: "witnesses.w-b.peer[1]",
    line: 5,
    remedy: /brackets/,
  },
  {
    name: "an empty list of addresses",
    text: changed(["peer: [10.2.0.5:7400, 10.9.1.5:7400]", "peer: []"]),
    code: "empty",
    path: "witnesses.w-b.peer",
    line: 5,
  },
  {
    name: "no witness at all",
    text: GOOD.replace(/witnesses:\n(?: {2}w.*\n)+/, "witnesses: {}\n"),
    code: "empty",
    path: "witnesses",
    line: 3,
  },
  {
    name: "a site that is not configured",
    text: changed(["site: a,", "site: aa,"]),
    code: "unknown_reference",
    path: "witnesses.w-a.site",
    line: 4,
    remedy: /Did you mean a\?/,
  },
  {
    name: "a group's site that is not configured",
    text: changed(["      b:\n", "      elsewhere:\n"]),
    code: "unknown_reference",
    path: "groups.shop.sites.elsewhere",
    line: 25,
    remedy: /a, b/,
  },
  {
    name: "a preferred leader that is no witness",
    text: changed(["sites: [a, b]", "sites: [a, b]\nleaders: [w-x]"]),
    code: "unknown_reference",
    path: "leaders[0]",
    line: 8,
    remedy: /w-a/,
  },
  {
    name: "a preferred leader named twice",
    text: changed(["sites: [a, b]", "sites: [a, b]\nleaders: [w-c, w-c]"]),
    code: "duplicate",
    path: "leaders[1]",
    line: 8,
  },
  {
    name: "a site named twice",
    text: changed(["sites: [a, b]", "sites: [a, b, a]"]),
    code: "duplicate",
    path: "sites[2]",
    line: 7,
  },
  {
    name: "a witness named twice",
    text: changed(["w-c:", "w-b:"]),
    code: "duplicate_key",
    path: "",
    line: 6,
  },
  {
    name: "a group named twice",
    text: `${GOOD}  shop:\n    sites: {}\n`,
    code: "duplicate_key",
    path: "",
    line: 38,
  },
  {
    name: "an address used twice",
    text: withAdmin("10.2.0.5:7400"),
    code: "duplicate",
    path: "witnesses.w-b.admin",
    line: 5,
  },
  {
    name: "a name with a capital",
    text: changed(["w-c:", "W-c:"]),
    code: "invalid",
    path: "witnesses.W-c",
    line: 6,
    value: '"W-c"',
  },
  {
    name: "a name of 64 letters",
    text: changed(["w-c:", `${"w".repeat(64)}:`]),
    code: "invalid",
    path: `witnesses.${"w".repeat(64)}`,
    line: 6,
  },
  {
    name: "a name that looks like a number, which would lose its place in the order",
    text: changed(["w-c:", '"1":']),
    code: "invalid",
    path: "witnesses.1",
    line: 6,
  },
  { name: "a key that is a number", text: changed(["w-c:", "1:"]), code: "syntax", path: "", line: 6 },
  {
    name: "a site without required targets",
    text: changed(
      ['10.2.0.10/health" }', '10.2.0.10/health", required: false }'],
      ['11]:9000" }', '11]:9000", required: false }'],
    ),
    code: "contradiction",
    path: "groups.shop.sites.b.targets",
    line: 26,
  },
  {
    name: "a target with two probes",
    text: withDb("interval: 5s", "tcp: 10.1.0.10:5432"),
    code: "contradiction",
    path: `${inTarget}.db`,
    line: 21,
  },
  {
    name: "a target with no probe",
    text: withDb("exec: [/bin/check, 10.1.0.10], interval: 5s", "interval: 5s"),
    code: "missing",
    path: `${inTarget}.db`,
    line: 21,
  },
  {
    name: "an address record that is no address",
    text: changed(["www.example.com: { A: 10.2.0.10 }", "www.example.com: { A: 10.2.0.999 }"]),
    code: "invalid",
    path: 'groups.shop.sites.b.records["www.example.com"].A',
    line: 30,
    value: '"10.2.0.999"',
  },
  {
    name: "an IPv4 address as AAAA",
    text: changed(['AAAA: "2001:db8::11"', "AAAA: 10.2.0.10"]),
    code: "invalid",
    path: 'groups.shop.sites.b.records["api.gtm.example.com"].AAAA',
    line: 31,
  },
  {
    name: "a number as TXT",
    text: changed(['AAAA: "2001:db8::10"', "TXT: 7"], ['AAAA: "2001:db8::11"', 'TXT: "7"']),
    code: "invalid",
    path: 'groups.shop.sites.a.records["api.gtm.example.com"].TXT',
    line: 24,
    remedy: /quotes/,
    value: "7",
  },
  {
    name: "a name that is not in its normal spelling, because it could stand twice",
    text: changed(["www.example.com: { A: 10.2", "WWW.example.com.: { A: 10.2"]),
    code: "invalid",
    path: 'groups.shop.sites.b.records["WWW.example.com."]',
    line: 30,
    remedy: /Write www\.example\.com\./,
  },
  {
    name: "a record that one site lacks",
    text: changed([', AAAA: "2001:db8::11"', ""]),
    code: "contradiction",
    path: "groups.shop.sites.b.records",
    line: 29,
  },
  {
    name: "a CNAME beside other records",
    text: changed(
      ['AAAA: "2001:db8::10"', "CNAME: x.example.net"],
      [', AAAA: "2001:db8::11"', ", CNAME: x.example.net"],
    ),
    code: "contradiction",
    path: 'groups.shop.sites.a.records["api.gtm.example.com"]',
    line: 24,
  },
  {
    name: "a name in no zone of the routes",
    text: changed(
      ["www.example.com: { A: 10.1", "www.example.org: { A: 10.1"],
      ["www.example.com: { A: 10.2", "www.example.org: { A: 10.2"],
    ),
    code: "contradiction",
    path: 'groups.shop.sites.a.records["www.example.org"]',
    line: 23,
  },
  {
    name: "a zone that the name server lacks",
    text: changed(
      ["embedded: gtm.example.com", "embedded: gtn.example.com"],
      ["api.gtm.example.com: { A: 10.1", "api.gtn.example.com: { A: 10.1"],
      ["api.gtm.example.com: { A: 10.2", "api.gtn.example.com: { A: 10.2"],
    ),
    code: "unknown_reference",
    path: "groups.shop.route[1].embedded",
    line: 37,
    remedy: /Did you mean gtm.example.com/,
  },
  {
    name: "an embedded route when no witness answers DNS",
    text: changed([", dns: 10.1.0.5:53", ""]),
    code: "contradiction",
    path: "groups.shop.route[1].embedded",
    line: 37,
  },
  {
    name: "a route that holds none of the names",
    text: `${GOOD}      - rfc2136: { zone: example.org, server: 10.0.0.53 }\n`,
    code: "contradiction",
    path: "groups.shop.route[2].rfc2136.zone",
    line: 38,
  },
  {
    name: "a fixed record outside its zone",
    text: changed(["records: { ns1.gtm.example.com", "records: { ns1.example.com"]),
    code: "contradiction",
    path: 'dns.zones["gtm.example.com"].records["ns1.example.com"]',
    line: 14,
  },
  {
    name: "a name of the group that is a fixed record too",
    text: changed(["A: 10.1.0.5 } }", "A: 10.1.0.5 }, api.gtm.example.com: { A: 10.1.0.5 } }"]).replace(
      / {10}api.gtm.example.com: { A: 10.2.*\n/,
      (line) => line,
    ),
    code: "duplicate",
    path: 'groups.shop.sites.a.records["api.gtm.example.com"]',
    line: 24,
  },
  {
    name: "a heartbeat longer than a third of the election timeout",
    text: withTimings("heartbeat: 400ms"),
    code: "contradiction",
    path: "timings.electionMin",
    line: 8,
    remedy: /1200ms/,
  },
  {
    name: "a tick longer than the heartbeat",
    text: withTimings("tick: 300ms"),
    code: "contradiction",
    path: "timings.tick",
    line: 8,
  },
  {
    name: "an election range without room to draw from",
    text: withTimings("electionMax: 1100ms"),
    code: "contradiction",
    path: "timings.electionMax",
    line: 8,
  },
  {
    name: "a view timeout not longer than its interval",
    text: withTimings("viewTimeout: 1s"),
    code: "contradiction",
    path: "timings.viewTimeout",
    line: 8,
  },
  {
    name: "a backoff that shrinks",
    text: changed(["    route:", "    retry: { backoff: 5s, backoffMax: 1s }\n    route:"]),
    code: "contradiction",
    path: "groups.shop.retry.backoffMax",
    line: 32,
  },
  {
    name: "an algorithm that is not accepted",
    text: changed(["name: pointsman.,", "name: pointsman., algorithm: hmac-md5,"]),
    code: "invalid",
    path: "groups.shop.route[0].rfc2136.key.algorithm",
    line: 36,
    remedy: /hmac-sha256, hmac-sha512/,
  },
  {
    name: "a probability of one",
    text: withDb("interval: 5s", "falseAlarm: 1"),
    code: "out_of_range",
    path: `${inTarget}.db.falseAlarm`,
    line: 21,
  },
  {
    name: "a status code that is none",
    text: withHttp("expectStatus: [200, 2xx]"),
    code: "invalid",
    path: `${inTarget}.web.http.expectStatus[1]`,
    line: 20,
  },
  {
    name: "a pattern that does not compile",
    text: withHttp('expectBody: { matches: "(" }'),
    code: "invalid",
    path: `${inTarget}.web.http.expectBody.matches`,
    line: 20,
  },
  {
    name: "a JSON path without the value that it must have",
    text: withHttp("expectBody: { json: a.b }"),
    code: "contradiction",
    path: `${inTarget}.web.http.expectBody`,
    line: 20,
  },
  {
    name: "a header with a line break in it",
    text: withHttp('headers: { x: "a\\r\\nHost: b" }'),
    code: "invalid",
    path: `${inTarget}.web.http.headers.x`,
    line: 20,
  },
  {
    name: "a hook written as a shell line",
    text: changed(["    route:", "    promote: { exec: /bin/promote now }\n    route:"]),
    code: "invalid",
    path: "groups.shop.promote.exec",
    line: 32,
  },
  {
    name: "failback in a form that is neither manual nor a time",
    text: changed(["    route:", "    failback: automatic\n    route:"]),
    code: "invalid",
    path: "groups.shop.failback",
    line: 32,
  },
  {
    name: "a merge key",
    text: changed(["version: 1", "<<: {}\nversion: 1"]),
    code: "syntax",
    path: "",
    line: 2,
  },
  {
    name: "a prototype as key",
    text: changed(["version: 1", "__proto__: {}\nversion: 1"]),
    code: "syntax",
    path: "",
    line: 2,
  },
  { name: "a tag", text: changed(["version: 1", "version: !js 1"]), code: "syntax", path: "", line: 2 },
  { name: "two documents", text: `${GOOD}---\nx: 1\n`, code: "syntax", path: "", line: 38 },
];

describe("a wrong document", () => {
  for (const { name, text, code, path, line, remedy, value } of cases) {
    test(`${name} is refused with its line and a remedy`, () => {
      const errors = refuse(text);
      const [error] = errors;
      assert.ok(error !== undefined);
      assert.deepEqual([error.code, error.path, error.line], [code, path, line], formatProblem(error));
      assert.ok(error.column >= 1 && error.file === "test.yaml" && /[.?]$/.test(error.remedy), error.remedy);
      if (remedy !== undefined) assert.match(error.remedy, remedy);
      if (value !== undefined) assert.equal(error.value, value);
      // One slip, one error; a name that is wrong at both sites is two.
      assert.ok(
        errors.length <= (code === "duplicate" || path.includes("records") ? 2 : 1),
        errors.map(formatProblem).join("\n"),
      );
    });
  }

  test("shows all its mistakes at once, in the order of the lines", () => {
    const errors = refuse(
      changed(
        ["acme", "Acme"],
        ["site: a,", "site: x,"],
        ["profile: wan", "profil: wan"],
        ["interval: 5s", "interval: 5"],
        ["zone: example.com", "zone: -x"],
      ),
    );
    assert.deepEqual(
      errors.map((error) => error.line),
      [1, 4, 8, 21, 34],
    );
  });

  test("unquoted brackets of IPv6 are an error of YAML, and the remedy says so", () => {
    const errors = refuse(changed(["admin: 10.2.0.5:7401", "admin: [2001:db8::5]:7401"]));
    assert.deepEqual([errors[0]?.code, errors[0]?.line], ["syntax", 5]);
    assert.match(errors.map(formatProblem).join("\n"), /"\[2001:db8::5\]:7400"/);
  });

  test("a value behind an alias is placed where it is written", () => {
    const text = changed(
      ['web: { http: "http://10.1.0.10/health" }', "web: &web\n            tcp: h:1\n            fall: 0"],
      ['web: { http: "http://10.2.0.10/health" }', "web: *web"],
    );
    assert.deepEqual(
      refuse(text).map(({ path, line }) => `${path} ${line}`),
      ["groups.shop.sites.a.targets.web.fall 22", "groups.shop.sites.b.targets.web.fall 22"],
    );
  });

  const odd = ["", "# x\n", "null", "[1]", "x", "7", "cluster", "{}", "\0", "\uFEFF", "a: *b", "a: &a [*a]"];
  for (const text of [...odd, "- &a [*a, *a]", "sites: &a [*a]", "{[a]: 1}", "? ", ": ", "a: |", "%YAML 9"]) {
    test(`${JSON.stringify(text)} is refused and nothing is thrown`, () => {
      assert.ok(refuse(text).length > 0);
    });
  }

  test("nesting ten thousand deep is refused and does not overflow the stack", () => {
    assert.ok(refuse("[".repeat(10_000)).length > 0);
    assert.ok(refuse(`${"{a: ".repeat(10_000)}1${"}".repeat(10_000)}`).length > 0);
    assert.ok(refuse(`groups: ${"[".repeat(3000)}${"]".repeat(3000)}`).length > 0);
    assert.ok(refuse("- ".repeat(20_000)).length > 0);
  });

  test("an alias bomb is refused quickly", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
    for (let at = 1; at < 12; at++) {
      lines.push(
        `a${at}: &a${at} [${Array(9)
          .fill(`*a${at - 1}`)
          .join(", ")}]`,
      );
    }
    const startedAt = performance.now();
    assert.ok(refuse(lines.join("\n")).length > 0);
    assert.ok(performance.now() - startedAt < 5000);
  });
});

describe("a secret in the document", () => {
  const secret = "c2VjcmV0LXRoYXQtbXVzdC1ub3QtYXBwZWFy";
  const inKey = (text: string): string => changed(["secretFile: /etc/pointsman/tsig.key", text]);
  const places: [string, string][] = [
    ["as key secret", inKey(`secret: ${secret}`)],
    ["as key secret beside the file", changed(["secretFile:", `secret: ${secret}, secretFile:`])],
    ["in place of the file", inKey(`secretFile: ${secret}`)],
    ["in place of the variable", inKey(`secretEnv: "${secret}="`)],
    ["as a URL's password", changed(["http://10.1.0.10", `http://user:${secret}@10.1.0.10`])],
    ["in a URL that is none", changed(["http://10.1.0.10", `http//user:${secret}@10.1.0.10`])],
    ["in a URL's query", changed(["10.1.0.10/health", `10.1.0.10/health?token=${secret}`])],
    ["in a header", withHttp(`headers: { Authorization: Bearer ${secret} }`)],
    [
      "in a header, read as a number",
      withHttp(`headers: { X-Api-Key: 0x${Buffer.from(secret).toString("hex").slice(0, 10)} }`),
    ],
    ["as a mapping", inKey(`secret: { value: ${secret} }`)],
    ["in a broken line", inKey(`secret: "${secret}`)],
    ["behind an alias sign", inKey(`secret: *${secret}`)],
    ["behind a tag", inKey(`secret: !${secret} x`)],
  ];
  for (const [name, text] of places) {
    test(`${name} is refused, and no message repeats it`, () => {
      const errors = refuse(text);
      const shown = JSON.stringify(errors) + errors.map(formatProblem).join();
      assert.doesNotMatch(shown, /c2VjcmV0LX/);
      // The same as a number: 0x6332566a63.
      assert.doesNotMatch(shown, new RegExp(`${0x6332566a63}|6332566a63`));
    });
  }

  test("under the key `secret` has the remedy: a file or the environment", () => {
    const errors = refuse(inKey(`secret: ${secret}`));
    assert.deepEqual(
      errors.map((error) => [error.code, error.path, error.line]),
      [["literal_secret", "groups.shop.route[0].rfc2136.key.secret", 36]],
    );
    assert.match(errors[0]?.remedy ?? "", /secretFile.*secretEnv/);
  });
});
