/**
 * Dynamic update messages (RFC 2136): a list of conditions and a list of changes that the server takes as one.
 *
 * The server checks every prerequisite against the zone and then makes all changes or none (section 3.2,
 * 3.4), under its own lock: compare-and-swap, decided where the data is. That is why a stale update cannot do
 * harm here, and why sending one twice is safe: the second meets a prerequisite that no longer holds.
 */
import { type AskContext, ask, refusal } from "./exchange.js";
import { type DnsMessage, EMPTY_MESSAGE, OPCODE, type ResourceRecord } from "./message.js";
import { RCODE } from "./rcode.js";
import { CLASS, TYPE } from "./rdata.js";

const NOTHING = Buffer.alloc(0);

/** Prerequisites, each one or more records of the prerequisite section (RFC 2136 section 2.4). */
export const prerequisite = {
  /** The set exists with exactly these data, in any order; TTLs do not matter. */
  setIs(name: string, type: number, rdatas: readonly Buffer[]): ResourceRecord[] {
    return rdatas.map((rdata) => ({ name, type, class: CLASS.IN, ttl: 0, rdata }));
  },
  /** No such set exists. */
  setAbsent(name: string, type: number): ResourceRecord[] {
    return [{ name, type, class: CLASS.NONE, ttl: 0, rdata: NOTHING }];
  },
};

/** Changes, each one or more records of the update section (RFC 2136 section 2.5); carried out in order. */
export const change = {
  /** Adds records; an equal one takes the new TTL. TTL in seconds. */
  add(name: string, type: number, ttl: number, rdatas: readonly Buffer[]): ResourceRecord[] {
    return rdatas.map((rdata) => ({ name, type, class: CLASS.IN, ttl, rdata }));
  },
  /** Deletes a set whole, if it exists. */
  deleteSet(name: string, type: number): ResourceRecord[] {
    return [{ name, type, class: CLASS.ANY, ttl: 0, rdata: NOTHING }];
  },
};

/** One update of one zone. */
export interface DnsUpdate {
  readonly zone: string;
  readonly prerequisites: readonly ResourceRecord[];
  readonly changes: readonly ResourceRecord[];
}

/** The message of an update. */
function updateMessage(update: DnsUpdate): DnsMessage {
  return {
    ...EMPTY_MESSAGE,
    opcode: OPCODE.UPDATE,
    questions: [{ name: update.zone, type: TYPE.SOA, class: CLASS.IN }],
    answers: update.prerequisites,
    authorities: update.changes,
  };
}

/**
 * Sends an update and returns when the server says that it was carried out. Throws `DnsError`: by its `maybeDone` the
 * caller knows whether the update may have happened; prerequisite failures have the codes `dns_nxrrset`,
 * `dns_yxrrset`, `dns_nxdomain`, `dns_yxdomain`.
 */
export async function sendUpdate(update: DnsUpdate, context: AskContext): Promise<void> {
  const answer = await ask(updateMessage(update), context);
  const error = refusal(answer, context.channel.server.text, [RCODE.NOERROR]);
  if (error !== null) throw error;
}
