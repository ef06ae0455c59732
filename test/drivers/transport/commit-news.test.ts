/**
 * The bare news of a commit: it waits for an append that says the same, and it is never lost without one.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, nodeId, term, witnessId } from "../../../src/core/base/ids.js";
import type { Message } from "../../../src/core/raft/types.js";
import { CommitNews } from "../../../src/drivers/transport/commit-news.js";
import { append, commitOf, heartbeat, member, raftMessage, until } from "./helpers.js";

const W2 = witnessId("w2");

/** The bare news, after `index`, that all up to `commit` is committed. */
function news(index: number, commit: number, more: Partial<Message> = {}): Message {
  const place = { index: logIndex(index), logTerm: term(1), commit: logIndex(commit) };
  return raftMessage("MsgApp", 1, 2, { ...place, ...more });
}

/** An append of one entry after `index`. */
function entries(index: number, commit: number, more: Partial<Message> = {}): Message {
  const entry = {
    term: term(1),
    index: logIndex(index + 1),
    type: "EntryNormal",
    data: new Uint8Array(1),
  } as const;
  return { ...news(index, commit, more), entries: [entry] };
}

/** What is let go, and the one that lets it go after an hour by itself. */
function patient(): { readonly left: Message[]; readonly held: CommitNews } {
  const left: Message[] = [];
  return { left, held: new CommitNews(3_600_000, (message) => left.push(message)) };
}

test("a newer append of the same leader takes the place of the news", () => {
  for (const newer of [entries(5, 5), entries(6, 5), entries(5, 6)]) {
    const { left, held } = patient();
    assert.equal(held.takes(news(5, 5)), true);
    assert.equal(held.takes(newer), false);
    held.close();
    assert.deepEqual(left, []);
  }
});

test("an append that says less lets the news go before it", () => {
  for (const lesser of [
    entries(4, 5),
    entries(5, 4),
    entries(5, 5, { term: term(2) }),
    entries(5, 5, { from: nodeId(3) }),
    entries(5, 5, { to: nodeId(3) }),
    news(4, 5),
  ]) {
    const { left, held } = patient();
    held.takes(news(5, 5));
    held.takes(lesser);
    held.close();
    assert.deepEqual(left, [news(5, 5)]);
  }
});

test("what is no append passes and leaves the news where it is", () => {
  const { left, held } = patient();
  held.takes(news(5, 5));
  assert.equal(held.takes(raftMessage("MsgHeartbeat", 1, 2, { commit: logIndex(9) })), false);
  assert.equal(held.takes(entries(5, 5)), false);
  held.close();
  assert.deepEqual(left, []);
});

test("news that nothing follows leaves by itself, the newest of a row and once", async () => {
  const left: Message[] = [];
  const held = new CommitNews(5, (message) => left.push(message));
  held.takes(news(5, 4));
  held.takes(news(5, 5));
  await until(() => left.length > 0, "the news");
  assert.deepEqual(left, [news(5, 5)]);
  held.takes(news(6, 6));
  await until(() => left.length > 1, "the next news");
  assert.deepEqual(left, [news(5, 5), news(6, 6)]);
  held.close();
});

test("between two members the news arrives alone, and not beside an append that covers it", async (t) => {
  const two = await member(2, [[1, "127.0.0.1:1"]]);
  t.after(() => two.transport.close());
  const one = await member(1, [[2, `127.0.0.1:${two.transport.ports[0]}`]], { heartbeatMs: 200 });
  t.after(() => one.transport.close());
  const send = (message: Message): void =>
    one.transport.send(W2, { kind: "raft", message }, { urgent: message.entries.length === 0 });
  send(news(7, 7));
  await until(() => two.got.some(({ message }) => commitOf(message) === 7), "the news");
  two.got.length = 0;
  send(news(8, 8));
  send(entries(8, 9));
  await until(() => two.got.some(({ message }) => commitOf(message) === 9), "the append");
  one.transport.send(W2, append(1, 2, 11, 10), { urgent: false });
  one.transport.send(W2, heartbeat(1, 2, 99), { urgent: true });
  await until(() => two.got.some(({ message }) => commitOf(message) === 99), "the heartbeat");
  assert.ok(!two.got.some(({ message }) => commitOf(message) === 8));
});
