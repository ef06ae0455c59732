/**
 * Requests of clients: each is answered once, with the truth, whoever leads in between.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, term, witnessId } from "../../../src/core/base/ids.js";
import type { AdminResponse, WriteRequest } from "../../../src/core/model/admin.js";
import { EMPTY_STATE } from "../../../src/core/model/state.js";
import { entryOf, Requests, refuse } from "../../../src/core/witness/requests.js";

const [A, B] = [witnessId("w-a"), witnessId("w-b")];
const WRITE: WriteRequest = { kind: "hold", group: "shop", by: "me", reason: "" };
const DONE: AdminResponse = { kind: "accepted", index: logIndex(7), epoch: null, message: "done" };

function room() {
  const log: string[] = [];
  const word = (response: AdminResponse): string =>
    response.kind === "refused" ? response.code : response.kind;
  const requests = new Requests(
    {
      reply: (id, response) => log.push(`${id} told ${word(response)}`),
      answerPeer: (to, id, response) => log.push(`${id} told ${to} ${word(response)}`),
      passOn: (to, id, at) => log.push(`${id} to ${to} of term ${at}`),
      askIndex: () => log.push("ask"),
    },
    { resendMs: 100, patienceMs: 1000 },
  );
  const says = (...expected: string[]): void => assert.deepEqual(log.splice(0), expected);
  return { requests, says };
}

test("a write is passed on until its leader answers, and to no later leadership", () => {
  const { requests, says } = room();
  const led = { leader: B, term: term(3) };
  requests.pass("r", WRITE, B, term(3), 0);
  says("r to w-b of term 3");
  requests.onTick(99, led);
  says();
  requests.onTick(100, led);
  says("r to w-b of term 3");
  requests.onForwarded("r", A, DONE);
  says();
  requests.onForwarded("r", B, DONE);
  says("r told accepted");
  requests.onForwarded("r", B, DONE);
  requests.onTick(5000, led);
  says();
});

test("a passed-on write whose leadership ended, by another leader or another term, is unknown, after a wait for the answer", () => {
  for (const now of [
    { leader: A, term: term(4) },
    { leader: B, term: term(5) },
    { leader: null, term: term(4) },
  ]) {
    const { requests, says } = room();
    requests.pass("r", WRITE, B, term(3), 0);
    says("r to w-b of term 3");
    requests.onTick(150, now);
    says();
    requests.onTick(250, now);
    says("r told unknown_outcome");
  }
});

test("a repeated write is answered as before and not decided again, however many came in between", () => {
  const { requests, says } = room();
  const peer = { kind: "peer", witness: B } as const;
  assert.equal(requests.isRepeated("r", peer), false);
  requests.onProposed("r", peer);
  assert.equal(requests.isRepeated("r", peer), true, "while it waits");
  requests.onLeadershipLost(A);
  says("r told w-b unknown_outcome");
  for (let i = 0; i < 4 * 1024; i++) requests.answer(`other ${i}`, peer, refuse("busy", ""));
  says(...Array.from({ length: 4 * 1024 }, (_, i) => `other ${i} told w-b busy`));
  assert.equal(requests.isRepeated("r", peer), true);
  says("r told w-b unknown_outcome");
});

test("copies of a named write wait for the first one in the log, also when its client hung up, and get its answer", () => {
  const { requests, says } = room();
  const session = { id: "session-of-a-test", sequence: 2 };
  const client = { kind: "client" } as const;
  assert.equal(requests.joins("first", client, session), false);
  requests.onProposed("first", client, session);
  requests.abandon("first");
  assert.equal(requests.joins("second", client, session), true);
  assert.equal(requests.joins("third", { kind: "peer", witness: B }, session), true);
  assert.equal(requests.joins("later", client, { ...session, sequence: 3 }), false);
  assert.equal(requests.joins("unnamed", client, undefined), false);
  const outcome = { kind: "refused", code: "not_held", message: "m" } as const;
  const command = { kind: "resume", group: "shop", by: "me" } as const;
  const envelope = { atMs: 1, wallMs: 1, leader: A, request: "first", session, command };
  const applied = { state: EMPTY_STATE, records: [], accepted: false, reason: "m", outcome };
  const entry = { index: logIndex(7), term: term(3), envelope, applied };
  requests.onApplied(entry);
  says("second told not_held", "third told w-b not_held");
  requests.onApplied(entry);
  says();
  assert.equal(requests.joins("fourth", client, session), false, "what is applied is looked up in the state");
  requests.onProposed("fourth", client, session);
  requests.joins("fifth", client, session);
  requests.onLeadershipLost(A);
  says("fourth told unknown_outcome", "fifth told unknown_outcome");
  assert.equal(requests.joins("sixth", client, session), false);
});

test("a refusal of a named write goes through the log, unless it is to be asked again; of another it is told at once", () => {
  const session = { id: "session-of-a-test", sequence: 1 };
  const no = refuse("not_held", "m");
  assert.deepEqual(entryOf({ ...WRITE, session }, no), { kind: "refuse", code: "not_held", message: "m" });
  assert.equal(entryOf(WRITE, no), no);
  const later = refuse("not_ready", "m");
  assert.equal(entryOf({ ...WRITE, session }, later), later);
});

test("a read is asked again until its index is confirmed, answered when that is applied, and given up in the end", () => {
  const { requests, says } = room();
  const led = { leader: B, term: term(3) };
  const context = new TextEncoder().encode("r");
  requests.read("r", () => DONE, 0);
  says("ask");
  requests.onTick(100, led);
  says("ask");
  requests.onReadState({ context, index: logIndex(9) }, logIndex(8));
  requests.onTick(300, led);
  says();
  requests.answerReads(logIndex(9));
  says("r told accepted");
  requests.read("s", () => DONE, 300);
  requests.onTick(1300, led);
  says("ask", "s told no_leader");
});

test("who stops tells all that wait; what may have been decided is not called a failure", () => {
  const { requests, says } = room();
  requests.onProposed("own", { kind: "client" });
  requests.onProposed("theirs", { kind: "peer", witness: B });
  requests.pass("passed", WRITE, B, term(3), 0);
  requests.read("read", () => DONE, 0);
  says("passed to w-b of term 3", "ask");
  requests.end(null);
  says(
    "own told unknown_outcome",
    "theirs told w-b unknown_outcome",
    "passed told unknown_outcome",
    "read told stopping",
  );
});

test("an abandoned request is forgotten, a peer's is not", () => {
  const { requests, says } = room();
  requests.pass("passed", WRITE, B, term(3), 0);
  requests.onProposed("own", { kind: "client" });
  requests.onProposed("theirs", { kind: "peer", witness: B });
  for (const id of ["passed", "own", "theirs"]) requests.abandon(id);
  says("passed to w-b of term 3");
  requests.end(null);
  says("theirs told w-b unknown_outcome");
});
