/**
 * Whatever bytes a file holds, reading it ends in a configuration or in findings with places.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { stringify } from "yaml";
import { parseConfig } from "../../../src/drivers/config/config.js";
import { formatProblem } from "../../../src/drivers/config/problem.js";
import { GOOD } from "./fixture.js";

const example = readFileSync(
  fileURLToPath(new URL("../../../../examples/three-sites/pointsman.yaml", import.meta.url)),
  "utf8",
);

/** Judges the text and checks what must hold of every judgement. */
function judge(text: string): void {
  const result = parseConfig(text, "f");
  if (result.kind === "refused") {
    assert.ok(result.errors.length > 0);
    const lines = text.split("\n").length;
    let before = 0;
    for (const error of result.errors) {
      assert.ok(
        error.line >= before && error.line <= lines,
        `line ${error.line} of ${lines}, after ${before}`,
      );
      before = error.line;
      assert.ok(
        error.message !== "" && error.remedy !== "" && !error.message.includes("Invalid input"),
        error.message,
      );
      assert.ok(formatProblem(error).length < 1000);
    }
    return;
  }
  const { config } = result;
  const { timings } = config;
  assert.ok(
    timings.heartbeatMs * 3 <= timings.electionMinMs && timings.electionMinMs < timings.electionMaxMs,
  );
  assert.ok(timings.tickMs <= timings.heartbeatMs && timings.viewIntervalMs < timings.viewTimeoutMs);
  assert.ok(config.witnesses.length > 0);
  for (const group of config.groups) {
    assert.ok(group.sites.length > 0);
    for (const at of group.sites) {
      assert.ok(config.sites.some((site) => site.id === at.site));
      assert.ok(at.targets.some((target) => target.required));
      for (const target of at.targets)
        assert.ok(target.intervalMs > 0 && target.timeoutMs > 0 && target.fall > 0);
    }
  }
}

/** A few pieces of a text cut out, doubled, moved, or replaced by what an editor's slip may put there. */
const slips = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.integer({ min: 0, max: 12 }),
    put: fc.oneof(
      fc.constantFrom(
        "",
        "\n",
        "  ",
        "\t",
        ":",
        ": ",
        "{",
        "}",
        "[",
        "]",
        "- ",
        '"',
        "'",
        "#",
        "&x ",
        "*x",
        "!t ",
        "|",
        "null",
        "~",
      ),
      fc.constantFrom(
        "0",
        "-1",
        "1e999",
        ".nan",
        "5",
        "5s",
        "true",
        "a",
        "secret",
        "? ",
        "<<: ",
        "__proto__: ",
        "constructor: ",
      ),
      fc.string({ maxLength: 6, unit: "binary" }),
    ),
  }),
  { minLength: 1, maxLength: 5 },
);

function slip(text: string, changes: readonly { at: number; length: number; put: string }[]): string {
  return changes.reduce((now, { at, length, put }) => {
    const start = Math.floor(at * now.length);
    return now.slice(0, start) + put + now.slice(start + length);
  }, text);
}

describe("parseConfig on any text", () => {
  test("never throws on slips of the keyboard in a right document, and places each error inside it", () => {
    fc.assert(
      fc.property(fc.constantFrom(GOOD, example), slips, (text, changes) => judge(slip(text, changes))),
      {
        numRuns: 250,
      },
    );
  });

  test("never throws on lines that were moved, doubled or indented", () => {
    const lines = GOOD.split("\n");
    const index = fc.nat({ max: lines.length - 1 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(index, index, fc.nat({ max: 4 })), { minLength: 1, maxLength: 4 }),
        (moves) => {
          const now = [...lines];
          for (const [from, to, indent] of moves)
            now.splice(to, indent % 2, " ".repeat(indent) + (now[from] ?? ""));
          judge(now.join("\n"));
        },
      ),
      { numRuns: 120 },
    );
  });

  test("never throws on arbitrary text", () => {
    fc.assert(fc.property(fc.string({ maxLength: 200, unit: "binary" }), judge), { numRuns: 120 });
  });

  test("never throws on arbitrary values under the known keys", () => {
    const keys = ["cluster", "version", "witnesses", "sites", "timings", "probes", "dns", "groups"] as const;
    const value = fc.jsonValue({ maxDepth: 4 });
    const document = fc.record(Object.fromEntries(keys.map((key) => [key, value])), { requiredKeys: [] });
    fc.assert(
      fc.property(document, (content) => judge(stringify(content))),
      { numRuns: 120 },
    );
  });

  test("never throws on a right document in which one value is another one", () => {
    const paths: string[][] = [];
    const walk = (at: unknown, path: string[]): void => {
      if (typeof at !== "object" || at === null) return;
      for (const [key, inner] of Object.entries(at)) {
        paths.push([...path, key]);
        walk(inner, [...path, key]);
      }
    };
    const source = {
      cluster: "acme",
      version: 1,
      witnesses: { a: { peer: "h:1", admin: "h:2", dns: "h:3" } },
      sites: ["a"],
      timings: { profile: "fast", tick: "50ms" },
      probes: { fall: 3 },
      dns: {
        zones: {
          "x.org": { nameServers: ["n.x.org"], contact: "a@x.org", records: { "n.x.org": { A: "1.2.3.4" } } },
        },
      },
      groups: {
        g: {
          sites: {
            a: {
              targets: {
                t: { http: { url: "http://h/", headers: { a: "b" }, expectBody: { contains: "x" } } },
              },
              records: { "w.x.org": { A: ["1.2.3.4"] } },
            },
          },
          fence: { exec: ["/bin/true"], timeout: "5s" },
          failback: { automatic: "1h" },
          route: [
            { rfc2136: { zone: "x.org", server: ["s:53"], key: { name: "k", secretEnv: "K" }, ttl: "5s" } },
          ],
          verify: { resolvers: ["r:53"], timeout: "9s" },
          announce: [{ webhook: "https://h/" }, { exec: ["/bin/true"] }],
          retry: { limit: 3 },
        },
      },
    };
    assert.equal(parseConfig(stringify(source), "f").kind, "accepted");
    walk(source, []);
    const odd = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom("", -1, 0, 1.5, "5s", [], {}, null, true, "x.org"),
    );
    fc.assert(
      fc.property(fc.constantFrom(...paths), odd, (path, value) => {
        const copy: unknown = structuredClone(source);
        let at = copy as Record<string, unknown>;
        for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
        at[path.at(-1) ?? ""] = value;
        judge(stringify(copy));
      }),
      { numRuns: 250 },
    );
  });
});
