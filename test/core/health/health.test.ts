/**
 * The detector: when a witness changes its mind about a target, and when it distrusts itself.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Bench, configOf, failed, ok, refused, silence, targetOf } from "./fixture.js";

const one = configOf({ a: [targetOf("web")] });

describe("fall and rise", () => {
  test("nothing is known before the first settled opinion", () => {
    const bench = new Bench(one);
    assert.equal(bench.seen().opinion, "unknown");
    assert.equal(bench.seen().evidence.kind, "start");
    bench.feed(ok);
    assert.equal(bench.seen().opinion, "unknown", "one success of two is not up");
    bench.feed(ok);
    assert.equal(bench.seen().opinion, "up");
    assert.equal(bench.seen().evidence.rttMs, 12);
  });

  test("fall definite failures in a row mean down, one fewer does not", () => {
    const bench = new Bench(one);
    bench.feed(ok, ok, refused, refused);
    assert.equal(bench.seen().opinion, "up");
    assert.match(bench.seen().evidence.text, /2 of 3 failures that take it down \(connection refused/);
    bench.feed(refused);
    assert.equal(bench.seen().opinion, "down");
    assert.deepEqual(bench.seen().evidence.kind, "definite");
    assert.equal(bench.seen().evidence.text, "connection refused by 10.1.0.10:9000, 3 in a row");
  });

  test("a success in between starts the count of failures again, silence does not", () => {
    const bench = new Bench(one);
    bench.feed(ok, ok, refused, refused, ok, refused, refused);
    assert.equal(bench.seen().opinion, "up");
    bench.feed(silence, silence, refused);
    assert.equal(bench.seen().opinion, "down");
  });

  test("a failure in between starts the count of successes again, silence does not", () => {
    const bench = new Bench(one);
    bench.feed(refused, refused, refused, ok, refused, ok);
    assert.equal(bench.seen().opinion, "down");
    bench.feed(silence, ok);
    assert.equal(bench.seen().opinion, "up");
  });

  test("a witness that cannot probe knows nothing, and does not call the target down", () => {
    const bench = new Bench(one);
    bench.feed(ok, ok, failed, failed);
    assert.equal(bench.seen().opinion, "up");
    bench.feed(failed);
    assert.equal(bench.seen().opinion, "unknown");
    assert.match(bench.seen().evidence.text, /cannot probe: out of sockets \(EMFILE\), 3 in a row/);
    bench.feed(ok);
    assert.equal(bench.seen().opinion, "up");
  });
});

describe("silence", () => {
  const many = (result: typeof ok, count: number) => Array.from({ length: count }, () => result);

  test("a clean line notices a dead host within a handful of probes, and says why in plain words", () => {
    const bench = new Bench(one);
    bench.feed(...many(ok, 300), ...many(silence, 5));
    assert.equal(bench.seen().opinion, "up");
    assert.match(
      bench.seen().evidence.text,
      /since then 5 silences in a row of 7 that mean down \(connect timed out\)/,
    );
    bench.feed(silence, silence);
    const { opinion, evidence } = bench.seen();
    assert.equal(opinion, "down");
    assert.equal(evidence.kind, "ambiguous");
    assert.ok((evidence.falseAlarm ?? 1) < 1e-6);
    assert.match(
      evidence.text,
      /^no answer for 6\d\d ms: 7 silences in a row \(connect timed out\), a healthy target on this path \(no loss\) does that at most once in \de6$/,
    );
  });

  test("a killed service is seen in fall delivered refusals, however many probes the line eats between", () => {
    const bench = new Bench(one);
    const lossy = [ok, silence, silence, ok, silence, ok, silence, silence, silence];
    bench.feed(...Array.from({ length: 40 }, () => lossy).flat());
    assert.equal(bench.seen().opinion, "up");
    bench.feed(refused, silence, silence, refused, silence, silence, refused);
    assert.equal(bench.seen().opinion, "down");
    assert.equal(bench.seen().evidence.kind, "definite");
  });

  test("silence after the target itself said no keeps the target's own word", () => {
    const bench = new Bench(one);
    bench.feed(...many(ok, 300), ...many(refused, 3), ...many(silence, 10));
    assert.equal(bench.seen().opinion, "down");
    assert.equal(bench.seen().evidence.kind, "definite");
    assert.match(bench.seen().evidence.text, /connection refused .*; since then 10 silences/);
  });

  test("a refusal after silence becomes the evidence, and fall silences are the least", () => {
    const bench = new Bench(configOf({ a: [targetOf("web", { fall: 12 })] }));
    bench.feed(...many(ok, 300), ...many(silence, 11));
    assert.equal(bench.seen().opinion, "up");
    bench.feed(silence);
    assert.equal(bench.seen().opinion, "down");
    bench.feed(...many(refused, 12));
    assert.equal(bench.seen().evidence.kind, "definite");
  });

  test("when everything falls silent at once the evidence points at this witness's own network", () => {
    const probe = { kind: "tcp", host: "10.2.0.10", port: 80 } as const;
    const bench = new Bench(configOf({ a: [targetOf("web")], b: [targetOf("web", { probe })] }));
    bench.run(30_000);
    bench.answer = (order) => ({ result: order.target === "shop/a/web" ? silence : ok, delayMs: 5 });
    bench.run(1000);
    assert.equal(bench.seen().opinion, "down");
    assert.doesNotMatch(bench.seen().evidence.text, /own network/);
    bench.answer = () => ({ result: silence, delayMs: 5 });
    bench.run(200);
    assert.match(
      bench.seen().evidence.text,
      /every other target is silent too, so this witness's own network/,
    );
  });

  test("a dead host does not make its path lossy, and answers of its neighbours are not silence", () => {
    const bench = new Bench(one);
    bench.feed(...many(ok, 300), ...many(silence, 200), refused, ok, ok);
    assert.equal(bench.seen().opinion, "up");
    assert.equal(bench.seen().evidence.loss, 0);
  });

  test("after a death by silence a single answer is not yet up", () => {
    const bench = new Bench(one);
    bench.feed(...many(ok, 300), ...many(silence, 10), ok);
    assert.equal(bench.seen().opinion, "down");
    assert.match(bench.seen().evidence.text, /since then 1 of 2 answers that bring it up/);
    bench.feed(ok);
    assert.equal(bench.seen().opinion, "up");
  });
});

describe("schedule", () => {
  test("targets start at different moments of the interval, then keep a steady pace", () => {
    const targets = Array.from({ length: 8 }, (_, i) => targetOf(`t${i}`, { intervalMs: 1000 }));
    const bench = new Bench(configOf({ a: targets }));
    bench.run(10_000);
    const starts = targets.map(({ id }) =>
      bench.orders.filter((order) => order.target === `shop/a/${id}`).map((order) => order.atMs),
    );
    const first = starts.map((list) => list[0] ?? 0);
    assert.ok(Math.max(...first) - Math.min(...first) > 300, `all start within ${first}`);
    assert.ok(Math.max(...first) - 1_000_000 <= 1010);
    for (const list of starts) {
      assert.ok(list.length === 10 || list.length === 9);
      for (const [i, atMs] of list.entries()) if (i > 0) assert.equal(atMs - (list[i - 1] ?? 0), 1000);
    }
  });

  test("the pace does not drift when ticks do not fit the interval, and missed probes are not made up for", () => {
    const bench = new Bench(one);
    for (let i = 0; i < 1000; i++) bench.tick(30);
    assert.ok(Math.abs(bench.orders.length - 300) <= 2, `${bench.orders.length} probes in 30 s`);
    const before = bench.orders.length;
    bench.tick(400);
    bench.tick(10);
    assert.ok(bench.orders.length - before <= 2, "a volley");
  });

  test("two probes of one target never overlap; the next starts when a slow one ends", () => {
    const bench = new Bench(one);
    bench.answer = () => ({ result: silence, delayMs: 250 });
    bench.run(3000);
    const gaps = bench.orders.map((order, i) => order.atMs - (bench.orders[i - 1]?.atMs ?? 0)).slice(1);
    assert.ok(
      gaps.every((gap) => gap >= 250 && gap <= 350),
      `${gaps}`,
    );
    assert.equal(new Set(bench.orders.map((order) => order.probe)).size, bench.orders.length);
  });

  test("a probe that the driver forgot is given up as our own fault, and its late result ignored", () => {
    const bench = new Bench(configOf({ a: [targetOf("web", { fall: 1 })] }));
    bench.feed(ok, ok);
    bench.answer = () => undefined;
    bench.run(6000);
    assert.equal(bench.seen().opinion, "unknown");
    assert.match(
      bench.seen().evidence.text,
      /the probe brought no result in \d+ ms, though its timeout is 80 ms/,
    );
    const [lost, current] = bench.orders.slice(-2);
    assert.ok(lost && current);
    assert.equal(bench.detector.onProbed("shop/a/web", lost.probe, refused, bench.nowMs), false);
    assert.equal(bench.detector.onProbed("shop/a/web", current.probe, refused, bench.nowMs), true);
    assert.equal(bench.detector.onProbed("shop/a/web", current.probe, ok, bench.nowMs), false, "twice");
    assert.equal(bench.detector.onProbed("shop/z/none", 1, ok, bench.nowMs), false, "no such target");
  });
});

describe("stall of the witness itself", () => {
  test("it abstains at once, forgets what ran, and one agreeing result brings each opinion back", () => {
    const bench = new Bench(configOf({ a: [targetOf("web"), targetOf("db")] }));
    bench.run(5000);
    assert.equal(bench.detector.view().abstaining, false);
    assert.equal(bench.seen().opinion, "up");
    bench.detector.takeChanged();
    bench.answer = () => undefined;
    assert.equal(bench.tick(3000).stalled, true);
    assert.equal(bench.detector.takeChanged(), true);
    const view = bench.detector.view();
    assert.equal(view.abstaining, true);
    for (const { opinion, evidence } of view.observations) {
      assert.equal(opinion, "unknown");
      assert.equal(evidence.kind, "stall");
    }
    assert.equal(bench.tick(10).stalled, false);
    const probeOf = (target: string) => bench.orders.findLast((order) => order.target === target)?.probe ?? 0;
    bench.run(200);
    bench.detector.onProbed("shop/a/web", probeOf("shop/a/web"), ok, bench.nowMs);
    assert.equal(bench.detector.view().abstaining, true, "db has brought nothing yet");
    assert.equal(bench.seen().opinion, "unknown");
    bench.detector.onProbed("shop/a/db", probeOf("shop/a/db"), silence, bench.nowMs);
    assert.equal(bench.detector.view().abstaining, false);
    assert.equal(bench.seen("shop/a/web").opinion, "up");
    assert.equal(bench.seen("shop/a/db").opinion, "unknown", "silence confirms nothing");
    assert.match(bench.seen("shop/a/db").evidence.text, /itself stopped for 3 s/);
  });

  test("results of probes from before the stall are discarded, even when they come before the tick", () => {
    const bench = new Bench(configOf({ a: [targetOf("web", { fall: 1 })] }));
    bench.run(1000);
    bench.answer = () => undefined;
    bench.run(200);
    const { probe } = bench.orders.at(-1) ?? { probe: 0 };
    assert.equal(bench.detector.onProbed("shop/a/web", probe, refused, bench.nowMs + 5000), true);
    assert.equal(bench.detector.view().abstaining, true);
    bench.nowMs += 5000;
    assert.equal(bench.tick(10).stalled, true, "the tick after reports it");
    assert.equal(bench.seen().opinion, "unknown");
  });

  test("silences before the stall do not count after it", () => {
    const bench = new Bench(one);
    bench.run(30_000);
    bench.answer = () => ({ result: silence, delayMs: 5 });
    bench.run(600);
    assert.equal(bench.seen().opinion, "up");
    bench.tick(2000);
    bench.run(500);
    assert.equal(bench.seen().opinion, "unknown");
    bench.run(2000);
    assert.equal(bench.seen().opinion, "down");
  });

  test("one definite result brings a down opinion back, one that contradicts does not", () => {
    for (const [result, expected] of [
      [refused, "down"],
      [ok, "unknown"],
    ] as const) {
      const bench = new Bench(one);
      bench.feed(refused, refused, refused);
      bench.answer = () => ({ result, delayMs: 5 });
      bench.tick(2000);
      assert.equal(bench.seen().opinion, "unknown");
      bench.tick(10);
      assert.equal(bench.seen().opinion, expected);
    }
  });

  test("slow ticks below the limit are no stall", () => {
    const bench = new Bench(one);
    for (let i = 0; i < 50; i++) assert.equal(bench.tick(500).stalled, false);
    assert.equal(bench.seen().opinion, "up");
  });
});

describe("views", () => {
  test("the number of a view grows with each, and names life and witness", () => {
    const bench = new Bench(one);
    const views = [bench.detector.view(), bench.detector.view(), bench.detector.view()];
    assert.deepEqual(
      views.map((view) => view.seq),
      [1, 2, 3],
    );
    assert.equal(views[0]?.life, 1);
    assert.equal(views[0]?.witness, "w1");
  });

  test("a change is offered once, and no change none", () => {
    const bench = new Bench(one);
    assert.equal(bench.detector.takeChanged(), false);
    bench.feed(ok, ok);
    assert.equal(bench.detector.changed, true);
    assert.equal(bench.detector.takeChanged(), true);
    assert.equal(bench.detector.takeChanged(), false);
    bench.feed(ok, ok, refused);
    assert.equal(bench.detector.takeChanged(), false);
  });

  test("a new document keeps the opinions of targets whose probe is the same, and starts the others anew", () => {
    const other = { kind: "tcp", host: "10.1.0.99", port: 1 } as const;
    const bench = new Bench(configOf({ a: [targetOf("web"), targetOf("db"), targetOf("old")] }));
    bench.run(3000);
    const stray = bench.orders.at(-1);
    bench.detector.reconfigure(
      configOf({ a: [targetOf("web", { fall: 1 }), targetOf("db", { probe: other }), targetOf("new")] }),
      bench.nowMs,
    );
    const { observations } = bench.detector.view();
    assert.deepEqual(
      observations.map(({ target, opinion }) => [target, opinion]),
      [
        ["shop/a/web", "up"],
        ["shop/a/db", "unknown"],
        ["shop/a/new", "unknown"],
      ],
    );
    assert.equal(bench.detector.onProbed("shop/a/old", stray?.probe ?? 0, ok, bench.nowMs), false);
    bench.feed(refused, refused, refused, refused);
    assert.equal(bench.seen().opinion, "down", "the new fall holds");
  });
});
