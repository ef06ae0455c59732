/**
 * Silence of a whole host: targets that fall silent together are judged together, and never too soon.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HostRun } from "../../../src/core/health/host-run.js";
import { Neighbours } from "../../../src/core/health/neighbours.js";

describe("neighbours on the same host", () => {
  /** `web` is silent since 1000; results of others are `time:target` with `!` for silence. */
  function floorOf(results: string): number {
    const neighbours = new Neighbours();
    for (const word of results.split(" ").filter((each) => each !== "")) {
      const [time, target] = word.replace("!", "").split(":");
      neighbours.note(`shop/a/${target}`, Number(time), word.endsWith("!"));
    }
    return neighbours.floor("shop/a/web", 1000);
  }

  test("that answer while others of them are silent show how lossy the path is now", () => {
    const half = floorOf("1000:db! 1010:api 1100:db 1110:api! 1200:db! 1210:api");
    assert.ok(half > 0.4 && half < 0.7, `${half}`);
    const most = floorOf("1000:db! 1010:api! 1100:db! 1110:api! 1200:db! 1210:api");
    assert.ok(most > 0.7, `${most}`);
  });

  test("that all answer give no excuse to a hung service", () => {
    assert.equal(floorOf("1000:db 1010:api 1100:db 1110:api"), 0);
  });

  test("that are all silent give no excuse to a dead host", () => {
    assert.equal(floorOf("1000:db! 1010:api! 1100:db! 1110:api!"), 0);
  });

  test("are not heard about the time before the silence, nor after their own last answer, nor about the target itself", () => {
    assert.equal(floorOf("900:db! 910:api 990:db! 1000:api 1100:db"), 0, "before");
    const died = floorOf("1000:db! 1010:api 1100:db! 1110:api! 1200:db! 1210:api! 1300:db! 1310:api!");
    assert.equal(died, floorOf("1000:db! 1010:api"), "after the last answer");
    assert.equal(floorOf("1000:web! 1100:web! 1110:web"), 0, "itself");
  });
});

describe("a whole host", () => {
  /** A host whose targets answered in half of the probes. */
  function lossy(): HostRun {
    const host = new HostRun();
    for (let i = 0; i < 1000; i++) {
      if ((i * 7919) % 13 < 6) host.onSilence();
      else host.onAnswer(true);
    }
    host.onAnswer(true);
    return host;
  }

  function silent(host: HostRun, probes: number): HostRun {
    for (let i = 0; i < probes; i++) host.onSilence();
    return host;
  }

  test("counts the silences of all its targets, but not before one of them has been silent for long enough alone", () => {
    const host = silent(lossy(), 60);
    assert.ok(host.chance(20, 1e-6) < 1e-6);
    assert.equal(host.chance(7, 1e-6), 1, "seven of one target are too few");
    assert.equal(host.chance(60, 1e-6), 1, "a single target has no others to count");
  });

  test("that was dead teaches nothing, one that was merely silent does", () => {
    const before = silent(lossy(), 30).chance(10, 1e-6);
    const dead = silent(lossy(), 30);
    dead.onCalled();
    silent(dead, 200);
    dead.onAnswer(true);
    assert.ok(Math.abs(silent(dead, 30).chance(10, 1e-6) / before - 1) < 1e-9);
    const alive = silent(lossy(), 30);
    alive.onAnswer(true);
    assert.ok(silent(alive, 30).chance(10, 1e-6) > 10 * before);
  });

  test("starts its count again after the witness was blind", () => {
    const host = silent(lossy(), 60);
    host.forget();
    assert.equal(host.length, 0);
  });
});
