/**
 * Which sites could become primary, and why the others could not.
 *
 * A candidate is up in the majority's view, has been so for the group's stability, and was not left behind by a failed
 * switch. A site that the majority has no opinion of is not a candidate: moving to the unknown is worse than waiting.
 */
import type { SiteId } from "../base/ids.js";
import type { ClusterConfig, GroupConfig } from "../model/config.js";
import type { SiteVerdict } from "../model/observation.js";
import type { GroupState } from "../model/state.js";
import { duration, siteBecause } from "./words.js";

/** All that policy looks at. `nowMs`: cluster time. */
export interface PolicyInput {
  readonly config: ClusterConfig;
  readonly group: GroupConfig;
  readonly state: GroupState;
  readonly verdicts: readonly SiteVerdict[];
  readonly nowMs: number;
}

/** The verdict on a site; unknown where the caller has none. */
export function verdictOn(input: PolicyInput, site: SiteId): SiteVerdict {
  return (
    input.verdicts.find((verdict) => verdict.site === site) ?? {
      site,
      verdict: "unknown",
      sinceMs: null,
      targets: [],
    }
  );
}

/**
 * Why `site` is not up and stable for `upForMs`, as the end of a sentence that begins with its name; null
 * when it is.
 */
export function whyNotUp(input: PolicyInput, site: SiteId, upForMs: number): string | null {
  const verdict = verdictOn(input, site);
  if (verdict.verdict === "down") return `is down (${siteBecause(verdict)})`;
  if (verdict.verdict === "unknown") return `is not judged by a majority (${siteBecause(verdict)})`;
  const forMs = verdict.sinceMs === null ? 0 : input.nowMs - verdict.sinceMs;
  return forMs < upForMs ? `is up for ${duration(forMs)}, and has to be for ${duration(upForMs)}` : null;
}

/** Why `site` is not a candidate, as the end of a sentence that begins with its name; null when it is one. */
export function whyNotCandidate(input: PolicyInput, site: SiteId, upForMs: number): string | null {
  if (input.state.failedSites.includes(site))
    return "was left behind by a failed switch (resume forgives it)";
  return whyNotUp(input, site, upForMs);
}

/** The first candidate of `sites`, and a line on each one that was passed over. */
export function firstCandidate(
  input: PolicyInput,
  sites: readonly SiteId[],
): { readonly site: SiteId | null; readonly passed: readonly string[] } {
  const passed: string[] = [];
  for (const site of sites) {
    const why = whyNotCandidate(input, site, input.group.stabilityMs);
    if (why === null) return { site, passed };
    passed.push(`site ${site} ${why}`);
  }
  return { site: null, passed };
}

/** Every site of the group is down in the majority's view. */
export function isAllDown(input: PolicyInput): boolean {
  return input.group.sites.every(({ site }) => verdictOn(input, site).verdict === "down");
}

/** How much of the hold-down is left; 0 when it has passed or there was no switch. Unit: ms. */
export function holdDownLeftMs(input: PolicyInput): number {
  const { lastSwitchAtMs } = input.state;
  return lastSwitchAtMs === null ? 0 : Math.max(0, lastSwitchAtMs + input.group.holdDownMs - input.nowMs);
}
