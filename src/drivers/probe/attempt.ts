/**
 * One budget, one ending: what all network probes share. Whoever settles first wins; time, shutdown and errors compete
 * with the answer, and the socket is torn down in any case.
 */
import type { ProbeResult } from "../../core/model/observation.js";

/** What an attempt may call; all calls after the first ending are ignored. */
export interface Attempt {
  /** Ends the attempt. */
  end(result: ProbeResult): void;
  /** Registers what tears it down; called at once when it has ended already. */
  onEnd(cleanup: () => void): void;
  readonly ended: boolean;
  /** Time since the start. Unit: ms. */
  elapsedMs(): number;
}

/**
 * Runs `start` within `timeoutMs`. When time runs out, `stage()` says how far it came: the text of the silence.
 * Answers that already lie in the kernel when the timer fires are read first: the timer of a busy process is no judge.
 */
export function attempt(
  timeoutMs: number,
  signal: AbortSignal,
  stage: () => string,
  start: (attempt: Attempt) => void,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const cleanups: (() => void)[] = [];
    let ended = false;
    const self: Attempt = {
      end(result) {
        if (ended) return;
        ended = true;
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        for (const cleanup of cleanups) cleanup();
        resolve(result);
      },
      onEnd(cleanup) {
        if (ended) cleanup();
        else cleanups.push(cleanup);
      },
      get ended() {
        return ended;
      },
      elapsedMs: () => performance.now() - startedAt,
    };
    const onAbort = (): void => self.end({ kind: "failed", text: "this witness is stopping" });
    const timer = setTimeout(() => {
      setImmediate(() => self.end({ kind: "ambiguous", text: `${stage()} in ${timeoutMs} ms` }));
    }, timeoutMs);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      start(self);
    } catch (error) {
      self.end({ kind: "failed", text: error instanceof Error ? error.message : String(error) });
    }
  });
}
