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
  test("a clean line notices a dead host within a handful of probes", () => {
    const bench = new Bench(one);
    bench.feed(...Array.from({ length: 300 }, () => ok));
    bench.feed(...Array.from({ length: 5 }, () => silence));
    assert.equal(bench.seen().opinion, "up");
    bench.feed(silence, silence);
    assert.equal(bench.seen().opinion, "down");
    const { evidence } = bench.seen();
    assert.equal(evidence.kind, "ambiguous");
    assert.ok((evidence.falseAlarm ?? 1) < 1e-6);
    assert.match(
      evidence.text,
      /no answer for \d+ ms: \d silences in a row \(connect timed out\), a healthy target/,
    );
  });
});
