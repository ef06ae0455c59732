/**
 * Decisions: each reason to move and each reason to stay, with the words that a person reads.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { epoch, type SiteId, siteId } from "../../../src/core/base/ids.js";
import type { GroupConfig } from "../../../src/core/model/config.js";
import type { Opinion, SiteVerdict } from "../../../src/core/model/observation.js";
import type { GroupState } from "../../../src/core/model/state.js";
import {
  decide,
  explainMissing,
  judgeSwitchover,
  POLICY_CODES,
  type PolicyInput,
  standing,
} from "../../../src/core/policy/policy.js";
import { duration } from "../../../src/core/policy/words.js";
import {
  A,
  B,
  C,
  config,
  DONE,
  decideCommand,
  group,
  LEADER,
  type Log,
  started,
  W,
  withPrimary,
} from "../model/fixture.js";

/** What is seen of a site: the verdict, and for how many ms it has held. */
type Sight = readonly [Opinion, number] | Opinion;

function verdict(site: SiteId, sight: Sight, nowMs: number): SiteVerdict {
  const [opinion, forMs] = typeof sight === "string" ? [sight, 1e6] : sight;
  const sinceMs = opinion === "unknown" ? null : nowMs - forMs;
  const two = [W[0], W[1]];
  return {
    site,
    verdict: opinion,
    sinceMs,
    targets: [
      {
        target: `shop/${site}/web`,
        required: true,
        verdict: opinion,
        up: opinion === "up" ? two : opinion === "unknown" ? [W[0]] : [],
        down: opinion === "down" ? two : [],
        unknown: opinion === "unknown" ? [W[1], W[2]] : [W[2]],
        sinceMs,
        reasons: opinion === "down" ? two.map((witness) => ({ witness, text: "connection refused" })) : [],
      },
    ],
  };
}

interface Case {
  readonly name: string;
  readonly state: GroupState;
  readonly group?: Partial<GroupConfig>;
  /** In the order a, b, c. */
  readonly seen: readonly [Sight, Sight, Sight];
  readonly nowMs?: number;
  /** `plan from to`, or the code of a stay. */
  readonly expect: string;
  readonly says?: RegExp;
}

const NOW = 1e7;

function inputOf(of: Omit<Case, "name" | "expect">): PolicyInput {
  const at = group(of.group ?? {});
  const nowMs = of.nowMs ?? NOW;
  return {
    config: config([at]),
    group: at,
    state: of.state,
    verdicts: [A, B, C].map((site, i) => verdict(site, of.seen[i] ?? "unknown", nowMs)),
    nowMs,
  };
}

const fresh = started().group;
const held = withPrimary().group;
const switched: GroupState = { ...held, lastSwitchAtMs: NOW - 12_000 };
const onHold: GroupState = { ...held, mode: "hold", holdReason: "ann: works" };
const onB: GroupState = {
  ...held,
  ticket: { ...held.ticket, site: B },
  routed: { site: B, epoch: epoch(1) },
};

/** A failover from a to b that failed: before its grant, or after it. */
function failed(granted: boolean): GroupState {
  const log = deciding("failover");
  if (granted) passPrecheck(log);
  log.must({
    kind: "close",
    group: "shop",
    epoch: epoch(2),
    status: "failed",
    reason: "promote broke",
    hold: null,
  });
  return log.group;
}

function deciding(plan: "failover" | "switchover"): Log {
  const log = withPrimary();
  log.must(
    decideCommand({ epoch: epoch(2), plan, from: A, to: B, steps: ["precheck", "promote"], reason: "r" }),
  );
  return log;
}

function passPrecheck(log: Log): void {
  const key = { group: "shop", epoch: epoch(2), step: "precheck", attempt: 1 } as const;
  log.must({ kind: "begin", key, leader: LEADER });
  log.must({ kind: "finish", key, outcome: DONE, next: true });
  log.must({ kind: "grant", group: "shop", epoch: epoch(2), site: B });
}

function owing(granted: boolean): GroupState {
  const log = deciding("switchover");
  if (granted) passPrecheck(log);
  log.must({
    kind: "close",
    group: "shop",
    epoch: epoch(2),
    status: "rolled_back",
    reason: "drain broke",
    hold: null,
  });
  return log.group;
}

const automatic = { failback: { kind: "automatic", afterMs: 30_000 } } as const;

const CASES: readonly Case[] = [
  // The first grant.
  {
    name: "first grant goes to the site of highest priority",
    state: fresh,
    seen: ["up", "up", "up"],
    expect: "initial - a",
  },
  {
    name: "first grant passes over a site that is down",
    state: fresh,
    seen: ["down", "up", "up"],
    expect: "initial - b",
    says: /site a is down \(web is seen down by w-a, w-b\)/,
  },
  {
    name: "first grant waits for stability",
    state: fresh,
    seen: [["up", 9_999], "up", "up"],
    expect: "initial_waits",
    says: /site a, which is up for 9.9 s, and has to be for 10 s/,
  },
  {
    name: "first grant comes with stability, to the millisecond",
    state: fresh,
    seen: [["up", 10_000], "up", "up"],
    expect: "initial - a",
  },
  {
    name: "first grant waits for an opinion of a preferred site",
    state: fresh,
    seen: ["unknown", "up", "up"],
    expect: "initial_unknown",
  },
  {
    name: "first grant does not ask about sites of lower priority",
    state: fresh,
    seen: ["up", "unknown", "down"],
    expect: "initial - a",
  },
  {
    name: "first grant to nobody when all look down",
    state: fresh,
    seen: ["down", "down", "down"],
    expect: "all_down",
  },
  {
    name: "first grant to nobody when the rest was left behind",
    state: { ...fresh, failedSites: [B, C] },
    seen: ["down", "up", "up"],
    expect: "no_candidate",
  },
  // The primary is up.
  {
    name: "nothing moves while the primary is up",
    state: held,
    seen: ["up", "up", "up"],
    expect: "primary_up",
  },
  {
    name: "nothing moves back by itself under manual failback",
    state: onB,
    seen: ["up", "up", "up"],
    expect: "primary_up",
  },
  {
    name: "automatic failback needs its own time of being up",
    state: onB,
    group: automatic,
    seen: [["up", 29_999], "up", "up"],
    expect: "failback_waits",
    says: /site a is up for 29.9 s, and has to be for 30 s/,
  },
  {
    name: "automatic failback happens when it is due",
    state: onB,
    group: automatic,
    seen: [["up", 30_000], "up", "up"],
    expect: "failback b a",
  },
  {
    name: "automatic failback is never shorter than the stability",
    state: onB,
    group: { failback: { kind: "automatic", afterMs: 0 } },
    seen: [["up", 9_999], "up", "up"],
    expect: "failback_waits",
  },
  {
    name: "automatic failback waits for the hold-down",
    state: { ...onB, lastSwitchAtMs: NOW - 59_999 },
    group: automatic,
    seen: ["up", "up", "up"],
    expect: "failback_waits",
    says: /hold-down has 1 ms to go/,
  },
  {
    name: "automatic failback does not go to a site left behind",
    state: { ...onB, failedSites: [A] },
    group: automatic,
    seen: ["up", "up", "up"],
    expect: "failback_waits",
    says: /left behind/,
  },
  {
    name: "a site of lower priority is no reason for a failback",
    state: held,
    group: automatic,
    seen: ["up", "up", "up"],
    expect: "primary_up",
  },
  // The primary is not judged.
  {
    name: "silence moves nothing",
    state: held,
    seen: ["unknown", "up", "up"],
    expect: "primary_unknown",
    says: /no opinion, or no word, from w-b, w-c/,
  },
  {
    name: "a missing verdict is silence",
    state: { ...held, ticket: { ...held.ticket, site: siteId("gone") } },
    seen: ["up", "up", "up"],
    expect: "primary_unknown",
  },
  // The primary is down.
  {
    name: "failover to the next in priority",
    state: held,
    seen: ["down", "up", "up"],
    expect: "failover a b",
    says: /site a is primary and down \(web is seen down by w-a, w-b\); site b is up and stable/,
  },
  {
    name: "failover passes over a site that is not stable",
    state: held,
    seen: ["down", ["up", 9_999], "up"],
    expect: "failover a c",
    says: /site b is up for 9.9 s/,
  },
  {
    name: "failover never goes to the unknown",
    state: held,
    seen: ["down", "unknown", "up"],
    expect: "failover a c",
  },
  {
    name: "failover passes over a site left behind",
    state: { ...held, failedSites: [B] },
    seen: ["down", "up", "up"],
    expect: "failover a c",
  },
  {
    name: "no failover without a candidate",
    state: held,
    seen: ["down", "unknown", ["up", 1]],
    expect: "no_candidate",
    says: /site b is not judged.*site c is up for 1 ms/,
  },
  {
    name: "no failover when all look down",
    state: held,
    seen: ["down", "down", "down"],
    expect: "all_down",
    says: /own network is the likelier fault/,
  },
  {
    name: "no failover in the hold-down",
    state: switched,
    seen: ["down", "up", "up"],
    expect: "hold_down",
    says: /last switch was 12 s ago, the hold-down has 48 s to go/,
  },
  {
    name: "failover as soon as the hold-down has passed",
    state: switched,
    nowMs: NOW + 48_000,
    seen: ["down", "up", "up"],
    expect: "failover a b",
  },
  {
    name: "all looking down is told before the hold-down",
    state: switched,
    seen: ["down", "down", "down"],
    expect: "all_down",
  },
  // A hold.
  {
    name: "a hold over a healthy group is quiet",
    state: onHold,
    seen: ["up", "up", "up"],
    expect: "hold",
    says: /on hold \(ann: works\)/,
  },
  {
    name: "a hold that holds a failover back says so",
    state: onHold,
    seen: ["down", "up", "up"],
    expect: "hold_blocks",
    says: /without it: failover to b/,
  },
  {
    name: "a hold over something wrong says so",
    state: onHold,
    seen: ["unknown", "up", "up"],
    expect: "hold_blocks",
  },
  {
    name: "a hold stops the first grant",
    state: { ...fresh, mode: "hold" },
    seen: ["up", "up", "up"],
    expect: "hold_blocks",
  },
  // Plans.
  {
    name: "no second decision while a plan runs",
    state: deciding("failover").group,
    seen: ["down", "down", "up"],
    expect: "plan_running",
    says: /to b \(epoch 2\) is under way: precheck is pending/,
  },
  {
    name: "an owed rollback comes first, from nobody when the ticket was not granted",
    state: owing(false),
    seen: ["up", "up", "up"],
    expect: "rollback - a",
    says: /switchover to b \(epoch 2\) failed: drain broke/,
  },
  {
    name: "an owed rollback takes the ticket back",
    state: owing(true),
    seen: ["down", "up", "up"],
    expect: "rollback b a",
  },
  {
    name: "a hold does not stop an owed rollback",
    state: { ...owing(true), mode: "hold" },
    seen: ["up", "up", "up"],
    expect: "rollback b a",
  },
  // A failed failover.
  {
    name: "after a failover that failed before its grant, the next attempt fences the old primary again",
    state: failed(false),
    seen: ["down", "up", "up"],
    expect: "failover a b",
  },
  {
    name: "after a failover that failed, the old primary may be the best again",
    state: failed(false),
    seen: ["up", "down", "up"],
    expect: "failover - a",
  },
  {
    name: "after a failed failover the site left behind is passed over",
    state: failed(true),
    seen: ["down", "up", "up"],
    expect: "failover b c",
    says: /the failover to b \(epoch 2\) failed/,
  },
  {
    name: "after a failed failover the hold-down is not waited for",
    state: { ...failed(true), lastSwitchAtMs: NOW - 1 },
    seen: ["down", "up", "up"],
    expect: "failover b c",
  },
  {
    name: "after a failed failover with nobody left",
    state: failed(true),
    seen: ["down", "up", "down"],
    expect: "no_candidate",
    says: /site b was left behind/,
  },
  {
    name: "after a failed failover that a person forgave, the holder tries again",
    state: { ...failed(true), failedSites: [] },
    seen: ["up", "up", "up"],
    expect: "failover - b",
  },
  {
    name: "after a failed failover with everything down",
    state: failed(true),
    seen: ["down", "down", "down"],
    expect: "all_down",
  },
];

for (const each of CASES) {
  test(`policy: ${each.name}`, () => {
    const input = inputOf(each);
    const decision = decide(input);
    const shown = standing(input);
    const got =
      decision.kind === "switch"
        ? `${decision.plan} ${decision.from ?? "-"} ${decision.to}`
        : decision.standing.code;
    assert.equal(got, each.expect);
    if (each.says !== undefined) assert.match(shown.message, each.says);
    assert.ok(Object.hasOwn(POLICY_CODES, shown.code), `${shown.code} is not in the closed list`);
    if (decision.kind === "stay") assert.deepEqual(shown, decision.standing);
    else assert.deepEqual([shown.action, shown.code], ["switch", decision.plan]);
    const missing = explainMissing(input);
    assert.equal(missing.length === 0, decision.kind === "switch", missing.join("\n"));
  });
}

test("every code of the closed list is reached by the table", () => {
  const reached = new Set(CASES.map((each) => standing(inputOf(each)).code));
  assert.deepEqual(
    Object.keys(POLICY_CODES).filter((code) => !reached.has(code)),
    [],
  );
});

test("only what is wrong is noteworthy", () => {
  const noteworthy = new Set(
    CASES.filter((each) => standing(inputOf(each)).noteworthy).map((each) => standing(inputOf(each)).code),
  );
  assert.deepEqual([...noteworthy].sort(), [
    "all_down",
    "failover",
    "hold_blocks",
    "hold_down",
    "initial_unknown",
    "no_candidate",
    "primary_unknown",
    "rollback",
  ]);
});

test("evidence names every target, since when, and each witness that sees it down with its words", () => {
  assert.deepEqual(
    standing(inputOf({ state: held, seen: [["down", 3_200], ["up", 40_000], "unknown"] })).evidence,
    [
      "shop/a/web: down for 3.2 s; down: w-a, w-b; no opinion or not heard: w-c",
      "shop/a/web: w-a sees it down: connection refused",
      "shop/a/web: w-b sees it down: connection refused",
      "shop/b/web: up for 40 s; up: w-a, w-b; no opinion or not heard: w-c",
      "shop/c/web: not judged by a majority; up: w-a; no opinion or not heard: w-b, w-c",
    ],
  );
});

test("explain says what would have to change", () => {
  const lines = (of: Omit<Case, "name" | "expect">) => explainMissing(inputOf(of)).join("\n");
  assert.match(
    lines({ state: held, seen: ["up", "up", "up"] }),
    /^2 of 3 witnesses have to see one required target of a down; now: shop\/a\/web 0$/,
  );
  const stuck = lines({
    state: { ...switched, mode: "hold", holdReason: "ann" },
    seen: ["down", "unknown", ["up", 1]],
  });
  assert.match(stuck, /a person has to resume the group: on hold \(ann\)/);
  assert.match(stuck, /the hold-down has to pass: 48 s to go/);
  assert.match(stuck, /a candidate is needed: site b is not judged/);
  assert.match(stuck, /a candidate is needed: site c is up for 1 ms/);
  assert.match(lines({ state: held, seen: ["down", "down", "down"] }), /some site has to be seen up/);
  assert.match(
    lines({ state: onB, group: automatic, seen: [["up", 1], "up", "up"] }),
    /for a failback: site a is up for 1 ms/,
  );
  assert.match(
    lines({ state: deciding("failover").group, seen: ["up", "up", "up"] }),
    /the running plan has to end/,
  );
});

test("a person's switchover is judged by plan, site and health, not by hold, hold-down or past failures", () => {
  const judge = (to: SiteId, of: Omit<Case, "name" | "expect">) => judgeSwitchover(inputOf(of), to);
  const all = ["up", "up", "up"] as const;
  const code = (result: ReturnType<typeof judge>) =>
    result.kind === "ok" ? `ok ${result.from ?? "-"}` : result.code;
  assert.equal(code(judge(B, { state: held, seen: all })), "ok a");
  assert.equal(code(judge(siteId("x"), { state: held, seen: all })), "unknown_site");
  assert.equal(code(judge(A, { state: held, seen: all })), "already_primary");
  assert.equal(code(judge(B, { state: held, seen: ["up", "down", "up"] })), "not_eligible");
  assert.equal(code(judge(B, { state: held, seen: ["up", "unknown", "up"] })), "not_eligible");
  assert.equal(code(judge(B, { state: held, seen: ["up", ["up", 9_999], "up"] })), "not_eligible");
  assert.equal(code(judge(C, { state: deciding("failover").group, seen: all })), "plan_running");
  assert.equal(code(judge(C, { state: owing(true), seen: all })), "plan_running");
  const hard: GroupState = { ...switched, mode: "hold", failedSites: [B] };
  assert.equal(code(judge(B, { state: hard, seen: all })), "ok a");
  // No primary yet: a person may choose.
  assert.equal(code(judge(C, { state: fresh, seen: ["unknown", "unknown", "up"] })), "ok -");
  // Repair: the ticket is there and the last switch failed, or the names point elsewhere.
  assert.equal(code(judge(B, { state: failed(true), seen: all })), "ok -");
  assert.equal(
    code(judge(A, { state: { ...held, routed: { site: B, epoch: epoch(1) } }, seen: all })),
    "ok -",
  );
});

test("durations read like a clock, not like a float", () => {
  const cases: [number, string][] = [
    [0, "0 ms"],
    [-3, "0 ms"],
    [999, "999 ms"],
    [1_000, "1 s"],
    [12_345, "12.3 s"],
    [59_999, "59.9 s"],
    [60_000, "1 min 0 s"],
    [250_000, "4 min 10 s"],
    [3_599_999, "59 min 59 s"],
    [11_520_000, "3 h 12 min"],
  ];
  for (const [ms, words] of cases) assert.equal(duration(ms), words);
});
