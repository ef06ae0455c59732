/**
 * Taking a leader's snapshot (paper, section 7).
 *
 * A snapshot replaces log, state and configuration at once. It is refused when it is older than what is
 * committed here, and when the log already holds its last entry: then the log agrees with the leader's up to
 * there, and what follows, which this member may have acknowledged, must not be thrown away (etcd 80615be). The
 * acknowledgement of a taken one waits until it is durable, like that of entries.
 */
import { logIndex } from "../base/ids.js";
import { type Configuration, fromConfState, memberIds } from "./configuration.js";
import type { Member } from "./member.js";
import { switchConfiguration } from "./membership.js";
import type { Message, Snapshot } from "./types.js";

/** Takes `m.snapshot`, or says how far this log is committed. */
export function handleSnapshot(r: Member, m: Message): void {
  const { snapshot } = m;
  if (snapshot === null) return;
  const index = restore(r, snapshot) ? r.log.lastIndex : r.log.committed;
  r.sendAppResp({ to: m.from, index });
}

function restore(r: Member, snapshot: Snapshot): boolean {
  const { index, term } = snapshot;
  if (index <= r.log.committed) return false;
  const configuration: Configuration = fromConfState(snapshot.confState);
  // Learners of tomorrow vote in the outgoing half, so they are among these.
  if (!memberIds(configuration).includes(r.id)) return false;
  const matches = r.log.matches({ index, term });
  if (matches) r.log.commitTo(index);
  else {
    r.log.restore(snapshot);
    switchConfiguration(r, configuration);
  }
  r.verifiedIndex = logIndex(Math.max(r.verifiedIndex, index));
  r.leaveRecoveryWhenCovered();
  return !matches;
}
