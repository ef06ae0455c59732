/**
 * Asking a name server a plain question: UDP first, TCP when the answer is truncated, one time budget for all of it.
 *
 * Used to verify a switch, by the demo, and by anybody who wants to know what a server says right now. Nothing is
 * cached and nothing is followed: what comes back is what this server said.
 */
import { Deadline, parseEndpoint } from "./endpoint.js";
import { DnsFormatError } from "./error.js";
import { ask, type Believed } from "./exchange.js";
import { type DnsMessage, EMPTY_MESSAGE, fullRcode, optRecord, type ResourceRecord } from "./message.js";
import { canonicalName } from "./name.js";
import { PACE } from "./pace.js";
import { rcodeName } from "./rcode.js";
import { CLASS, showValue, TYPE, typeName } from "./rdata.js";
import { openTcp } from "./tcp.js";
import type { TsigKey } from "./tsig.js";
import { openUdp, UDP_MAX_BYTES } from "./udp.js";

/** The types that can be asked for by name. */
export type QueryType = "A" | "AAAA" | "CNAME" | "TXT" | "NS" | "SOA" | "ANY";

/** How to ask. */
export interface QueryOptions {
  /** Budget for the whole exchange, fallback to TCP included. */
  readonly timeoutMs: number;
  /** Ask over TCP from the start. Default false. */
  readonly tcp?: boolean;
  /** Ask a resolver to resolve (RD bit). Default false: ask for what the server itself has. */
  readonly recursion?: boolean;
  readonly key?: TsigKey | null;
  readonly signal?: AbortSignal;
  /** First pause before an unanswered UDP packet is sent again. Default: by what is known of the server. */
  readonly resendAfterMs?: number;
}

/** A record as text. `ttl` in seconds. */
export interface AnswerRecord {
  readonly name: string;
  readonly type: string;
  readonly ttl: number;
  readonly value: string;
}

/** What a server said. */
export interface QueryAnswer {
  /** "host:port" that answered. */
  readonly server: string;
  /** "NOERROR", "NXDOMAIN", "SERVFAIL"… */
  readonly rcode: string;
  /** True when the server speaks for the zone itself (AA bit). */
  readonly authoritative: boolean;
  readonly answers: readonly AnswerRecord[];
  readonly authorities: readonly AnswerRecord[];
  readonly additionals: readonly AnswerRecord[];
  readonly tookMs: number;
  /** The answer as decoded, for those who need the bytes. */
  readonly message: DnsMessage;
}

/** A question as a message; EDNS is added for UDP only, where it lets a larger answer through. */
export function queryMessage(
  name: string,
  type: number,
  options: { recursion: boolean; edns: boolean },
): DnsMessage {
  return {
    ...EMPTY_MESSAGE,
    recursionDesired: options.recursion,
    questions: [{ name, type, class: CLASS.IN }],
    additionals: options.edns ? [optRecord({ payloadBytes: UDP_MAX_BYTES })] : [],
  };
}

/** A record as text; data that is no valid value of its type is shown as bytes. */
function showRecord(record: ResourceRecord): AnswerRecord {
  let value: string;
  try {
    value = showValue(record.type, record.rdata);
  } catch (error) {
    if (!(error instanceof DnsFormatError)) throw error;
    value = `\\# ${record.rdata.length} ${record.rdata.toString("hex")}`;
  }
  return { name: record.name, type: typeName(record.type), ttl: record.ttl, value };
}

/** The records of a set in an answer: this owner, this type, nothing that a CNAME led to. */
export function recordSet(message: DnsMessage, name: string, type: number): ResourceRecord[] {
  const owner = canonicalName(name);
  return message.answers.filter(
    (record) => record.type === type && record.class === CLASS.IN && record.name.toLowerCase() === owner,
  );
}

/**
 * Asks `server` ("host:port") for `name` and `type`. Any answer code is an answer; throws `DnsError` when there is no
 * believable answer in time, `DnsFormatError` for a name or address that cannot be asked for.
 */
export async function queryDns(
  server: string,
  name: string,
  type: QueryType,
  options: QueryOptions,
): Promise<QueryAnswer> {
  const to = parseEndpoint(server);
  const deadline = Deadline.in(options.timeoutMs);
  const signal = options.signal ?? new AbortController().signal;
  const tcp = options.tcp ?? false;
  const startedAt = performance.now();
  const channel = tcp
    ? await openTcp(to, deadline, signal)
    : openUdp(to, options.resendAfterMs ?? PACE.pauseMs(to.text));
  try {
    const request = queryMessage(name, TYPE[type], { recursion: options.recursion ?? false, edns: !tcp });
    const context = { channel, key: options.key ?? null, wallClockMs: Date.now, deadline, signal };
    let message: Believed = await ask(request, context);
    // Of several packets nobody knows which one was answered.
    if (!tcp && message.copies === 1) PACE.note(to.text, performance.now() - startedAt);
    // A server too old for EDNS says FORMERR or NOTIMP to it; without EDNS it answers (RFC 6891 section 7).
    if (!tcp && (message.rcode === 1 || message.rcode === 4))
      message = await ask({ ...request, additionals: [] }, context);
    return {
      server: to.text,
      rcode: rcodeName(fullRcode(message)),
      authoritative: message.authoritative,
      answers: message.answers.map(showRecord),
      authorities: message.authorities.map(showRecord),
      additionals: message.additionals.filter((record) => record.type !== TYPE.OPT).map(showRecord),
      tookMs: performance.now() - startedAt,
      message,
    };
  } finally {
    channel.close();
  }
}
