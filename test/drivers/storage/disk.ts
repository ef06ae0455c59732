/**
 * What the storage tests share: private directories, entries, and the words "open, read, close".
 *
 * Sweeps that open a storage a thousand times live on tmpfs where there is one: they are about bytes, not
 * about syncs.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type LogIndex, logIndex, nodeId, term, witnessId } from "../../../src/core/base/ids.js";
import { type AuditRecord, EMPTY_STATE } from "../../../src/core/model/state.js";
import type { Entry, HardState } from "../../../src/core/raft/types.js";
import type { StateSnapshot } from "../../../src/core/witness/contract.js";
import { openStorage, type Restored, type Storage } from "../../../src/drivers/storage/storage.js";

export const IDENTITY = { cluster: "acme", witness: "w1" };

/** A directory that is removed after the test. `fast`: on tmpfs if there is one. */
export function privateDirectory(t: TestContext, where: "disk" | "fast" = "disk"): string {
  const root = where === "fast" && existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const directory = mkdtempSync(join(root, "pointsman-storage-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** An entry whose data tells index and term. */
export function entry(index: number, inTerm: number, text = `command ${index} of term ${inTerm}`): Entry {
  return {
    term: term(inTerm),
    index: logIndex(index),
    type: "EntryNormal",
    data: new TextEncoder().encode(text),
  };
}

/** Entries `from..to` of one term. */
export function entries(from: number, to: number, inTerm: number): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, inTerm));
}

export function hardState(inTerm: number, vote: number, commit: number): HardState {
  return { term: term(inTerm), vote: nodeId(vote), commit: commit as LogIndex };
}

/** A snapshot whose state tells its place, with `records` audit records of about `chars` characters each. */
export function snapshotAt(index: number, inTerm: number, records = 2, chars = 40): StateSnapshot {
  const record = (seq: number): AuditRecord => ({
    index: logIndex(index),
    seq,
    term: term(inTerm),
    atMs: index * 1000,
    wallMs: 0,
    leader: witnessId("w1"),
    kind: "note",
    group: null,
    epoch: null,
    step: null,
    message: `record ${seq} at ${index} of term ${inTerm}`,
    detail: ["x".repeat(chars)],
  });
  return {
    index: logIndex(index),
    term: term(inTerm),
    confState: {
      voters: [1, 2, 3].map(nodeId),
      learners: [nodeId(4 + (index % 3))],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    },
    data: {
      ...EMPTY_STATE,
      appliedIndex: logIndex(index),
      appliedTerm: term(inTerm),
      clusterTimeMs: index * 1000,
      history: Array.from({ length: records }, (_, seq) => record(seq)),
    },
  };
}

export function open(directory: string): Promise<{ readonly storage: Storage; readonly restored: Restored }> {
  return openStorage({ directory, identity: IDENTITY });
}

/** What an opening gives back, the storage being closed again. */
export async function readBack(directory: string): Promise<Restored> {
  const { storage, restored } = await open(directory);
  await storage.close();
  return restored;
}

/** True where a test that needs `what` may be skipped; where CI is set, everything must be there. */
export function skipUnless(condition: boolean, what: string): string | false {
  if (condition || process.env["CI"] === "true") return false;
  return `needs ${what}`;
}
