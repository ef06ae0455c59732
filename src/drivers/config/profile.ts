/**
 * The two named sets of timings, and every other default.
 *
 * `wan` suits sites that are tens of milliseconds apart and a line that loses packets now and then; `fast`
 * suits a metro pair or a laboratory. The numbers of a profile belong together (check.ts holds their
 * relations); each can be set alone. The default time to live stays below the time that a failover takes, or
 * clients would wait for their caches longer than for us.
 */
import type { Timings } from "../../core/model/config.js";

/** What a profile decides. */
export interface Profile {
  readonly timings: Timings;
  readonly probe: {
    readonly intervalMs: number;
    readonly timeoutMs: number;
    readonly fall: number;
    readonly rise: number;
    readonly falseAlarm: number;
  };
  readonly stabilityMs: number;
  readonly holdDownMs: number;
  readonly ttlSeconds: number;
}

const PROBE = { fall: 3, rise: 2, falseAlarm: 1e-6 };

export const PROFILES: { readonly [Name in Timings["profile"]]: Profile } = {
  wan: {
    timings: {
      profile: "wan",
      tickMs: 100,
      heartbeatMs: 200,
      electionMinMs: 1000,
      electionMaxMs: 2000,
      viewIntervalMs: 1000,
      viewTimeoutMs: 5000,
    },
    probe: { intervalMs: 1000, timeoutMs: 500, ...PROBE },
    stabilityMs: 10_000,
    holdDownMs: 60_000,
    ttlSeconds: 10,
  },
  fast: {
    timings: {
      profile: "fast",
      tickMs: 25,
      heartbeatMs: 50,
      electionMinMs: 300,
      electionMaxMs: 600,
      viewIntervalMs: 200,
      viewTimeoutMs: 1500,
    },
    probe: { intervalMs: 100, timeoutMs: 250, ...PROBE },
    stabilityMs: 1000,
    holdDownMs: 5000,
    ttlSeconds: 5,
  },
};

/** Defaults that no profile changes. */
export const DEFAULTS = {
  hookTimeoutMs: 10_000,
  webhookTimeoutMs: 5000,
  routeTimeoutMs: 5000,
  verifyTimeoutMs: 30_000,
  retry: { limit: 5, backoffMs: 500, backoffMaxMs: 10_000 },
  dns: { maxStalenessMs: 30_000, ttlSeconds: 5, negativeTtlSeconds: 5 },
  http: { method: "GET", expectStatus: [[200, 299]] },
} as const;
