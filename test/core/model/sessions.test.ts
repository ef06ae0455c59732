/**
 * Client sessions in `apply`: a named write is applied once, whatever copies of it stand in the log.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { logIndex, term } from "../../../src/core/base/ids.js";
import { type Applied, apply } from "../../../src/core/model/apply.js";
import type { Command } from "../../../src/core/model/command.js";
import { recall, SESSION_KEEP_MS, SESSIONS_MAX } from "../../../src/core/model/sessions.js";
import type { SessionKey, State, WriteOutcome } from "../../../src/core/model/state.js";
import { A, B, decideCommand, LEADER, started, withPrimary } from "./fixture.js";

const ID = "session-of-a-test";

/** Applies a named command at the next index. */
function push(state: State, session: SessionKey, command: Command, atMs = state.clusterTimeMs): Applied {
  const at = { index: logIndex(state.appliedIndex + 1), term: term(1) };
  return apply(state, at, { atMs, wallMs: 0, leader: LEADER, request: null, session, command });
}

const hold = (by: string): Command => ({ kind: "hold", group: "shop", by, reason: "" });
const resume = (by: string): Command => ({ kind: "resume", group: "shop", by });

/** Everything but where in the log and in time the state is. */
function substance(state: State): object {
  const { appliedIndex: _, appliedTerm: __, clusterTimeMs: ___, ...rest } = state;
  return rest;
}

test("any copies of named writes, in any order: each is applied at most once and always answered as the first time", () => {
  const reached = { applied: 0, repeated: 0, refused: 0, stale: 0 };
  const client = fc.record({
    id: fc.constantFrom("one", "two", "three").map((name) => `session-of-client-${name}`),
    sequence: fc.integer({ min: 1, max: 4 }),
    kind: fc.constantFrom("hold", "resume", "decide", "refuse"),
  });
  fc.assert(
    fc.property(fc.array(client, { maxLength: 40, size: "max" }), (copies) => {
      let { state } = withPrimary();
      const first = new Map<string, WriteOutcome>();
      const last = new Map<string, number>();
      const changes = new Map<string, number>();
      for (const { id, sequence, kind } of copies) {
        const key = `${id}/${sequence}`;
        const commands: Record<typeof kind, Command> = {
          hold: hold(key),
          resume: resume(key),
          decide: decideCommand({
            from: A,
            epoch: (state.groups["shop"]?.lastEpoch ?? 0) + 1,
            to: B,
            by: key,
          } as object),
          refuse: { kind: "refuse", code: "not_eligible", message: key },
        };
        const applied = push(state, { id, sequence }, commands[kind]);
        const known = last.get(id) ?? 0;
        if (applied.accepted) changes.set(key, (changes.get(key) ?? 0) + 1);
        if (sequence > known && (known > 0 || sequence === 1)) {
          assert.equal(first.has(key), false);
          first.set(key, applied.outcome);
          last.set(id, sequence);
          reached[applied.accepted ? "applied" : "refused"]++;
        } else {
          assert.equal(applied.accepted, false);
          assert.deepEqual(applied.records, []);
          assert.deepEqual(substance(applied.state), substance(state), "a copy changes nothing");
          if (sequence === known) {
            assert.deepEqual(applied.outcome, first.get(key));
            reached.repeated++;
          } else {
            assert.equal(
              applied.outcome.kind === "refused" && applied.outcome.code,
              known === 0 ? "session_expired" : "session_stale",
            );
            reached.stale++;
          }
        }
        state = applied.state;
      }
      for (const [key, count] of changes) assert.equal(count, 1, key);
      const told = state.history.filter(({ message }) => message.includes("session-of-client"));
      assert.equal(new Set(told.map(({ message }) => message)).size, told.length, "no record twice");
    }),
  );
  for (const [what, count] of Object.entries(reached)) assert.ok(count > 20, `${what}: ${count}`);
});

test("an accepted write is answered with its index, its epoch and its words, at every witness and after a restart", () => {
  const log = withPrimary();
  const key = { id: ID, sequence: 1 };
  const applied = push(
    log.state,
    key,
    decideCommand({ epoch: 2 as never, plan: "switchover", from: A, to: B }),
  );
  assert.equal(applied.accepted, true, applied.reason);
  assert.deepEqual(applied.outcome, {
    kind: "accepted",
    index: applied.state.appliedIndex,
    epoch: 2,
    message: applied.records.at(-1)?.message,
  });
  assert.deepEqual(recall(applied.state.sessions, key), applied.outcome);
  assert.deepEqual(recall(JSON.parse(JSON.stringify(applied.state)).sessions, key), applied.outcome);
});

test("a refusal is an outcome: what would succeed later is not applied later", () => {
  const { state } = started();
  const refused = push(state, { id: ID, sequence: 1 }, resume("me"));
  assert.equal(refused.accepted, false);
  const held = push(refused.state, { id: "another-session", sequence: 1 }, hold("you"));
  const late = push(held.state, { id: ID, sequence: 1 }, resume("me"));
  assert.deepEqual(late.outcome, refused.outcome);
  assert.equal(late.state.groups["shop"]?.mode, "hold");
});

test("what the leader refused is settled by the log before a copy that was on its way comes", () => {
  const { state } = started();
  const key = { id: ID, sequence: 1 };
  const refused = push(state, key, { kind: "refuse", code: "not_held", message: "not on hold" });
  assert.deepEqual(refused.outcome, { kind: "refused", code: "not_held", message: "not on hold" });
  assert.deepEqual(refused.records, []);
  const held = push(refused.state, { id: "another-session", sequence: 1 }, hold("you"));
  const late = push(held.state, key, resume("me"));
  assert.deepEqual(late.outcome, refused.outcome);
  assert.equal(late.state.groups["shop"]?.mode, "hold");
});

test("of more sessions than are kept the one that wrote longest ago is forgotten, and its next write is not applied", () => {
  let { state } = started();
  const first = { id: "session-number-1", sequence: 1 };
  for (let i = 1; i <= SESSIONS_MAX; i++)
    state = push(state, { id: `session-number-${i}`, sequence: 1 }, hold(`${i}`)).state;
  assert.equal(state.sessions.length, SESSIONS_MAX);
  // The first one writes again, so the second is the one that wrote longest ago.
  state = push(state, { ...first, sequence: 2 }, hold("again")).state;
  state = push(state, { id: "one-more-session", sequence: 1 }, hold("more")).state;
  assert.equal(state.sessions.length, SESSIONS_MAX);
  assert.notEqual(recall(state.sessions, { ...first, sequence: 2 }), null);
  const forgotten = push(state, { id: "session-number-2", sequence: 2 }, resume("me"));
  assert.equal(forgotten.accepted, false);
  assert.ok(forgotten.outcome.kind === "refused" && forgotten.outcome.code === "session_expired");
  assert.equal(forgotten.state.groups["shop"]?.mode, "hold");
});

test("a session is forgotten an hour of cluster time after its last write, and not before", () => {
  const { state } = started();
  const written = push(state, { id: ID, sequence: 1 }, hold("me"));
  const inTime = written.state.clusterTimeMs + SESSION_KEEP_MS;
  const kept = push(written.state, { id: ID, sequence: 1 }, hold("me"), inTime);
  assert.deepEqual(kept.outcome, written.outcome);
  const gone = push(written.state, { id: ID, sequence: 2 }, hold("me"), inTime + 1);
  assert.ok(gone.outcome.kind === "refused" && gone.outcome.code === "session_expired");
  const other = push(written.state, { id: "another-session", sequence: 1 }, hold("you"), inTime + 1);
  assert.deepEqual(
    other.state.sessions.map(({ id }) => id),
    ["another-session"],
  );
});

test("a write without a name leaves no trace among the sessions, and number 0 is malformed", () => {
  const log = started();
  const before = push(log.state, { id: ID, sequence: 1 }, hold("me")).state;
  log.state = before;
  log.must(resume("me"));
  assert.equal(log.state.sessions, before.sessions);
  const zero = push(before, { id: ID, sequence: 0 }, resume("me"));
  assert.match(zero.reason, /malformed: envelope\.session\.sequence is 0/);
});
