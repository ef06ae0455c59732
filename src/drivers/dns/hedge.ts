/**
 * A channel for a line that loses packets: every request goes several ways side by side, and the first answer wins.
 *
 * One TCP connection is at the mercy of its own back-off: a lost SYN costs one second, a lost segment 200,
 * 400, 800 ms. So while something is unanswered, another connection is begun after each pause, and whichever
 * comes up carries all that is still open; the connections that are up carry every new request; the oldest is
 * ended when there are too many. Pauses grow and begin with twice the server's round trip (pace.ts). A
 * request that is signed and small enough also goes as a UDP packet, at once where no connection is up yet. A
 * clean line sees one connection, and one copy of each update.
 *
 * Why this is safe:
 * - All copies are the same bytes. A question changes nothing; a second copy of an update meets a
 *   prerequisite that no longer holds (dns-switch.ts); a late copy from an older epoch does, too.
 * - Over UDP only an answer that is signed with the key for exactly this request is taken: a guess from off the path is
 *   waited past, and so is a truncated one (TCP brings the whole).
 * - `Reply.copies` counts what was sent: an answer speaks for one copy.
 * - A refused connect while no connection is up is the definite end, as with a single one.
 */
import { randomInt } from "node:crypto";
import { type Channel, type IsAuthentic, limited, type Reply } from "./channel.js";
import type { Deadline, Endpoint } from "./endpoint.js";
import { DnsError } from "./error.js";
import { OPCODE, peekHeader } from "./message.js";
import { GROWTH, PAUSE_MAX_MS, type Pace } from "./pace.js";
import { openTcp } from "./tcp.js";
import { exchangeUdp, isTruncated, UDP_MAX_BYTES } from "./udp.js";

/** Connections at a time, those that are still being opened included. */
const LANES_MAX = 6;

/** One way to the server: a connection that is being opened (channel null) or is up. */
interface Lane {
  channel: Channel | null;
  readonly stop: AbortController;
}

/** A request without an answer yet. */
interface Open {
  readonly request: Buffer;
  readonly deadline: Deadline;
  readonly isAuthentic: IsAuthentic | null;
  /** Ends what carries it. */
  readonly stop: AbortController;
  readonly sinceMs: number;
  /** It changes nothing, so copies are free. */
  readonly isQuestion: boolean;
  /** How many times it was sent, as far as we know. */
  copies: number;
  /** What carries it now. */
  readonly ways: Set<Lane | "udp">;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: DnsError) => void;
}

class HedgedChannel implements Channel {
  readonly server: Endpoint;
  readonly #pace: Pace;
  /** For opening connections; requests have their own. */
  readonly #deadline: Deadline;
  /** The oldest first. */
  readonly #lanes = new Set<Lane>();
  readonly #open = new Set<Open>();
  #failure: DnsError | null = null;
  #timer: NodeJS.Timeout | undefined;
  #id = randomInt(0x10000);

  constructor(server: Endpoint, deadline: Deadline, pace: Pace) {
    this.server = server;
    this.#deadline = deadline;
    this.#pace = pace;
    this.#dial();
  }

  /** Never the same twice in the life of a channel, so that a late copy of an answer meets no other request. */
  nextId(): number {
    this.#id = (this.#id + 1) & 0xffff;
    return this.#id;
  }

  exchange(
    request: Buffer,
    deadline: Deadline,
    signal: AbortSignal,
    isAuthentic: IsAuthentic | null = null,
  ): Promise<Reply> {
    const stop = new AbortController();
    let copies = (): number => 0;
    return limited<Reply>(
      deadline,
      signal,
      this.server,
      () => copies() > 0,
      (resolve, reject) => {
        const sinceMs = performance.now();
        const isQuestion = peekHeader(request)?.opcode === OPCODE.QUERY;
        const parts = { request, deadline, isAuthentic, stop, sinceMs, isQuestion, resolve, reject };
        const open: Open = { ...parts, copies: 0, ways: new Set() };
        if (this.#failure !== null) {
          reject(this.#failure);
          return () => {};
        }
        copies = () => open.copies;
        this.#open.add(open);
        this.#begin(open);
        return () => {
          stop.abort();
          this.#open.delete(open);
          if (this.#open.size === 0) clearTimeout(this.#timer);
        };
      },
    );
  }

  close(): void {
    this.#fail(
      new DnsError("dns_closed", `the channel to name server ${this.server.text} is closed`, {
        server: this.server.text,
        maybeDone: false,
        retriable: true,
      }),
    );
  }

  #begin(open: Open): void {
    if (this.#open.size === 1) this.#beat(this.#pace.pauseMs(this.server.text));
    this.#carryByAll(open);
    if (open.ways.size === 0) this.#carryUdp(open);
  }

  /** After each pause in which something stayed unanswered: once more, every way that there is, and one more. */
  #beat(pauseMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#dial();
      for (const open of this.#open) {
        this.#carryByAll(open);
        this.#carryUdp(open);
      }
      this.#beat(Math.min(pauseMs * GROWTH, PAUSE_MAX_MS));
    }, pauseMs);
  }

  #dial(): void {
    const [oldest] = this.#lanes;
    if (this.#lanes.size >= LANES_MAX && oldest !== undefined) this.#drop(oldest);
    const lane: Lane = { channel: null, stop: new AbortController() };
    this.#lanes.add(lane);
    const startedAt = performance.now();
    openTcp(this.server, this.#deadline, lane.stop.signal).then(
      (channel) => {
        // It came up at the very moment in which it was given up.
        if (!this.#lanes.has(lane)) return channel.close();
        lane.channel = channel;
        this.#pace.note(this.server.text, performance.now() - startedAt);
        // An update that went by UDP a moment ago is given its time: a clean line sees one copy.
        const isDue = ({ isQuestion, ways, sinceMs }: Open): boolean =>
          isQuestion ||
          ways.size === 0 ||
          performance.now() - sinceMs >= this.#pace.pauseMs(this.server.text);
        for (const open of this.#open) if (isDue(open)) this.#carry(lane, open);
      },
      (error: DnsError) => {
        if (!this.#lanes.delete(lane)) return;
        const isUp = [...this.#lanes].some(({ channel }) => channel !== null);
        if (error.code === "dns_unreachable" && !isUp) this.#fail(error);
      },
    );
  }

  #carryByAll(open: Open): void {
    for (const lane of this.#lanes) this.#carry(lane, open);
  }

  #carry(lane: Lane, open: Open): void {
    const { channel } = lane;
    if (channel === null || open.ways.has(lane)) return;
    open.copies++;
    open.ways.add(lane);
    const sentAt = performance.now();
    channel.exchange(open.request, open.deadline, open.stop.signal).then(
      ({ bytes }) => {
        this.#pace.note(this.server.text, performance.now() - sentAt);
        open.resolve({ bytes, copies: open.copies });
      },
      (error: DnsError) => {
        open.ways.delete(lane);
        // Nothing left on a connection that was closed already.
        if (!error.maybeDone) open.copies--;
        if (error.code === "dns_closed") this.#lanes.delete(lane);
        if (open.ways.size === 0 && this.#lanes.size === 0) open.reject(ofRequest(error, open));
      },
    );
  }

  #carryUdp(open: Open): void {
    const { request, deadline, isAuthentic } = open;
    if (isAuthentic === null || open.ways.has("udp") || request.length > UDP_MAX_BYTES) return;
    open.ways.add("udp");
    const stop = new AbortController();
    open.stop.signal.addEventListener("abort", () => stop.abort());
    const options = {
      deadline,
      signal: stop.signal,
      resendAfterMs: this.#pace.pauseMs(this.server.text),
      isAnswer: (bytes: Buffer): boolean => {
        if (!isAuthentic(bytes)) return false;
        if (isTruncated(bytes)) stop.abort();
        return !stop.signal.aborted;
      },
      onSend: (): void => void open.copies++,
    };
    exchangeUdp(this.server, request, options).then(
      ({ bytes }) => open.resolve({ bytes, copies: open.copies }),
      () => {
        // Truncated, or no UDP there: the rest is for TCP, at once.
        open.ways.delete("udp");
        if (this.#open.has(open)) this.#carryByAll(open);
      },
    );
  }

  #drop(lane: Lane): void {
    this.#lanes.delete(lane);
    lane.stop.abort();
    lane.channel?.close();
  }

  /** The end of the channel: nothing goes over it any more, and what is open has failed. */
  #fail(error: DnsError): void {
    this.#failure ??= error;
    clearTimeout(this.#timer);
    for (const lane of this.#lanes) this.#drop(lane);
    for (const open of this.#open) open.reject(ofRequest(error, open));
  }
}

/** A failure of the line, as it is for one request: copies of it may have left. */
function ofRequest(error: DnsError, { copies }: Open): DnsError {
  return error.about({ maybeDone: copies > 0, copies });
}

/**
 * A hedged channel; it dials at once and takes requests at once. `deadline` ends the opening of connections.
 * Close it: until then it may hold up to six connections.
 */
export function openHedged(server: Endpoint, deadline: Deadline, pace: Pace): Channel {
  return new HedgedChannel(server, deadline, pace);
}
