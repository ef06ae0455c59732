/**
 * The leader's hand: what it proposes from views, verdicts and plans, and what it leaves alone.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { epoch, logIndex, siteId, term, witnessId } from "../../../src/core/base/ids.js";
import { apply } from "../../../src/core/model/apply.js";
import type { Command } from "../../../src/core/model/command.js";
import { EMPTY_STATE, type State, type StepKey } from "../../../src/core/model/state.js";
import { Conductor } from "../../../src/core/witness/conductor.js";
import type { Effect } from "../../../src/core/witness/contract.js";
import { Views } from "../../../src/core/witness/views.js";
import { twoSites } from "../../sim/two-sites.js";

const [ME, OTHER] = [witnessId("w-a"), witnessId("w-b")];
const TERM = term(3);
const PROMOTE: StepKey = { group: "shop", epoch: epoch(1), step: "promote", attempt: 1 };

/** A conductor over a log that takes everything at once; the plan's promote was begun by `by` at cluster time 0. */
function stage(by = ME) {
  let state: State = EMPTY_STATE;
  const said: string[] = [];
  const write = (command: Command, atMs = 0): void => {
    const at = { index: logIndex(state.appliedIndex + 1), term: TERM };
    const applied = apply(state, at, { atMs, wallMs: 0, leader: OTHER, request: null, command });
    assert.ok(applied.accepted, applied.reason);
    state = applied.state;
  };
  const config = twoSites();
  write({ kind: "configure", config, hash: "h" });
  const to = siteId("a");
  const decision = { from: null, to, reason: "", evidence: [], by: "policy", steps: ["promote"] } as const;
  write({ kind: "decide", group: "shop", epoch: epoch(1), plan: "initial", ...decision });
  write({ kind: "grant", group: "shop", epoch: epoch(1), site: to });
  write({ kind: "begin", key: PROMOTE, leader: by });
  const conductor = new Conductor(
    {
      self: ME,
      propose: (_key, command) => void (command.kind === "stale" || said.push(command.kind)),
      busy: () => false,
      effect: (effect: Effect) => void said.push(effect.kind),
    },
    { config, hash: "h" },
  );
  const conduct = (monoMs: number, nowMs: number): string[] => {
    said.length = 0;
    conductor.conduct(state, new Views(), { monoMs, nowMs });
    return [...said];
  };
  return { conductor, conduct, write };
}

const OK = { kind: "done", code: "ok", message: "", retriable: false, detail: "" } as const;

test("a step that another began is waited for by this leader's own clock, though cluster time leaps", () => {
  const { conductor, conduct } = stage(OTHER);
  conductor.begin({ monoMs: 100, nowMs: 0 });
  assert.deepEqual(conduct(150, 60_000), []);
  assert.deepEqual(conduct(699, 61_000), []);
  assert.deepEqual(conduct(700, 61_000), ["begin"]);
});

test("only a begin that this leadership wrote lets it run the step, and only once", () => {
  for (const [leader, entryTerm, runs] of [
    [ME, TERM, true],
    [OTHER, TERM, false],
    [ME, term(2), false],
  ] as const) {
    const { conductor, conduct } = stage(leader);
    conductor.begin({ monoMs: 0, nowMs: 0 });
    conductor.onBegun(PROMOTE, leader, entryTerm, TERM);
    assert.deepEqual(conduct(10, 10), runs ? ["actuate"] : []);
    assert.deepEqual(conduct(20, 20), []);
  }
});

test("an outcome counts for the attempt that runs, in the leadership that began it", () => {
  const { conductor, conduct } = stage();
  conductor.begin({ monoMs: 0, nowMs: 0 });
  conductor.onBegun(PROMOTE, ME, TERM, TERM);
  assert.deepEqual(conduct(10, 10), ["actuate"]);
  conductor.onActuated({ ...PROMOTE, attempt: 2 }, OK);
  assert.deepEqual(conduct(20, 20), [], "another attempt's");
  conductor.onActuated(PROMOTE, OK);
  assert.deepEqual(conduct(30, 30), ["finish"]);
});

test("a leadership that ends cancels what it runs, and takes no outcome of it any more", () => {
  const { conductor, conduct } = stage();
  conductor.begin({ monoMs: 0, nowMs: 0 });
  conductor.onBegun(PROMOTE, ME, TERM, TERM);
  conduct(10, 10);
  conductor.end();
  assert.deepEqual(conduct(20, 20), []);
  conductor.begin({ monoMs: 30, nowMs: 30 });
  conductor.onActuated(PROMOTE, OK);
  assert.deepEqual(conduct(40, 40), []);
});

test("the outcome of a step that was given up does not end the attempt after it", () => {
  const { conductor, conduct, write } = stage();
  conductor.begin({ monoMs: 0, nowMs: 0 });
  conductor.onBegun(PROMOTE, ME, TERM, TERM);
  conduct(10, 10);
  assert.deepEqual(conduct(9_000, 9_000), ["cancel", "finish"]);
  const outcome = { ...OK, kind: "unknown", code: "deadline", retriable: true } as const;
  write({ kind: "finish", key: PROMOTE, outcome, next: false }, 9_000);
  conductor.onActuated(PROMOTE, OK);
  assert.deepEqual(conduct(20_000, 20_000), ["begin"]);
  const again = { ...PROMOTE, attempt: 2 };
  write({ kind: "begin", key: again, leader: ME }, 20_000);
  conductor.onBegun(again, ME, TERM, TERM);
  assert.deepEqual(conduct(20_010, 20_010), ["actuate"]);
});
