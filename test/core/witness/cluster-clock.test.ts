/**
 * Cluster time: it only grows, whoever leads and whatever the wall clocks do.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterClock } from "../../../src/core/witness/cluster-clock.js";

test("cluster time is the last stamp plus the monotonic time since it was learnt, and never runs back", () => {
  const clock = new ClusterClock();
  const now = (monoMs: number) => (): number => clock.now(monoMs);
  const issue = (monoMs: number) => (): number => clock.issue(monoMs);
  const learn = (stampMs: number, monoMs: number, own: boolean) => (): number => {
    clock.onEntry(stampMs, monoMs, own);
    return clock.now(monoMs);
  };
  const steps: readonly (readonly [string, () => number, number])[] = [
    ["counts from its own start before any entry", now(40), 40],
    ["takes a peer's stamp", learn(1000, 50, false), 1000],
    ["goes on by its own clock", now(250.9), 1200],
    ["does not care for a stamp of the past", learn(900, 260, false), 1210],
    ["follows a peer that is ahead", learn(5000, 300, false), 5000],
    ["issues what it believes", issue(400), 5100],
    ["is not slowed by its own stamps, which come back a commit later", learn(5100, 450, true), 5150],
    ["stands rather than runs back when the monotonic clock does", now(100), 5100],
    ["issues nothing before what it issued", issue(100), 5100],
  ];
  for (const [name, run, expected] of steps) assert.equal(run(), expected, name);
});
