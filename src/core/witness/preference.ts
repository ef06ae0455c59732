/**
 * Who shall lead among equals.
 *
 * The leader carries out the switch, so it had better not stand where the fault is: by default one of the voters that
 * are at no group's primary site, which in a cluster of two sites and a tie-breaker is the tie-breaker or the
 * standby's; or whom the document names (`leaders`). A preference only: any voter may lead, and a preferred one
 * that is behind or silent does not.
 */
import type { WitnessId } from "../base/ids.js";
import type { State } from "../model/state.js";

/** The preferred witnesses, in the order of the document; empty when none is better than another. */
export function preferredLeaders(state: State): readonly WitnessId[] {
  const { config } = state;
  if (config === null) return [];
  if (config.leaders !== undefined) {
    const named = config.leaders.filter((id) => config.witnesses.some((witness) => witness.id === id));
    if (named.length > 0) return named;
  }
  const primary = new Set(
    Object.values(state.groups).flatMap(({ ticket }) => (ticket.status === "held" ? [ticket.site] : [])),
  );
  const away = config.witnesses.filter(({ site }) => site === null || !primary.has(site));
  return away.length === config.witnesses.length ? [] : away.map(({ id }) => id);
}
