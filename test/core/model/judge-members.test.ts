/** What a leader says to a request that changes the members. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, type NodeId, nodeId, siteId, witnessId } from "../../../src/core/base/ids.js";
import type { MemberProgress, MemberWrite } from "../../../src/core/model/admin.js";
import {
  isCaughtUp,
  judgeMemberWrite,
  type LeaderView,
  promotionDue,
} from "../../../src/core/model/judge-members.js";
import { EMPTY_STATE } from "../../../src/core/model/state.js";
import { type Log, started } from "./fixture.js";

const FULL: MemberProgress = {
  match: logIndex(5_000),
  active: true,
  state: "StateReplicate",
  snapshot: null,
  refused: null,
};
const DEAD: MemberProgress = { ...FULL, match: logIndex(40), active: false, state: "StateProbe" };

/** Node 1 leads; who is not named is alive and has the log. */
function view(
  progress: Readonly<Record<number, Partial<MemberProgress>>> = {},
  changeRunning = false,
): LeaderView {
  const known = new Map<NodeId, MemberProgress>();
  for (const node of [2, 3, 4, 5]) known.set(nodeId(node), { ...FULL, ...progress[node] });
  return { node: nodeId(1), lastIndex: logIndex(5_010), changeRunning, progress: known };
}

function addition(
  id = "w-d",
  peers: readonly string[] = ["10.0.3.1:7000"],
): Extract<MemberWrite, { kind: "member_add" }> {
  return {
    kind: "member_add",
    witness: witnessId(id),
    site: null,
    peers,
    admin: "10.0.3.1:7001",
    dns: null,
    by: "ann",
  };
}

function promotion(id: string): MemberWrite {
  return { kind: "member_promote", witness: witnessId(id), by: "ann" };
}

function removal(id: string, force = false): MemberWrite {
  return { kind: "member_remove", witness: witnessId(id), force, by: "ann" };
}

function replacement(
  id: string,
  change: Partial<Extract<MemberWrite, { kind: "member_replace" }>> = {},
): MemberWrite {
  return {
    kind: "member_replace",
    witness: witnessId(id),
    successor: null,
    site: null,
    peers: [],
    admin: null,
    dns: null,
    force: false,
    by: "ann",
    ...change,
  };
}

/** The write is refused with that code and such a sentence. */
function refuses(log: Log, leader: LeaderView, write: MemberWrite, code: string, message: RegExp): void {
  const judged = judgeMemberWrite(log.state, leader, write);
  assert.ok(judged.kind === "refused", `${write.kind} became ${JSON.stringify(judged)}`);
  assert.equal(judged.code, code);
  assert.match(judged.message, message);
}

/** The write becomes a command that apply accepts. */
function takes(log: Log, leader: LeaderView, write: MemberWrite): void {
  const judged = judgeMemberWrite(log.state, leader, write);
  assert.ok(judged.kind !== "refused", JSON.stringify(judged));
  log.must(judged);
}

function bound(log: Log, node: number): void {
  log.must({ kind: "member_bind", node: nodeId(node), disk: `disk-${node}` });
}

test("nothing is changed before a document is replicated, nor while an earlier change runs", () => {
  const judged = judgeMemberWrite(EMPTY_STATE, view(), addition());
  assert.equal(judged.kind === "refused" && judged.code, "not_ready");
  for (const write of [addition(), promotion("w-d"), removal("w-c"), replacement("w-c")])
    refuses(started(), view({}, true), write, "change_running", /earlier change .* not finished/);
});

test("add: a name or an address that is taken is refused with what to do instead", () => {
  const log = started();
  refuses(log, view(), addition("w-c"), "member_exists", /it votes; .*`pointsman members replace w-c`/);
  refuses(log, view(), addition("w-d", ["10.0.1.1:7000"]), "member_exists", /peer address of w-b \(node 2\)/);
  refuses(log, view(), { ...addition(), site: siteId("mars") }, "unknown_site", /no site mars .* a, b, c/);
  takes(log, view(), addition());
  refuses(log, view(), addition(), "member_exists", /it is a learner; `pointsman members promote w-d`/);
});

test("promote: only a learner that has the log, is alive, and has said on which disk it lives", () => {
  const log = started();
  takes(log, view(), addition());
  refuses(log, view(), promotion("w-x"), "unknown_witness", /there are: w-a, w-b, w-c, w-d/);
  refuses(log, view(), promotion("w-b"), "not_learner", /votes already/);
  refuses(
    log,
    view({ 4: DEAD }),
    promotion("w-d"),
    "not_caught_up",
    /not heard of: start it .* 10\.0\.3\.1:7000/,
  );
  refuses(
    log,
    view({ 4: { match: logIndex(10) } }),
    promotion("w-d"),
    "not_caught_up",
    /10 of 5010 .* 5000 are missing/,
  );
  refuses(log, view({ 4: { refused: "other_disk" } }), promotion("w-d"), "not_caught_up", /other_disk/);
  refuses(log, view(), promotion("w-d"), "not_caught_up", /on which disk it lives/);
  bound(log, 4);
  takes(log, view(), promotion("w-d"));
});

test("a member has caught up when only what is on its way is missing, and never by a short log alone", () => {
  const last = logIndex(5_010);
  assert.ok(isCaughtUp(FULL, last));
  assert.ok(isCaughtUp({ ...FULL, match: logIndex(4_010) }, last));
  for (const change of [
    { match: logIndex(4_009) },
    { active: false },
    { state: "StateSnapshot" },
    { state: "StateProbe" },
    { refused: "other_disk" },
  ])
    assert.ok(!isCaughtUp({ ...FULL, ...change }, last), JSON.stringify(change));
  assert.ok(!isCaughtUp({ ...FULL, match: logIndex(0) }, logIndex(28)), "it has nothing yet");
  assert.ok(!isCaughtUp(null, last));
});

test("remove: not the last voter, and not into a cluster that cannot decide", () => {
  const log = started();
  refuses(log, view(), removal("w-x"), "unknown_witness", /w-x/);
  refuses(
    log,
    view({ 3: DEAD }),
    removal("w-b"),
    "would_lose_quorum",
    /without w-b, 2 of 2 voters are needed and w-c is not heard of: .* --force/,
  );
  const judged = judgeMemberWrite(log.state, view({ 3: DEAD }), removal("w-b", true));
  assert.equal(judged.kind, "member_remove", "--force");
  takes(log, view({ 3: DEAD }), removal("w-c"));
  takes(log, view(), removal("w-b"));
  refuses(log, view(), removal("w-a", true), "last_voter", /w-a \(node 1\) is the last voter/);
});

test("replace: a dead witness at its own address or at another one, and its place is taken when that is ready", () => {
  const log = started();
  const dead = { 3: DEAD };
  takes(log, view(dead), replacement("w-c", { peers: ["10.0.9.1:7400"] }));
  const joined = log.state.members[3];
  assert.deepEqual(joined?.peers, ["10.0.9.1:7400"]);
  assert.equal(joined?.admin, "10.0.9.1:7001", "beside its new address, on the port that it had");
  assert.equal(promotionDue(log.state, view(dead), "w-a"), null, "not bound");
  bound(log, 4);
  assert.equal(
    promotionDue(log.state, view({ ...dead, 4: { match: logIndex(7) } }), "w-a"),
    null,
    "not caught up",
  );
  assert.equal(promotionDue(log.state, view(dead, true), "w-a"), null, "a change runs");
  const due = promotionDue(log.state, view(dead), "w-a");
  assert.deepEqual(due, { kind: "member_promote", node: 4, by: "w-a" });
  log.must({ kind: "member_promote", node: nodeId(4), by: "w-a" });
  assert.equal(promotionDue(log.state, view(), "w-a"), null);

  takes(log, view({ 4: DEAD }), replacement("w-c"));
  assert.deepEqual(log.state.members.at(-1)?.peers, ["10.0.9.1:7400"], "what is not said stays");
});

test("replace: a plain learner is never promoted without being asked for", () => {
  const log = started();
  takes(log, view(), addition());
  bound(log, 4);
  assert.equal(promotionDue(log.state, view(), "w-a"), null);
});

test("replace: what lives is not silenced by mistake, and what is under way is not begun twice", () => {
  const log = started();
  refuses(log, view(), replacement("w-x"), "unknown_witness", /w-x/);
  refuses(log, view(), replacement("w-b"), "member_active", /is alive: .* stop it first .*--force/);
  refuses(log, view(), replacement("w-a"), "member_active", /w-a \(node 1\) leads/);
  refuses(
    log,
    view({ 2: DEAD, 3: DEAD }),
    replacement("w-c"),
    "would_lose_quorum",
    /only 1 of 3 .* 2 are needed/,
  );
  const refused = { 3: { refused: "other_disk" } };
  takes(log, view(refused), replacement("w-c"));
  refuses(
    log,
    view(refused),
    replacement("w-c"),
    "change_running",
    /w-c \(node 3\) is being replaced by w-c \(node 4\)/,
  );
  takes(log, view(refused), removal("w-c"));
  assert.equal(log.state.members.length, 3, "called off");
  takes(log, view(), replacement("w-c", { force: true }));
});

test("replace: under another name the old one may live, and needs its own address", () => {
  const log = started();
  const successor = witnessId("w-d");
  refuses(log, view(), replacement("w-a", { successor }), "invalid", /peers is empty: .*--peers/);
  refuses(
    log,
    view(),
    replacement("w-a", { successor: witnessId("w-b"), peers: ["h:1"] }),
    "member_exists",
    /w-b \(node 2\) takes part already/,
  );
  takes(log, view(), replacement("w-a", { successor, peers: ["10.0.3.1:7000"] }));
  refuses(log, view(), replacement("w-d"), "change_running", /w-a \(node 1\) is being replaced by w-d/);
  refuses(log, view(), removal("w-a"), "change_running", /call it off: `pointsman members remove w-d`/);
  bound(log, 4);
  takes(log, view(), promotion("w-d"));
  assert.deepEqual(
    log.state.config?.witnesses.map(({ id }) => id),
    ["w-d", "w-b", "w-c"],
  );
});

test("replace: a learner holds nothing up and is removed instead", () => {
  const log = started();
  takes(log, view(), addition());
  refuses(log, view(), replacement("w-d"), "invalid", /`pointsman members remove w-d`, then add it again/);
});
