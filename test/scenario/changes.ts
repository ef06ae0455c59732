/** Changes of the configuration in the notation of etcd's files: `v1 l2 r3 u4`. */
import { nodeId } from "../../src/core/base/ids.js";
import type { ConfChangeSingle, ConfChangeType } from "../../src/core/raft/raft.js";
import { ScenarioError } from "./world.js";

const LETTERS: readonly (readonly [string, ConfChangeType])[] = [
  ["v", "ConfChangeAddNode"],
  ["l", "ConfChangeAddLearnerNode"],
  ["r", "ConfChangeRemoveNode"],
  ["u", "ConfChangeUpdateNode"],
];

/** The changes in `text`; a `ScenarioError` names the word that is none. */
export function parseChanges(text: string): readonly ConfChangeSingle[] {
  return text
    .split(/\s+/)
    .filter((word) => word !== "")
    .map((word) => {
      const type = LETTERS.find(([letter]) => word.startsWith(letter))?.[1];
      const node = word.slice(1);
      if (type === undefined) throw new ScenarioError(`unknown input: ${word}`);
      if (!/^\d+$/.test(node)) throw new ScenarioError(`${word} names no node`);
      return { type, node: nodeId(Number(node)) };
    });
}

/** The inverse of `parseChanges`. */
export function formatChanges(changes: readonly ConfChangeSingle[]): string {
  return changes
    .map(({ type, node }) => `${LETTERS.find(([, known]) => known === type)?.[0] ?? "?"}${node}`)
    .join(" ");
}
