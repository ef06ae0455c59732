/**
 * The state as bytes: what is read back is what was written, and damage is named instead of thrown or taken.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c } from "../../../src/core/base/crc32c.js";
import { logIndex, siteId, term, witnessId } from "../../../src/core/base/ids.js";
import { decodeState, encodeState } from "../../../src/core/model/snapshot.js";
import { type AuditRecord, EMPTY_STATE, HISTORY_MAX, type State } from "../../../src/core/model/state.js";
import { config, LEADER, Log, withPrimary } from "./fixture.js";

function record(index: number, message: string, detail: readonly string[] = []): AuditRecord {
  return {
    index: logIndex(index),
    seq: 0,
    term: term(1),
    atMs: index,
    wallMs: index,
    leader: witnessId("w-a"),
    kind: "note",
    group: "shop",
    epoch: null,
    step: null,
    message,
    detail,
  };
}

/** A state with something in every field. */
function full(): State {
  const log = withPrimary();
  log.must({ kind: "observe", witness: LEADER, abstaining: false, observations: [] });
  log.must({ kind: "hold", group: "shop", by: "anna", reason: "tür ✓ 𝄞" });
  const outcome = { kind: "refused", code: "not_held", message: "no" } as const;
  return { ...log.state, sessions: [{ id: "session-of-a-test", sequence: 3, usedAtMs: 7, outcome }] };
}

const long = (chars: number): State => ({
  ...full(),
  history: Array.from({ length: HISTORY_MAX }, (_, i) => record(i + 1, "m", ["x".repeat(chars)])),
});

test("a state is read back as it was written, and equal states give equal bytes", () => {
  const history = fc.array(
    fc
      .tuple(
        fc.nat(),
        fc.string({ unit: "grapheme" }),
        fc.array(fc.string({ maxLength: 40_000, size: "max" })),
      )
      .map(([index, message, detail]) => record(index, message, detail)),
    { maxLength: 12 },
  );
  const state = fc
    .tuple(fc.constantFrom(EMPTY_STATE, full()), history, fc.nat())
    .map(([base, records, now]): State => ({ ...base, clusterTimeMs: now, history: records }));
  fc.assert(
    fc.property(state, (before) => {
      const parts = [...encodeState(before)];
      assert.deepEqual(decodeState(parts), before);
      const again = [...encodeState(structuredClone(before))];
      assert.deepEqual(
        again.map((bytes) => crc32c(bytes)),
        parts.map((bytes) => crc32c(bytes)),
      );
    }),
  );
});

test("a state that was read back goes on as the one that was written", () => {
  const before = full();
  const [one, two] = [new Log(), new Log()];
  one.state = before;
  const read = decodeState(encodeState(before));
  assert.ok(!("error" in read));
  two.state = read;
  for (const log of [one, two]) {
    log.must({ kind: "resume", group: "shop", by: "anna" });
    log.must({ kind: "configure", config: config([], { version: 2 }), hash: "h2" });
  }
  assert.equal(JSON.stringify(two.state), JSON.stringify(one.state));
});

test("damaged bytes give an error with the number of the part, or another state, and never throw", () => {
  const parts = [...encodeState(long(60))];
  assert.ok(parts.length > 3);
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.nat({ max: 255 }), fc.boolean(), (at, place, byte, cut) => {
      const which = at % parts.length;
      const bytes = Uint8Array.from(parts[which] ?? []);
      const position = place % bytes.length;
      bytes[position] = byte;
      const damaged = parts.with(which, cut ? bytes.subarray(0, position) : bytes);
      const read = decodeState(damaged);
      if ("error" in read) assert.match(read.error, /part \d+/);
      else assert.ok(read.appliedIndex >= 0);
    }),
    { numRuns: 60 },
  );
});

test("what no release of ours wrote is named", () => {
  const text = (value: unknown): Uint8Array => Buffer.from(`\u0001${JSON.stringify(value)}`);
  const head = { ...EMPTY_STATE };
  const cases: [Uint8Array[], RegExp][] = [
    [[], /no parts/],
    [[new Uint8Array(0)], /part 1 .*format none/],
    [[Uint8Array.of(2, 123, 125)], /part 1 .*newer release/],
    [[Uint8Array.of(1, 255)], /part 1 .*UTF-8/],
    [[Uint8Array.of(1, 123)], /part 1 .*JSON/],
    [[text([])], /part 1/],
    [[text(null)], /part 1/],
    [[text({ ...head, appliedIndex: -1 })], /part 1/],
    [[text({ ...head, sessions: null })], /part 1/],
    [[text(head), text(head)], /part 2/],
    [[text(head), text([]), text("x")], /part 3/],
  ];
  for (const [parts, error] of cases) {
    const read = decodeState(parts);
    assert.ok("error" in read);
    assert.match(read.error, error);
  }
});

test("parts are made one at a time, of the state as it was when the first one was taken", () => {
  const state = long(1000);
  let touched = 0;
  const watched: State = {
    ...state,
    history: state.history.map((each) => ({
      ...each,
      get message() {
        touched++;
        return each.message;
      },
    })),
  };
  const parts = encodeState(watched);
  parts.next();
  assert.equal(touched, 0, "the head costs nothing of the history");
  parts.next();
  assert.ok(touched > 0 && touched < HISTORY_MAX / 10, `${touched} records for one part`);
  for (const part of encodeState(state)) assert.ok(part.length < 70 * 1024, `a part of ${part.length} bytes`);
  assert.equal(siteId("a"), state.groups["shop"]?.ticket.site);
});
