/**
 * Places in the audit history, and what of it is still there.
 *
 * A record's place is (index, seq): several records may stand at one log index, so an index alone could cut
 * between them and a resumed watch would lose the rest. The state keeps the newest `HISTORY_MAX` records;
 * while it has not been full nothing was ever dropped, after that whatever stands before the oldest one may
 * be missing.
 */
import { type AuditRecord, HISTORY_MAX } from "../../core/model/state.js";
import type { HistoryQuery, Place } from "./admin-requests.js";
import type { HistoryPage } from "./admin-wire.js";

/** Does the record come after that place? */
export function isAfter(record: AuditRecord, place: Place): boolean {
  if (record.index !== place.index) return record.index > place.index;
  return place.seq !== null && record.seq > place.seq;
}

/** The place of a record. */
export function placeOf(record: AuditRecord): Place {
  return { index: record.index, seq: record.seq };
}

/** Index of the oldest kept record when records after `since` may have been dropped, else null. */
export function truncatedBefore(history: readonly AuditRecord[], since: Place): number | null {
  const oldest = history[0];
  if (oldest === undefined || history.length < HISTORY_MAX) return null;
  return isAfter(oldest, since) ? oldest.index : null;
}

const BEGINNING: Place = { index: 0, seq: null };

/** Answers a history query from the retained records. */
export function historyAnswer(history: readonly AuditRecord[], query: HistoryQuery): HistoryPage {
  const { since, limit } = query;
  const ofGroup = query.group === null ? history : history.filter((record) => record.group === query.group);
  const matching = since === null ? ofGroup : ofGroup.filter((record) => isAfter(record, since));
  const more = matching.length > limit;
  // Without a place the newest are wanted; with one the caller reads forward, page by page.
  const records = since === null ? matching.slice(-limit) : matching.slice(0, limit);
  const reachesBack = since !== null || !more;
  return {
    records,
    more,
    truncatedBeforeIndex: reachesBack ? truncatedBefore(history, since ?? BEGINNING) : null,
  };
}
