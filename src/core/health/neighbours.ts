/**
 * What the other targets of the same host say about the path at this moment.
 *
 * The memory of a path (silence.ts) knows how it was; when a line turns bad, six silences in a row come long before
 * the memory has changed. But if other targets of the host answered while this one was silent, the host is alive, and
 * the share of their probes that stayed silent is the loss of the path now. It becomes a floor under every h.
 *
 * Counted are probes sent since this target fell silent, up to the last one that was answered: after that the
 * host may have died, and silence of the dead says nothing about the path. Where no neighbour answered, there
 * is no floor. A hung service beside healthy ones therefore gets no delay, nor does a dead host: only a path
 * that loses some and not all.
 */
import type { TargetKey } from "../model/config.js";
import { upperShare } from "./silence.js";

/** How many results of a host are kept. */
const KEPT = 64;

/** The latest results of all targets of one host. */
export class Neighbours {
  readonly #results: { readonly target: TargetKey; readonly sentMs: number; readonly silent: boolean }[] = [];

  /** A probe of `target`, sent at `sentMs`, was answered or stayed silent. */
  note(target: TargetKey, sentMs: number, silent: boolean): void {
    this.#results.push({ target, sentMs, silent });
    if (this.#results.length > KEPT) this.#results.shift();
  }

  /**
   * Upper estimate of the loss now, from the neighbours of `target`, which is silent since `sinceMs`; 0 if
   * none answered.
   */
  floor(target: TargetKey, sinceMs: number): number {
    let silent = 0;
    let silentBeforeAnswer = 0;
    let answered = 0;
    for (const result of this.#results) {
      if (result.target === target || result.sentMs < sinceMs) continue;
      if (result.silent) silent++;
      else {
        answered++;
        silentBeforeAnswer = silent;
      }
    }
    if (answered === 0 || silentBeforeAnswer === 0) return 0;
    return upperShare(silentBeforeAnswer, silentBeforeAnswer + answered, 0.08, 2).bound;
  }
}
