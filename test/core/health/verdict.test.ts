/**
 * The quorum's verdict: a majority of all configured witnesses, whoever is silent, stale or abstaining.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { logIndex, siteId, witnessId } from "../../../src/core/base/ids.js";
import { judgeGroup, judgeSite, judgeTarget } from "../../../src/core/health/health.js";
import type { GroupConfig } from "../../../src/core/model/config.js";
import type { Opinion } from "../../../src/core/model/observation.js";
import type { State, WitnessRecord } from "../../../src/core/model/state.js";
import { configOf, targetOf } from "./fixture.js";

/** `up@100` an opinion and since when; `stale`, `abstaining`, `missing` (no record) and `blind` (no such target). */
type Word = `${Opinion}@${number}` | "stale" | "abstaining" | "missing" | "blind";

function recordsOf(words: Readonly<Record<string, readonly Word[]>>): State["witnesses"] {
  const records: Record<string, WitnessRecord> = {};
  for (const [target, list] of Object.entries(words)) {
    for (const [i, word] of list.entries()) {
      const id = `w${i + 1}`;
      if (word === "missing") continue;
      const before = records[id] ?? {
        witness: witnessId(id),
        stale: word === "stale",
        abstaining: word === "abstaining",
        sinceMs: 0,
        observations: {},
      };
      const [opinion, since] = word.includes("@") ? word.split("@") : ["up", "5"];
      records[id] =
        word === "blind"
          ? before
          : {
              ...before,
              observations: {
                ...before.observations,
                [target]: {
                  opinion: opinion as Opinion,
                  sinceMs: Number(since),
                  sinceWallMs: 0,
                  index: logIndex(1),
                  evidence: {
                    kind: "definite",
                    text: `${id} saw it`,
                    count: 3,
                    falseAlarm: null,
                    rttMs: null,
                    loss: null,
                  },
                },
              },
            };
    }
  }
  return records;
}

describe("verdict on a target", () => {
  const cases: [words: Word[], verdict: Opinion, sinceMs: number | null, why: string][] = [
    [["up@10", "up@20", "up@30"], "up", 20, "a majority has agreed since the second of three joined"],
    [["up@10", "up@20", "down@30"], "up", 20, "one dissenter does not count"],
    [["down@10", "down@40", "up@30"], "down", 40, "two of three"],
    [["down@10", "up@20", "unknown@30"], "unknown", null, "no majority"],
    [["down@10", "missing", "missing"], "unknown", null, "majority of all, not of those that answered"],
    [
      ["up@10", "stale", "abstaining"],
      "unknown",
      null,
      "stale and abstaining witnesses say nothing, though up is recorded",
    ],
    [["up@10", "blind", "up@50"], "up", 50, "a witness without that target says nothing"],
    [["down@10", "down@20"], "down", 20, "two of two"],
    [["down@10", "up@20"], "unknown", null, "two witnesses: one is no majority"],
    [["up@10", "missing"], "unknown", null, "two witnesses, one silent"],
    [["up@10"], "up", 10, "a single witness is its own majority"],
    [["down@5", "down@3", "down@9", "up@1", "up@2"], "down", 9, "three of five"],
    [["down@5", "down@3", "missing", "missing", "missing"], "unknown", null, "two of five that all say down"],
    [["up@1", "up@2", "up@3", "up@4", "up@5"], "up", 3, "the third of five makes the majority"],
    [["unknown@1", "unknown@2", "unknown@3"], "unknown", null, "agreeing to know nothing is no verdict"],
  ];
  for (const [words, verdict, sinceMs, why] of cases) {
    test(`${words.join(" ")} is ${verdict}: ${why}`, () => {
      const config = configOf({ a: [targetOf("web")] }, words.length);
      const found = judgeTarget(config, "shop/a/web", true, recordsOf({ "shop/a/web": words }));
      assert.equal(found.verdict, verdict);
      assert.equal(found.sinceMs, sinceMs);
      assert.equal(found.up.length + found.down.length + found.unknown.length, words.length);
    });
  }

  test("a witness that has just come back counts from then, not from what it saw before", () => {
    const config = configOf({ a: [targetOf("web")] }, 3);
    const records = { ...recordsOf({ "shop/a/web": ["up@10", "up@20", "missing"] }) };
    const back = records["w2"];
    assert.ok(back);
    records["w2"] = { ...back, sinceMs: 500 };
    assert.equal(judgeTarget(config, "shop/a/web", true, records).sinceMs, 500);
  });

  test("the reasons are those of the witnesses that say down, and of no stale one", () => {
    const config = configOf({ a: [targetOf("web")] }, 3);
    const found = judgeTarget(
      config,
      "shop/a/web",
      true,
      recordsOf({ "shop/a/web": ["down@1", "stale", "down@2"] }),
    );
    assert.deepEqual(found.reasons, [
      { witness: "w1", text: "w1 saw it" },
      { witness: "w3", text: "w3 saw it" },
    ]);
  });

  test("never says up or down without a majority of all configured witnesses", () => {
    const word = fc.constantFrom<Word>(
      "up@1",
      "down@2",
      "unknown@3",
      "stale",
      "abstaining",
      "missing",
      "blind",
    );
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 7 }), (words) => {
        const config = configOf({ a: [targetOf("web")] }, words.length);
        const found = judgeTarget(config, "shop/a/web", true, recordsOf({ "shop/a/web": words }));
        const said = (opinion: string) => words.filter((each) => each.startsWith(`${opinion}@`)).length;
        const needed = Math.floor(words.length / 2) + 1;
        const expected = said("up") >= needed ? "up" : said("down") >= needed ? "down" : "unknown";
        assert.equal(found.verdict, expected);
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});

describe("verdict on a site", () => {
  const config = configOf({
    a: [targetOf("web"), targetOf("db"), targetOf("metrics", { required: false })],
    b: [targetOf("web")],
  });
  const group = config.groups[0] as GroupConfig;
  const site = (words: Record<string, Word[]>) =>
    judgeSite(
      config,
      group,
      siteId("a"),
      recordsOf(Object.fromEntries(Object.entries(words).map(([id, list]) => [`shop/a/${id}`, list]))),
    );

  test("it is up since its last required target came up, whatever the optional ones do", () => {
    const found = site({
      web: ["up@10", "up@10", "up@10"],
      db: ["up@70", "up@80", "up@90"],
      metrics: ["down@1", "down@1", "down@1"],
    });
    assert.equal(found.verdict, "up");
    assert.equal(found.sinceMs, 80);
    assert.equal(found.targets.find((target) => target.target === "shop/a/metrics")?.verdict, "down");
  });

  test("it is down since its first required target went down, and unknown ones do not save it", () => {
    const found = site({
      web: ["down@30", "down@40", "up@1"],
      db: ["down@10", "down@20", "up@1"],
    });
    assert.equal(found.verdict, "down");
    assert.equal(found.sinceMs, 20);
    const half = site({ web: ["down@30", "down@40", "up@1"], db: ["up@1", "missing", "down@2"] });
    assert.equal(half.verdict, "down");
    assert.equal(half.sinceMs, 40);
  });

  test("one required target that nobody can judge makes it unknown", () => {
    const found = site({ web: ["up@1", "up@1", "up@1"], db: ["up@1", "unknown@1", "down@1"] });
    assert.equal(found.verdict, "unknown");
    assert.equal(found.sinceMs, null);
  });

  test("a site without required targets is not up for want of evidence", () => {
    const bare = configOf({ a: [targetOf("metrics", { required: false })], b: [] });
    const records = recordsOf({ "shop/a/metrics": ["up@1", "up@1", "up@1"] });
    const verdicts = judgeGroup(bare, bare.groups[0] as GroupConfig, records);
    assert.deepEqual(
      verdicts.map((found) => [found.site, found.verdict]),
      [
        ["a", "unknown"],
        ["b", "unknown"],
      ],
    );
  });
});
