/**
 * Door of the room: runs one probe and says how it ended. It has no memory and no opinion; the detector has.
 *
 * Every probe ends within its one budget, from name lookup to the last byte, and its end is one of four:
 *
 *   ok         the target answered as expected
 *   definite   the target or its host said no: refused, reset, wrong status or body, bad certificate, exit code
 *   ambiguous  silence: no answer in time, no route
 *   failed     this witness could not probe: out of sockets, no such program or name, was itself stopped
 *
 * A silence is believed only if our own clock kept time: a timer that fires late is evidence about this process.
 */
import { setMaxListeners } from "node:events";
import { assertNever } from "../../core/base/assert.js";
import type { ProbeSpec, TargetKey } from "../../core/model/config.js";
import type { ProbeResult } from "../../core/model/observation.js";
import { probeExec } from "./exec.js";
import { HttpProber } from "./http.js";
import { NameCache } from "./name-cache.js";
import { probeTcp } from "./tcp.js";

export interface ProberOptions {
  /** Added to the environment of exec probes. Default: nothing. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Prober {
  /** Runs one probe; never rejects. `target` is told to exec probes as POINTSMAN_TARGET. */
  run(spec: ProbeSpec, timeoutMs: number, target?: TargetKey): Promise<ProbeResult>;
  /** Ends all probes under way as `failed`; later ones fail at once. */
  close(): void;
}

/** A silence that comes so much later than its timeout is our own fault. Covers the killing of a command (400 ms). */
const LATE_MS = 500;

/** A prober with its own caches of names and certificates. */
export function createProber(options: ProberOptions = {}): Prober {
  const closing = new AbortController();
  // Each probe under way listens; that is no leak.
  setMaxListeners(0, closing.signal);
  const names = new NameCache();
  const http = new HttpProber(names);

  const dispatch = (spec: ProbeSpec, timeoutMs: number, target: TargetKey): Promise<ProbeResult> => {
    switch (spec.kind) {
      case "tcp":
        return probeTcp(spec, { timeoutMs, signal: closing.signal, names });
      case "http":
        return http.run(spec, timeoutMs, closing.signal);
      case "exec":
        return probeExec(spec, { timeoutMs, signal: closing.signal, target, env: options.env ?? {} });
      default:
        return assertNever(spec, "probe");
    }
  };

  return {
    async run(spec, timeoutMs, target = "") {
      if (closing.signal.aborted) return { kind: "failed", text: "this witness is stopping" };
      const startedAt = performance.now();
      let result: ProbeResult;
      try {
        result = await dispatch(spec, timeoutMs, target);
      } catch (error) {
        const text = `this witness could not probe: ${error instanceof Error ? error.message : String(error)}`;
        result = { kind: "failed", text };
      }
      const lateMs = performance.now() - startedAt - timeoutMs;
      if (result.kind === "ambiguous" && lateMs > LATE_MS) {
        const text = `this witness was itself stopped: a timeout of ${timeoutMs} ms came ${Math.round(lateMs)} ms late`;
        return { kind: "failed", text };
      }
      return result;
    },
    close: () => closing.abort(),
  };
}
