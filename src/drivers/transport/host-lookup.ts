/**
 * Names of peers to addresses, without leaning on DNS at the moment when everything fails.
 *
 * `getaddrinfo` may hang for half a minute while name servers are out of reach, in a thread of the small pool
 * that storage needs for its fsyncs, and it cannot be cancelled; dials come several times a second. So each
 * name has at most one look-up in flight, what it once answered is used at once, refreshed in the background,
 * and kept for as long as no better answer comes.
 */
import { type LookupAddress, type LookupOptions, lookup } from "node:dns";

/** As node's `dns.lookup` with `all`. */
export type Resolve = (
  host: string,
  done: (error: Error | null, found: readonly LookupAddress[]) => void,
) => void;

type Answer = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

interface Known {
  found: readonly LookupAddress[];
  atMs: number;
  /** Null when no look-up is in flight. */
  waiting: ((error: Error | null) => void)[] | null;
}

/** Answers older than this are refreshed. Unit: ms. */
const REFRESH_MS = 15_000;

/** A cache of names with the signature that `net.connect` wants as `lookup`. */
export class HostLookup {
  private readonly resolve: Resolve;
  private readonly nowMs: () => number;
  private readonly hosts = new Map<string, Known>();

  constructor(nowMs: () => number, resolve: Resolve = systemResolve) {
    this.nowMs = nowMs;
    this.resolve = resolve;
  }

  /** Answers from memory when it can. Bounded by the number of names that peers ever had. */
  readonly lookup = (host: string, options: LookupOptions, answer: Answer): void => {
    const known = this.hosts.get(host) ?? { found: [], atMs: Number.NEGATIVE_INFINITY, waiting: null };
    this.hosts.set(host, known);
    const reply = (error: Error | null): void => {
      const usable = known.found.filter(({ family }) => !options.family || family === Number(options.family));
      const [first] = usable;
      if (first === undefined) answer(error ?? new Error(`${host} has no address`), []);
      else if (options.all === true) answer(null, [...usable]);
      else answer(null, first.address, first.family);
    };
    const isFirst = known.found.length === 0;
    if (known.waiting === null && (isFirst || this.nowMs() - known.atMs > REFRESH_MS)) {
      known.waiting = [];
      this.resolve(host, (error, found) => this.onAnswer(known, error, found));
    }
    // Never from within the call: the caller's socket is not ready for an answer yet.
    if (isFirst && known.waiting !== null) known.waiting.push(reply);
    else queueMicrotask(() => reply(null));
  };

  private onAnswer(known: Known, error: Error | null, found: readonly LookupAddress[]): void {
    if (error === null && found.length > 0) {
      known.found = found;
      known.atMs = this.nowMs();
    }
    const waiting = known.waiting ?? [];
    known.waiting = null;
    for (const reply of waiting) reply(error);
  }
}

function systemResolve(host: string, done: Parameters<Resolve>[1]): void {
  lookup(host, { all: true }, (error, found) => done(error, error === null ? found : []));
}
