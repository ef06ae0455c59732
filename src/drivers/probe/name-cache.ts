/**
 * Name lookup that cannot hurt the rest of the process.
 *
 * node looks names up with getaddrinfo on the same few threads that LevelDB writes on, and a dead resolver
 * holds a thread for ten seconds and more. So: one lookup a name at a time, at most two at all, answers kept
 * for five seconds, and when the resolver fails or is silent the addresses known last serve on (its trouble
 * is not the target's): the caller's budget runs meanwhile, and is shorter than a resolver's silence. A name
 * that does not exist is forgotten at once.
 */
import { type LookupAddress, lookup as lookupByNode } from "node:dns";
import type { LookupFunction } from "node:net";

const FRESH_MS = 5000;
const PARALLEL = 2;
/**
 * How long a caller waits for news of a name whose addresses are known; the shortest budget of a probe bears
 * it. Unit: ms.
 */
const PATIENCE_MS = 5;

/** Finds all addresses of a name, as `dns.lookup` does with `all`. */
export type Resolve = (
  name: string,
  done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void;

interface Entry {
  addresses: readonly LookupAddress[];
  readonly waiting: ((error: NodeJS.ErrnoException | null) => void)[];
  knownAt: number;
}

export class NameCache {
  readonly #resolve: Resolve;
  readonly #freshMs: number;
  readonly #entries = new Map<string, Entry>();
  readonly #queue: string[] = [];
  #running = 0;

  /** `freshMs`: how long an answer is used without asking again. */
  constructor(
    resolve: Resolve = (name, done) => lookupByNode(name, { all: true }, done),
    freshMs: number = FRESH_MS,
  ) {
    this.#resolve = resolve;
    this.#freshMs = freshMs;
  }

  /** In the shape of `dns.lookup`, for `net.connect` and `http.request`. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    this.#find(hostname, (error, all) => {
      const family = options.family === "IPv4" ? 4 : options.family === "IPv6" ? 6 : options.family;
      const fitting = all.filter((address) => !family || address.family === family);
      const first = fitting[0];
      if (error !== null) callback(error, "", 0);
      else if (first === undefined) {
        callback(Object.assign(new Error(`no address for ${hostname}`), { code: "ENOTFOUND" }), "", 0);
      } else if (options.all) callback(null, fitting.slice());
      else callback(null, first.address, first.family);
    });
  };

  #find(
    name: string,
    done: (error: NodeJS.ErrnoException | null, all: readonly LookupAddress[]) => void,
  ): void {
    const entry = this.#entries.get(name) ?? {
      addresses: [],
      waiting: [],
      knownAt: Number.NEGATIVE_INFINITY,
    };
    this.#entries.set(name, entry);
    if (performance.now() - entry.knownAt < this.#freshMs) {
      process.nextTick(done, null, entry.addresses);
      return;
    }
    entry.waiting.push(
      entry.addresses.length === 0
        ? (error) => done(error, entry.addresses)
        : impatient((error) => done(error, entry.addresses)),
    );
    if (entry.waiting.length === 1) this.#queue.push(name);
    this.#next();
  }

  #next(): void {
    if (this.#running >= PARALLEL) return;
    const name = this.#queue.shift();
    if (name === undefined) return;
    this.#running++;
    this.#resolve(name, (error, addresses) => {
      this.#running--;
      this.#found(name, error, addresses);
      this.#next();
    });
  }

  #found(name: string, error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    const waiting = entry.waiting.splice(0);
    let reported = error;
    if (error === null) {
      entry.addresses = addresses;
      entry.knownAt = performance.now();
    } else if (error.code !== "ENOTFOUND" && entry.addresses.length > 0) {
      reported = null;
    } else {
      this.#entries.delete(name);
    }
    for (const wake of waiting) wake(reported);
  }
}

/** `wake`, called without an error after `PATIENCE_MS` unless it was called before. */
function impatient(wake: (error: NodeJS.ErrnoException | null) => void): typeof wake {
  let isAwake = false;
  const once: typeof wake = (error) => {
    if (isAwake) return;
    isAwake = true;
    clearTimeout(timer);
    wake(error);
  };
  const timer = setTimeout(() => once(null), PATIENCE_MS);
  return once;
}
