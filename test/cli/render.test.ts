/**
 * What people read, as golden text: a change of a word shows up here as a diff to be judged by eye.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import pc from "picocolors";
import { renderExplanation } from "../../src/cli/render-explain.js";
import { memberWarnings, renderMembers } from "../../src/cli/render-members.js";
import { renderRecords, renderWatchMessage } from "../../src/cli/render-record.js";
import { renderStatus } from "../../src/cli/render-status.js";
import { clusterWarnings, groupWarnings } from "../../src/cli/render-warnings.js";
import { instant, listed, plural, span } from "../../src/cli/render-words.js";
import { PLAIN, printable, wantsColour } from "../../src/cli/terminal.js";
import { epoch, logIndex, siteId, term } from "../../src/core/base/ids.js";
import type { GroupReport, StatusReport } from "../../src/core/model/admin.js";
import {
  EXPLANATION,
  GROUP,
  LYON,
  MEMBERS_REPORT,
  NOW_MS,
  PARIS,
  PLAN,
  record,
  STATUS,
  W1,
  W2,
  W3,
  WALL_MS,
  WITNESSES,
} from "../drivers/server/admin-samples.js";

function withGroup(group: Partial<GroupReport["group"]>, report: Partial<GroupReport> = {}): StatusReport {
  return { ...STATUS, groups: [{ ...GROUP, ...report, group: { ...GROUP.group, ...group } }] };
}

describe("status", () => {
  it("shows on one screen who is primary, why, how the switch went, and what each witness sees", () => {
    assert.equal(
      renderStatus(STATUS, PLAIN),
      `cluster acme   leader w2   term 7   answered by w1 (follower, heard of the leader 180 ms ago)   log 4711   config 3
! w3 is stale for 1 m 35 s: nothing was heard of it, all that it sees counts as unknown

GROUP shop   primary lyon   epoch 5   automatic   unfenced
  why   stay: lyon is primary and up for 2 of 3 witnesses [primary_up]
  plan  failover paris → lyon, epoch 5: done in 1.4 s, 38 s ago
        because paris is down: db is down for 2 of 3 witnesses
        precheck 10 ms · drain skipped · fence skipped · promote 310 ms · route 45 ms · verify 1.0 s · announce 5 ms
  target  verdict  w1    w2    w3
  paris   DOWN for 40 s
    web   up       up    up    stale
    db    DOWN     down  down  stale
      w1  connection refused (10.0.0.1:5432), path loses 2 %, for 41 s
      w2  no answer within 500 ms, path loses 11 %, for 40 s
  lyon    up for 10 m 00 s, primary
    web   up       up    up    stale
    db    up       up    up    stale`,
    );
  });

  it("shows a plan that fails and retries with the step, the reason and the output", () => {
    const steps = PLAN.steps.map((step) => {
      if (step.step === "route") {
        return {
          ...step,
          status: "failed" as const,
          attempt: 3,
          outcome: {
            kind: "failed" as const,
            code: "dns_refused",
            message: "ns1 refused the update",
            retriable: true,
            detail: "REFUSED\nzone example.net",
          },
        };
      }
      if (step.step === "verify")
        return { ...step, status: "begun" as const, finishedAtMs: null, outcome: null };
      return step.step === "announce"
        ? { ...step, status: "pending" as const, begunAtMs: null, finishedAtMs: null, outcome: null }
        : step;
    });
    const plan = { ...PLAN, status: "running" as const, endedAtMs: null, endReason: null, steps };
    const text = renderStatus(withGroup({ plan }), PLAIN);
    assert.ok(text.includes("plan  failover paris → lyon, epoch 5: running for 39 s\n"), text);
    assert.ok(text.includes("route ×3 failed 45 ms · verify running 39 s · announce pending\n"), text);
    assert.ok(
      text.includes("route: ns1 refused the update (dns_refused) [REFUSED zone example.net]\n"),
      text,
    );
  });

  it("tells a person who is woken once why a plan stopped, what to do, and what is wrong now", () => {
    const sentence = "www is A 10.9.9.9, expected A 10.2.0.10: put it back";
    const why = `route failed after 1 attempt [foreign_change]: ${sentence}`;
    const hold = `switchover to lyon (epoch 5) stopped: ${why}. Then resume`;
    const failure = { kind: "failed" as const, code: "foreign_change", message: sentence, retriable: false };
    const steps = PLAN.steps.map((step) => ({
      ...step,
      ...(step.step === "route"
        ? { status: "failed" as const, outcome: { ...failure, detail: `zone a at ns1: failed: ${sentence}` } }
        : {}),
    }));
    const text = renderStatus(
      withGroup(
        {
          mode: "hold",
          holdReason: hold,
          plan: { ...PLAN, status: "failed", endReason: why, reason: `a switch failed: ${sentence}`, steps },
        },
        {
          standing: {
            ...GROUP.standing,
            code: "hold_blocks",
            message: `on hold (${hold}); without it: failover`,
            noteworthy: true,
          },
        },
      ),
      PLAIN,
    );
    assert.equal(text.split(sentence).length - 1, 1, text);
    assert.ok(text.includes(`  ! on hold, nothing is decided automatically: ${hold}\n`), text);
    assert.ok(text.includes("  why   ! stay: on hold; without it: failover [hold_blocks]\n"), text);
    assert.ok(text.includes("ago: route failed after 1 attempt [foreign_change]\n"), text);
    assert.ok(text.includes("because a switch failed\n"), text);
    assert.ok(text.includes("route: zone a at ns1: failed\n"), text);
  });

  it("names who asked once, and only a person", () => {
    const of = (by: string, reason: string) =>
      renderStatus(withGroup({ plan: { ...PLAN, by, reason } }), PLAIN);
    assert.ok(of("policy", "it is down").includes("because it is down\n"));
    assert.ok(of("anna", "disk swap").includes("because disk swap (asked by anna)\n"));
    assert.ok(
      of("anna", "disk swap (asked for by anna)").includes("because disk swap (asked for by anna)\n"),
    );
  });

  it("lets no text of a stranger reach the terminal as it is", () => {
    const [first, ...rest] = WITNESSES;
    assert.ok(first !== undefined);
    const seen = first.observations["shop/paris/db"];
    assert.ok(seen !== undefined);
    const evil = {
      ...seen,
      evidence: { ...seen.evidence, text: "\u001b[2J\u001b[31mall is well\r\nup\u202e" },
    };
    const witnesses = [{ ...first, observations: { ...first.observations, "shop/paris/db": evil } }, ...rest];
    const text = renderStatus({ ...STATUS, witnesses }, PLAIN);
    assert.ok(text.includes("\\u001b[2J\\u001b[31mall is well up\\u202e"), text);
    assert.ok(!text.includes("\u001b"));
  });

  it("adds nothing but colours on a terminal", () => {
    const coloured = renderStatus(STATUS, pc.createColors(true));
    assert.ok(coloured.includes("\u001b["));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape sequences are what is removed.
    assert.equal(coloured.replace(/\u001b\[\d+m/g, ""), renderStatus(STATUS, PLAIN));
  });

  it("survives a cluster without configuration, leader or groups", () => {
    const text = renderStatus(
      {
        ...STATUS,
        raft: { ...STATUS.raft, leader: null, role: "candidate", term: term(0) },
        leaderContactAgeMs: null,
        configVersion: null,
        witnesses: [],
        groups: [],
      },
      PLAIN,
    );
    assert.ok(text.includes("NO LEADER"), text);
    assert.ok(text.includes("no group is configured"), text);
  });
});

describe("warnings", () => {
  const cases: readonly (readonly [string, StatusReport, RegExp])[] = [
    [
      "no leader",
      { ...STATUS, raft: { ...STATUS.raft, leader: null } },
      /no leader is known to w1 \(last heard of one 180 ms/,
    ],
    ["an old answer", { ...STATUS, leaderContactAgeMs: 7_000 }, /w1 last heard of the leader 7\.0 s ago/],
    ["recovering", { ...STATUS, raft: { ...STATUS.raft, recovering: true } }, /w1 lost durable log/],
    [
      "applying late",
      { ...STATUS, raft: { ...STATUS.raft, applied: logIndex(4000) } },
      /only up to 4000 of 4711/,
    ],
    ["no configuration", { ...STATUS, configVersion: null }, /no configuration is replicated/],
    ["another file", { ...STATUS, configDiffers: true }, /file of w1 differs from the replicated version 3/],
    ["a stale witness", STATUS, /w3 is stale for 1 m 35 s/],
    [
      "an abstaining witness",
      { ...STATUS, witnesses: WITNESSES.map((w) => ({ ...w, stale: false, abstaining: w.witness === W2 })) },
      /w2 abstains for/,
    ],
    [
      "a silent peer",
      {
        ...STATUS,
        raft: {
          ...STATUS.raft,
          peers: [
            { witness: W2, match: logIndex(1), active: false, state: "probe", slowMs: null, silentMs: null },
            { witness: W3, match: logIndex(1), active: true, state: "probe", slowMs: null, silentMs: 5000 },
          ],
        },
      },
      /the leader hears nothing of w2 and w3 for 5\.0 s/,
    ],
    [
      "a slow peer",
      {
        ...STATUS,
        raft: {
          ...STATUS.raft,
          peers: [{ witness: W2, match: logIndex(1), active: true, state: "", slowMs: 3200, silentMs: null }],
        },
      },
      /w2 answers, but has written nothing for 3\.2 s/,
    ],
    [
      "its own stalled disk",
      { ...STATUS, raft: { ...STATUS.raft, disk: { stalledMs: 3200 } } },
      /the disk of w1 has not finished a write for 3\.2 s: it neither votes/,
    ],
  ];
  for (const [what, status, expected] of cases) {
    it(`does not keep quiet about ${what}`, () => {
      assert.match(clusterWarnings(status).join("\n"), expected);
    });
  }

  const groups: readonly (readonly [string, Partial<GroupReport["group"]>, RegExp])[] = [
    ["a hold", { mode: "hold", holdReason: "anna: disk swap" }, /on hold.*anna: disk swap/],
    [
      "no primary",
      { ticket: { status: "revoked", site: PARIS, epoch: epoch(5), grantedAtMs: 1 } },
      /no site is primary: the ticket was taken from paris/,
    ],
    [
      "names that point elsewhere",
      { routed: { site: PARIS, epoch: epoch(4) } },
      /still point at paris \(epoch 4\), not at the primary lyon/,
    ],
    [
      "failed sites",
      { failedSites: [PARIS, LYON] },
      /paris and lyon failed to take over.*pointsman resume shop/,
    ],
  ];
  for (const [what, group, expected] of groups) {
    it(`does not keep quiet about ${what} of a group`, () => {
      assert.match(groupWarnings({ ...GROUP, group: { ...GROUP.group, ...group } }).join("\n"), expected);
    });
  }

  it("does not cry about a group that is well", () => {
    assert.deepEqual(groupWarnings(GROUP), []);
  });
});

describe("explain", () => {
  it("says why, what each witness sees with its evidence, what would have to change, and what happened", () => {
    assert.equal(
      renderExplanation(EXPLANATION, STATUS, PLAIN),
      `Group shop   primary lyon   epoch 5   automatic   unfenced   as of log 4711

Why it stays
  lyon is primary and up for 2 of 3 witnesses [primary_up]

The last plan
  failover paris → lyon, epoch 5: done in 1.4 s, 38 s ago
  because paris is down: db is down for 2 of 3 witnesses
  precheck 10 ms · drain skipped · fence skipped · promote 310 ms · route 45 ms · verify 1.0 s · announce 5 ms

What the witnesses see
  paris is down for 40 s
    web: up, say w1 and w2; nothing was heard of w3
    db: down, say w1 and w2; nothing was heard of w3
      w1: connection refused (10.0.0.1:5432), path loses 2 %
      w2: no answer within 500 ms, path loses 11 %
  lyon (primary) is up for 10 m 00 s
    web: up, say w1 and w2; nothing was heard of w3
    db: up, say w1 and w2; nothing was heard of w3

What would have to change
  - lyon would have to be down for 2 of 3 witnesses
  - paris would have to be up and stable for 60 s to be eligible

Latest records (all, with evidence: pointsman history shop --details)
  2026-07-02 03:03:29Z  #4702.0  shop  e5  decision   failover paris → lyon, epoch 5: paris is down
  2026-07-02 03:03:29Z  #4709.0  shop  e5  plan_done  plan of epoch 5 is done`,
    );
  });

  it("answers without the status, too", () => {
    const text = renderExplanation(EXPLANATION, null, PLAIN);
    assert.ok(text.includes("db: down, say w1 and w2; w3 does not know\n      w1: connection refused"), text);
  });

  it("says that there is no majority when there is none", () => {
    const site = GROUP.sites[0];
    const target = site?.targets[1];
    assert.ok(site !== undefined && target !== undefined);
    const unsure = { ...target, verdict: "unknown" as const, down: [W1], unknown: [W2, W3] };
    const report = { ...GROUP, sites: [{ ...site, verdict: "unknown" as const, targets: [unsure] }] };
    const text = renderExplanation({ ...EXPLANATION, report }, STATUS, PLAIN);
    assert.ok(
      text.includes("db: down, says w1; w2 does not know yet; nothing was heard of w3: no majority"),
      text,
    );
  });
});

describe("records and events", () => {
  it("shows a table, and details only when asked", () => {
    const records = [record(9, 0), { ...record(10, 1, null), kind: "witness" as const, step: null }];
    assert.deepEqual(renderRecords(records, { details: false, paint: PLAIN }), [
      "2026-07-02 03:03:25Z  #9.0   shop  e5  step_begun  record 9.0",
      "2026-07-02 03:03:25Z  #10.1  -     -   witness     record 10.1",
    ]);
    assert.equal(renderRecords(records, { details: true, paint: PLAIN }).length, 6);
  });

  it("has a line for every kind of event but the start", () => {
    const line = (message: Parameters<typeof renderWatchMessage>[0]) =>
      renderWatchMessage(message, { details: false, paint: PLAIN, nowWallMs: WALL_MS });
    assert.equal(line({ kind: "started", afterIndex: 1, afterSeq: null, truncatedBeforeIndex: null }), null);
    assert.equal(
      line({ kind: "role", term: term(8), role: "leader", leader: W2 }),
      "2026-07-02 03:04:05Z  -  role  this witness is leader in term 8, leader w2",
    );
    assert.equal(
      line({ kind: "routed", group: "shop", site: siteId("lyon") }),
      "2026-07-02 03:04:05Z  -  routed  the names of shop point at lyon",
    );
    assert.equal(
      line({ kind: "warning", code: "stalled", message: "stood still\nfor 4 s" }),
      "2026-07-02 03:04:05Z  -  warning  stood still for 4 s [stalled]",
    );
  });
});

describe("words", () => {
  it("names spans so that the unit fits the size", () => {
    const spans = [-5, 0, 999, 1_000, 1_449, 9_999, 10_000, 59_999, 60_000, 3_599_000, 3_600_000, 90_000_000];
    assert.deepEqual(spans.map(span), [
      "0 ms",
      "0 ms",
      "999 ms",
      "1.0 s",
      "1.4 s",
      "9.9 s",
      "10 s",
      "59 s",
      "1 m 00 s",
      "59 m 59 s",
      "1 h 00 m",
      "1 d 1 h",
    ]);
    assert.equal(instant(Number.NaN), "(no time)");
    assert.equal(listed(["a", "b", "c"]), "a, b and c");
    assert.equal(plural(1, "witness", "witnesses"), "1 witness");
  });

  it("keeps every number, null and key while it cleans strings", () => {
    assert.deepEqual(printable({ a: [1, null, true, "x\u0007y"], "k\u0000": "a\n b" }), {
      a: [1, null, true, "x\\u0007y"],
      "k\\u0000": "a b",
    });
  });

  it("colours only where a person looks and nobody objects", () => {
    assert.equal(wantsColour(true, {}), true);
    assert.equal(wantsColour(false, {}), false);
    assert.equal(wantsColour(true, { NO_COLOR: "1" }), false);
    // The rule says: present and not empty.
    assert.equal(wantsColour(true, { NO_COLOR: "" }), true);
    assert.equal(wantsColour(true, { TERM: "dumb" }), false);
  });

  it("shows times as ages of the report, not of the reader's clock", () => {
    const later = { ...STATUS, clusterTimeMs: NOW_MS + 3_600_000 };
    assert.ok(renderStatus(later, PLAIN).includes("DOWN for 1 h 00 m"));
  });
});

describe("members", () => {
  it("shows who takes part, how far each one is, and what to do about it", () => {
    assert.equal(
      renderMembers(MEMBERS_REPORT, PLAIN),
      `leader w2   3 voters, 1 learner   answered by w2   log 4712
! w3 (node 3) is refused (other_disk): another disk speaks under its name
! w3 (node 4) shall take the place of node 3 for 1 m 00 s: by itself, when it has caught up; to call it off: pointsman members remove w3

witness  node  role                site  disk       log                       peers
w1       1     voter               lyon  bound      12 entries to go          10.1.0.1:7400, 10.9.0.1:7400
w2       2     voter               lyon  bound      leads                     10.1.0.2:7400, 10.9.0.2:7400
w3       3     voter               lyon  bound      REFUSED: other_disk       10.1.0.3:7400, 10.9.0.3:7400
w3       4     learner for node 3  -     not bound  snapshot 25 % of 52.0 MB  10.1.0.4:7400, 10.9.0.4:7400`,
    );
  });

  it("shows a learner by itself in the status, with the command that lets it vote", () => {
    const [last] = MEMBERS_REPORT.members.slice(-1);
    assert.ok(last !== undefined);
    const learner = { ...last, member: { ...last.member, replaces: null } };
    const warnings = clusterWarnings({ ...STATUS, members: [...STATUS.members, learner] });
    assert.ok(
      warnings.some((line) => /w3 \(node 4\) is a learner for .*: pointsman members promote w3/.test(line)),
    );
    assert.deepEqual(memberWarnings(STATUS.members, NOW_MS), []);
    const refused = MEMBERS_REPORT.members.slice(2, 3);
    assert.match(memberWarnings(refused, NOW_MS).join(), /if its disk is lost: pointsman members replace w3/);
  });

  it("says so when nobody leads, and when no document is replicated", () => {
    const lost = { ...MEMBERS_REPORT, witness: W1, leader: null, leaderNode: null };
    assert.match(renderMembers(lost, PLAIN), /^NO LEADER .*answered by w1[\s\S]*only the leader knows\n/);
    assert.match(renderMembers({ ...lost, members: [] }, PLAIN), /no configuration is replicated yet/);
  });
});
