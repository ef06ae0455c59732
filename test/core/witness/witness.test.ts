/**
 * One witness between inputs and effects: what leaves it, in which order, and what it refuses.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { logIndex, NO_NODE, nodeId, term, witnessId } from "../../../src/core/base/ids.js";
import { type Command, encodeEnvelope } from "../../../src/core/model/command.js";
import { type Entry, type Message, message } from "../../../src/core/raft/raft.js";
import type { Effect, Input, PeerMessage } from "../../../src/core/witness/contract.js";
import { Witness } from "../../../src/core/witness/witness.js";
import { twoSites } from "../../sim/two-sites.js";

const PEER = witnessId("w-b");

/** One real witness, w-a; the test plays its peer w-b, its disk and its clock. */
class Hand {
  readonly witness = new Witness({
    self: witnessId("w-a"),
    config: twoSites(),
    configHash: "h",
    seed: 1,
    life: 1,
  });
  monoMs = 1000;
  disk: "prompt" | "slow" = "prompt";
  /** Audit records that were told while it started. */
  readonly audited: string[] = [];

  start(hardTerm = 0, entries: readonly Entry[] = [], commit = 0): this {
    const hardState = { term: term(hardTerm), vote: NO_NODE, commit: logIndex(commit) };
    const effects = this.step({
      kind: "restored",
      monoMs: this.monoMs,
      hardState,
      base: { index: logIndex(0), term: term(0) },
      entries,
      snapshot: null,
      adopted: null,
      disk: "disk-a",
      recovering: null,
    });
    for (const effect of effects)
      if (effect.kind === "publish" && effect.event.kind === "audit")
        this.audited.push(effect.event.record.kind);
    return this;
  }

  /** All effects; what waited for the disk follows as if it were sent then. */
  step(input: Input): Effect[] {
    const effects = this.witness.step(input);
    if (this.disk === "slow") return effects;
    return effects.flatMap((effect) => {
      if (effect.kind !== "persist") return [effect];
      const released = effect.release.map(
        ({ to, message: sent }): Effect => ({ kind: "send", to, message: sent, urgent: true }),
      );
      return [effect, ...released, ...this.step({ kind: "persisted", write: effect.write })];
    });
  }

  tick(afterMs = 25): Effect[] {
    this.monoMs += afterMs;
    return this.step({ kind: "tick", monoMs: this.monoMs, wallMs: 0 });
  }

  hear(heard: PeerMessage, from = PEER): Effect[] {
    return this.step({ kind: "message", from, disk: `disk of ${from}`, message: heard });
  }

  raft(fields: Partial<Message> & Pick<Message, "type">): Effect[] {
    return this.hear({ kind: "raft", message: message({ from: nodeId(2), to: nodeId(1), ...fields }) });
  }

  /** Ticks until a message of that type goes to w-b, and returns it. */
  until(type: Message["type"]): Message {
    for (let i = 0; i < 100; i++) {
      const found = raftIn(this.tick(), type)[0];
      if (found !== undefined) return found;
    }
    throw new Error(`no ${type}`);
  }

  /** Elected by w-b, with all that it has written acknowledged: ready to lead. */
  lead(): this {
    this.raft({ type: "MsgPreVoteResp", term: this.until("MsgPreVote").term });
    this.raft({ type: "MsgVoteResp", term: this.term });
    return this.acknowledge();
  }

  get term() {
    const response = this.status();
    return response.raft.term;
  }

  acknowledge(): this {
    for (let i = 0; i < 10; i++) {
      const { lastIndex, commit } = this.status().raft;
      if (commit === lastIndex) break;
      this.raft({ type: "MsgAppResp", term: this.term, index: lastIndex });
    }
    return this;
  }

  status() {
    const effects = this.step({
      kind: "request",
      id: "status",
      request: { kind: "status", linearizable: false },
    });
    const reply = effects.find((effect) => effect.kind === "reply");
    assert.ok(reply?.kind === "reply" && reply.response.kind === "status");
    return reply.response.status;
  }
}

function raftIn(effects: readonly Effect[], type: Message["type"]): Message[] {
  return effects.flatMap((effect) =>
    effect.kind === "send" &&
    effect.to === PEER &&
    effect.message.kind === "raft" &&
    effect.message.message.type === type
      ? [effect.message.message]
      : [],
  );
}

/** What peers and clients are told, as words. */
function told(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => {
    const response =
      effect.kind === "reply"
        ? effect.response
        : effect.kind === "send" && effect.message.kind === "forwarded"
          ? effect.message.response
          : null;
    return response === null ? [] : [response.kind === "refused" ? response.code : response.kind];
  });
}

function forward(request: string, at: number, kind: "hold" | "transfer" = "hold"): PeerMessage {
  const write =
    kind === "hold"
      ? ({ kind, group: "shop", by: "me", reason: "" } as const)
      : ({ kind, to: PEER } as const);
  return { kind: "forward", request, term: term(at), write };
}

test("a candidate asks for votes only when its own is durable, else it could lead one term twice", () => {
  const h = new Hand().start();
  const { term: next } = h.until("MsgPreVote");
  h.disk = "slow";
  const effects = h.raft({ type: "MsgPreVoteResp", term: next });
  assert.deepEqual(raftIn(effects, "MsgVote"), []);
  const write = effects.find((effect) => effect.kind === "persist");
  assert.ok(write?.kind === "persist");
  assert.deepEqual(write.hardState, { term: next, vote: nodeId(1), commit: 0 });
  assert.deepEqual(
    write.release.map(({ to, message: { kind } }) => `${kind} to ${to}`),
    ["raft to w-b", "raft to w-c"],
  );
});

test("a leader that has not applied an entry of its own term neither acts nor answers by what it knows", () => {
  const h = new Hand().start();
  h.raft({ type: "MsgPreVoteResp", term: h.until("MsgPreVote").term });
  h.raft({ type: "MsgVoteResp", term: h.term });
  for (let i = 0; i < 5; i++) h.tick();
  assert.deepEqual([h.status().raft.role, h.status().raft.lastIndex], ["leader", 1], "only Raft's own entry");
  assert.deepEqual(told(h.hear(forward("r", h.term))), ["not_ready"]);
  h.acknowledge();
  assert.ok(h.witness.state.config !== null, "then it begins");
});

test("a write that is repeated waits with its first copy, also where it is a hand-over", () => {
  const h = new Hand().start().lead();
  assert.deepEqual(told(h.hear(forward("r", h.term))), []);
  assert.deepEqual(told(h.hear(forward("r", h.term))), []);
  const { lastIndex } = h.status().raft;
  assert.deepEqual(told(h.raft({ type: "MsgAppResp", term: h.term, index: lastIndex })), ["accepted"]);
  assert.deepEqual(told(h.hear(forward("r", h.term))), ["accepted"]);
  h.acknowledge();
  const holds = h.witness.state.history.filter(({ kind }) => kind === "hold");
  assert.equal(holds.length, 1, "decided once");
  assert.deepEqual(told(h.hear(forward("t", h.term, "transfer"))), []);
  assert.deepEqual(told(h.hear(forward("t", h.term, "transfer"))), []);
  assert.deepEqual(told(h.hear(forward("u", h.term, "transfer"))), ["busy"]);
});

test("a write for a leadership of a former life is unknown; for one that this life led and lost, nothing was done", () => {
  const restarted = new Hand().start(3);
  assert.deepEqual(told(restarted.hear(forward("r", 3))), ["unknown_outcome"]);
  restarted.lead();
  assert.deepEqual(told(restarted.hear(forward("s", 3))), ["unknown_outcome"], "though it leads again");
  const led = restarted.term;
  restarted.raft({ type: "MsgHeartbeat", term: term(led + 1) });
  assert.deepEqual(told(restarted.hear(forward("t", led))), ["not_leader"]);
  assert.deepEqual(told(restarted.hear(forward("t", led))), ["not_leader"], "and again");
});

test("a leader that stood still twice is not confirmed by the answer to its first question", () => {
  const h = new Hand().start().lead();
  h.tick();
  const first = raftIn(h.tick(10_000), "MsgHeartbeat").at(-1);
  const second = raftIn(h.tick(10_000), "MsgHeartbeat").at(-1);
  assert.ok(first !== undefined && second !== undefined && first.context.length > 0);
  const before = h.status().raft.lastIndex;
  h.raft({ type: "MsgHeartbeatResp", term: h.term, context: first.context });
  h.tick();
  assert.equal(h.status().raft.lastIndex, before, "it does nothing yet");
  h.raft({ type: "MsgHeartbeatResp", term: h.term, context: second.context });
  h.acknowledge();
  for (let i = 0; i < 20; i++) h.tick();
  assert.ok(h.status().raft.lastIndex > before, "then it goes on");
});

test("whatever comes before the disk is read harms nothing, and people are told to come again", () => {
  const h = new Hand();
  assert.deepEqual(h.tick(), []);
  assert.deepEqual(h.raft({ type: "MsgHeartbeat", term: term(1) }), []);
  const early = h.step({ kind: "request", id: "r", request: { kind: "status", linearizable: false } });
  assert.deepEqual(told(early), ["not_ready"]);
  assert.equal(h.start().status().raft.term, 0);
});

test("who is no member is not listened to", () => {
  const h = new Hand().start().lead();
  const stranger = witnessId("w-x");
  const view = { witness: stranger, life: 1, seq: 1, abstaining: false, observations: [] };
  assert.deepEqual(h.hear(forward("r", h.term), stranger), []);
  assert.deepEqual(h.hear({ kind: "view", view }, stranger), []);
});

test("a view is sent when an opinion changed and at a steady pace, not with every input", () => {
  const h = new Hand().start();
  h.raft({ type: "MsgHeartbeat", term: term(1) });
  const effects: Effect[] = [];
  for (let i = 0; i < 80; i++) {
    for (const effect of h.tick()) {
      if (effect.kind === "probe")
        effects.push(
          ...h.step({
            kind: "probed",
            target: effect.target,
            probe: effect.probe,
            result: { kind: "ok", rttMs: 1, text: "" },
          }),
        );
      effects.push(effect);
    }
    effects.push(...h.raft({ type: "MsgHeartbeat", term: term(1) }));
  }
  const sent = effects.flatMap((effect) =>
    effect.kind === "send" && effect.message.kind === "view" ? [effect.message.view.seq] : [],
  );
  const views = new Set(sent).size;
  // Two seconds at 200 ms, and six targets that came up; each to the leader, and to the other for it to pass on.
  assert.ok(views >= 10 && views <= 20, `${views} views`);
  assert.equal(sent.length, 2 * views);
});

test("a follower that stops tells its clients that their writes may have been decided", () => {
  const h = new Hand().start();
  h.raft({ type: "MsgHeartbeat", term: term(1) });
  h.step({ kind: "request", id: "r", request: { kind: "resume", group: "shop", by: "me" } });
  const effects = h.step({ kind: "stop" });
  assert.deepEqual(told(effects), ["unknown_outcome"]);
  assert.equal(effects.at(-1)?.kind, "halt");
  assert.deepEqual(h.tick(), []);
});

test("a leader goes on from the stamps of a former life of its own, not from before them", () => {
  const command = { kind: "configure", config: twoSites(), hash: "h" } as const;
  const data = encodeEnvelope({ atMs: 500_000, wallMs: 0, leader: witnessId("w-a"), request: null, command });
  const h = new Hand().start(1, [{ term: term(1), index: logIndex(1), type: "EntryNormal", data }]).lead();
  assert.ok(h.witness.state.config !== null, "the entry is applied");
  const { clusterTimeMs } = h.status();
  assert.ok(clusterTimeMs >= 500_000, `${clusterTimeMs}`);
});

test("a log that was restored moves cluster time to its last stamp and no further", () => {
  const command = { kind: "configure", config: twoSites(), hash: "h" } as const;
  const data = encodeEnvelope({ atMs: 500_000, wallMs: 0, leader: PEER, request: null, command });
  const h = new Hand();
  h.monoMs = 90_000_000;
  const warnings: string[] = [];
  h.start(1, [{ term: term(1), index: logIndex(1), type: "EntryNormal", data }], 1);
  for (const effect of h.tick())
    if (effect.kind === "publish" && effect.event.kind === "warning") warnings.push(effect.event.code);
  assert.equal(h.status().clusterTimeMs, 500_025);
  assert.deepEqual(warnings, [], "it did not stand still: it was born");
});

/** The codes and words of the warnings among effects. */
function warned(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) =>
    effect.kind === "publish" && effect.event.kind === "warning"
      ? [`${effect.event.code}: ${effect.event.message}`]
      : [],
  );
}

function entryOf(index: number, command: Command, entryTerm = 1): Entry {
  const data = encodeEnvelope({ atMs: 0, wallMs: 0, leader: PEER, request: null, command });
  return { term: term(entryTerm), index: logIndex(index), type: "EntryNormal", data };
}

const CONFIGURE = { kind: "configure", config: twoSites(), hash: "h" } as const;

test("a leader whose log contradicts this one's is spoken of aloud, once, and not followed in silence", () => {
  const h = new Hand().start(1, [entryOf(1, CONFIGURE)], 1);
  const contradiction = { type: "MsgApp", term: term(3), index: logIndex(1), logTerm: term(2) } as const;
  const first = warned(h.raft(contradiction));
  assert.match(first.join(), /^log_anomaly: .*contradicts entry 1/);
  assert.deepEqual(warned(h.raft(contradiction)), [], "not with every message");
});

test("a leader that is told to stop hands over at any moment, also just after it counted who answers", () => {
  for (let ticks = 0; ticks < 30; ticks++) {
    const h = new Hand().start().lead();
    // The answers to a tick's heartbeats are a tick long on their way.
    let beats: readonly Message[] = [];
    for (let i = 0; i < ticks; i++) {
      const effects = h.tick();
      for (const { context } of beats) h.raft({ type: "MsgHeartbeatResp", term: h.term, context });
      beats = raftIn(effects, "MsgHeartbeat");
    }
    const peer = h.status().raft.peers.find(({ witness }) => witness === PEER);
    assert.equal(peer?.active, true, `after ${ticks} ticks w-b counts as silent`);
    const halted = h.step({ kind: "stop" }).some((effect) => effect.kind === "halt");
    assert.ok(!halted, `after ${ticks} ticks it goes without handing over`);
  }
});

test("what was committed before this life is not told again; what is committed in it is told", () => {
  const entry = (index: number, command: Command): Entry => ({
    term: term(1),
    index: logIndex(index),
    type: "EntryNormal",
    data: encodeEnvelope({ atMs: index, wallMs: 0, leader: PEER, request: null, command }),
  });
  const entries = [
    entry(1, { kind: "configure", config: twoSites(), hash: "h" }),
    entry(2, { kind: "hold", group: "shop", by: "me", reason: "" }),
  ];
  const h = new Hand().start(1, entries, 1);
  assert.ok(h.witness.state.config !== null, "the first is applied");
  const told: string[] = [];
  for (const effect of h.raft({
    type: "MsgApp",
    term: term(1),
    index: logIndex(2),
    logTerm: term(1),
    commit: logIndex(2),
  }))
    if (effect.kind === "publish" && effect.event.kind === "audit") told.push(effect.event.record.kind);
  assert.deepEqual([h.audited, told], [[], ["hold"]]);
});

test("a message that is for another node, or from another node than its sender, does not reach Raft", () => {
  const hand = new Hand().start();
  const before = hand.term;
  hand.hear({
    kind: "raft",
    message: message({ type: "MsgHeartbeat", from: nodeId(3), to: nodeId(1), term: term(before + 5) }),
  });
  hand.hear({
    kind: "raft",
    message: message({ type: "MsgVote", from: nodeId(2), to: nodeId(3), term: term(before + 5) }),
  });
  assert.equal(hand.term, before);
  hand.raft({ type: "MsgHeartbeat", term: term(before + 5) });
  assert.equal(hand.term, before + 5);
});

test("what a peer says to a witness whose messages it does not take reaches people", () => {
  const hand = new Hand().start();
  const effects = hand.hear({ kind: "refused", code: "other_disk", message: "add it again" });
  assert.deepEqual(effects, [
    {
      kind: "publish",
      event: {
        kind: "warning",
        code: "other_disk",
        message: "w-b does not take part with this witness: add it again",
      },
    },
  ]);
});
