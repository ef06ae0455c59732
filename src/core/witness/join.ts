/**
 * Fewer messages with the same meaning: what several inputs of one moment made Raft say is said at once.
 *
 * Raft answers each proposal with an append to each peer, and each append with an acknowledgement. Appends
 * that continue one another are one append; of acknowledgements the highest speaks for those before it. The
 * order of what one receiver gets is kept, and nothing is joined over a message of another kind.
 */
import { logIndex } from "../base/ids.js";
import type { Message } from "../raft/types.js";

/** `messages` with runs of appends to one peer made one, of at most `maxBytes` of data. */
export function joinAppends(messages: readonly Message[], maxBytes: number): readonly Message[] {
  return joined(messages, (before, after) => {
    if (before.type !== "MsgApp" || after.type !== "MsgApp" || before.term !== after.term) return null;
    const last = before.entries.at(-1) ?? { index: before.index, term: before.logTerm };
    if (last.index !== after.index || last.term !== after.logTerm) return null;
    if (dataBytes(before) + dataBytes(after) > maxBytes) return null;
    const commit = logIndex(Math.max(before.commit, after.commit));
    return { ...before, commit, entries: [...before.entries, ...after.entries] };
  });
}

/** `messages` with runs of acknowledgements to one member made the highest of them. */
export function joinAcknowledgements(messages: readonly Message[]): readonly Message[] {
  return joined(messages, (before, after) => {
    if (before.type !== "MsgAppResp" || after.type !== "MsgAppResp") return null;
    if (before.reject || after.reject || before.term !== after.term) return null;
    return before.recovering === after.recovering && before.index <= after.index ? after : null;
  });
}

/** Each message is tried against the one before it to the same receiver; null: they stay two. */
function joined(
  messages: readonly Message[],
  join: (before: Message, after: Message) => Message | null,
): readonly Message[] {
  if (messages.length < 2) return messages;
  const out: Message[] = [];
  const lastTo = new Map<number, number>();
  for (const message of messages) {
    const at = lastTo.get(message.to);
    const before = at === undefined ? undefined : out[at];
    const one = before === undefined ? null : join(before, message);
    if (at !== undefined && one !== null) out[at] = one;
    else lastTo.set(message.to, out.push(message) - 1);
  }
  return out;
}

function dataBytes(message: Message): number {
  let bytes = 0;
  for (const entry of message.entries) bytes += entry.data.length;
  return bytes;
}
