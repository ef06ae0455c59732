/**
 * The explorer itself: it finishes small worlds, it finds what is planted, what it finds can be replayed, and its
 * short cuts (forks, look-ups) change nothing.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextBelow, randomState } from "../../../../src/core/base/random.js";
import { identity, loadRoom } from "./glass.js";
import { CRASH, DELIVER, HEARTBEAT, type Local, Locals, PROPOSE, TIMEOUT, WRITE } from "./locals.js";
import { DEFAULTS, replay, run, type Settings } from "./run.js";

const UNLIMITED = { expired: () => false, maxStates: 1_000_000, maxDepth: Number.POSITIVE_INFINITY };

const WORLDS: readonly (readonly [string, Partial<Settings>])[] = [
  ["one election and one crash on slow disks", { timeouts: 1, proposals: 0, crashes: 1, lags: 1 }],
  ["two elections", { proposals: 0 }],
  ["one election with pre-vote", { timeouts: 1, preVote: true }],
  ["messages that come any number of times", { timeouts: 1, duplicates: "any" }],
  [
    "one change of the members and one election",
    { from: "led", spares: 1, timeouts: 1, proposals: 0, changes: 1 },
  ],
  ["a proposal on slow disks", { from: "led", timeouts: 0, heartbeats: 1, lags: 2 }],
];

for (const [name, settings] of WORLDS) {
  test(`every history of ${name} keeps every invariant`, async () => {
    const result = await run({ ...DEFAULTS, ...settings }, UNLIMITED);
    assert.equal(result.finding?.broken, undefined);
    assert.equal(result.complete, true, `${result.states} states and not done`);
    assert.ok(result.states > 500, `only ${result.states} states: the bounds shut out too much`);
  });
}

const FOUND: readonly (readonly [string, Partial<Settings>, RegExp])[] = [
  ["vote-not-durable", { timeouts: 1 }, /I12/],
  ["old-votes", { timeouts: 3, proposals: 0 }, /I1 |I13 /],
  ["commit-by-counting", { from: "led", timeouts: 1, crashes: 1, entriesPerAppend: 1 }, /I10/],
  ["own-copy-not-durable", { timeouts: 1, lags: 1 }, /I8/],
  ["learner-counts", { from: "led", spares: 1, timeouts: 0, changes: 1 }, /I8/],
  [
    "campaign-before-change",
    { from: "led", spares: 1, timeouts: 1, proposals: 0, changes: 2, applyApart: true },
    /I\d+/,
  ],
  ["append-truncates", { from: "led", timeouts: 0, proposals: 2 }, /I\d+/],
];

for (const [plant, settings, invariant] of FOUND) {
  test(`the planted bug ${plant} is found, and its history shows it again`, async () => {
    const { finding } = await run({ ...DEFAULTS, ...settings, plant }, UNLIMITED);
    assert.match(finding?.broken ?? "nothing found", invariant);
    assert.ok(finding !== null);
    const lines: string[] = [];
    assert.equal(await replay(JSON.parse(JSON.stringify(finding)), (line) => lines.push(line)), true);
    assert.match(lines.at(-1) ?? "", invariant);
    // Without the bug the same steps break nothing, or are not even possible.
    const sound = { ...finding, settings: { ...finding.settings, plant: null } };
    assert.equal(await replay(sound, () => {}), false);
  });
}

test("a plant whose line is gone says so, rather than planting nothing", async () => {
  await assert.rejects(loadRoom([{ file: "log.js", find: "no such line", replace: "" }]), /adapt .*plants/);
});

test("a state that was looked up equals the state that was lived through", async () => {
  const room = await loadRoom();
  const options = { members: 3, spares: 0, preVote: true, checkQuorum: true, entriesPerAppend: 0 };
  const random = randomState(7, "walks");
  const KINDS = [TIMEOUT, WRITE, WRITE, DELIVER, DELIVER, DELIVER, DELIVER, PROPOSE, HEARTBEAT, CRASH];
  const busy = new Locals(room, options);
  for (let walk = 0; walk < 8; walk++) {
    const fresh = new Locals(room, options);
    const lived = [1, 2, 3].map((id) => fresh.initial(id));
    const looked = [1, 2, 3].map((id) => busy.initial(id));
    for (let step = 0; step < 40; step++) {
      const at = nextBelow(random, 3);
      const mine = fresh.messages.filter((m) => m.to === at + 1);
      const m = mine.length > 0 ? mine[nextBelow(random, mine.length)] : undefined;
      const kind = KINDS[nextBelow(random, KINDS.length)] ?? WRITE;
      if (kind === DELIVER && m === undefined) continue;
      const event = (locals: Locals) =>
        kind === DELIVER && m !== undefined ? DELIVER + locals.number(m) : kind;
      // Other futures of the same state are worked out first, and must leave no trace in it.
      const before = looked[at] as Local;
      for (const other of [TIMEOUT, HEARTBEAT, PROPOSE, CRASH, WRITE]) busy.on(before, other);
      for (const [number, other] of busy.messages.entries())
        if (other.to === at + 1) busy.on(before, DELIVER + number);
      lived[at] = fresh.on(lived[at] as Local, event(fresh)).next;
      looked[at] = busy.on(before, event(busy)).next;
      assert.equal(identity(looked[at].node), identity(lived[at].node), `walk ${walk}, step ${step}`);
      assert.deepEqual(looked[at].seen, lived[at].seen);
    }
  }
});
