/**
 * The answer of the embedded name server to one packet: a pure function from bytes and a snapshot to bytes.
 *
 * Authoritative only: no recursion, no transfers, no updates. The rules it keeps: RFC 1034 section 4.3.2 (the
 * algorithm), 2308 (SOA in negative answers), 6604 (answer code at the end of a CNAME chain), 6891 (EDNS),
 * 8020 (empty non-terminals), 8482 (minimal ANY), 8914 (extended errors: a stale answer says so), 8945 (a
 * signed request is told that its key is unknown). Names keep the case that they were asked in (0x20).
 *
 * What is no request is not answered at all: a packet shorter than a header, or an answer. Two servers could otherwise
 * keep each other busy for ever with one forged packet.
 */
import { DnsFormatError } from "../dns/error.js";
import {
  type DecodedMessage,
  type DnsMessage,
  decodeMessage,
  EMPTY_MESSAGE,
  encodeMessage,
  OPCODE,
  optRecord,
  peekHeader,
  type Question,
  type ResourceRecord,
} from "../dns/message.js";
import { readName } from "../dns/name.js";
import { RCODE, TSIG_ERROR } from "../dns/rcode.js";
import { CLASS, TYPE } from "../dns/rdata.js";
import { readTsig, tsigRecord } from "../dns/tsig.js";
import { type DataIndex, type DnsZoneData, findZone, indexData, type ZoneIndex } from "./dns-zone.js";

/** Answers over UDP are kept below what needs fragments; larger ones are sent for over TCP. Unit: bytes. */
const UDP_PAYLOAD_MAX = 1232;
const UDP_PAYLOAD_MIN = 512;
const TCP_PAYLOAD_MAX = 65_535;
const CNAME_HOPS_MAX = 8;
const OPTION_EXTENDED_ERROR = 15;

/** What goes back, and what it was, for counting. */
export interface DnsReply {
  readonly bytes: Buffer;
  readonly rcode: number;
  /** Why a SERVFAIL was sent that is nobody's wish: content that cannot be served. */
  readonly problem: string | null;
}

/** An RFC 8914 remark for people who look with `dig`. */
interface Remark {
  readonly code: number;
  readonly text: string;
}

interface Draft {
  rcode: number;
  authoritative: boolean;
  answers: ResourceRecord[];
  authorities: ResourceRecord[];
  additionals: ResourceRecord[];
  remark: Remark | null;
  problem: string | null;
}

function draft(rcode: number): Draft {
  return {
    rcode,
    authoritative: false,
    answers: [],
    authorities: [],
    additionals: [],
    remark: null,
    problem: null,
  };
}

/** Addresses of name servers, where we have them, save the asker a second question. */
function glue(index: DataIndex, servers: readonly ResourceRecord[]): ResourceRecord[] {
  const found: ResourceRecord[] = [];
  for (const server of servers) {
    const host = readName(server.rdata, 0).name.toLowerCase();
    const zone = findZone(index, host);
    if (zone === null || zone instanceof DnsFormatError) continue;
    for (const type of [TYPE.A, TYPE.AAAA]) found.push(...(zone.sets.get(host)?.get(type) ?? []));
  }
  return found;
}

/** Answers from a zone's records, following CNAMEs through all zones that we have. */
function resolve(index: DataIndex, first: ZoneIndex, question: Question): Draft {
  const result = draft(RCODE.NOERROR);
  result.authoritative = true;
  let zone = first;
  let owner = question.name;
  for (let hop = 0; hop <= CNAME_HOPS_MAX; hop++) {
    const key = owner.toLowerCase();
    const sets = zone.sets.get(key);
    const isChain = question.type !== TYPE.CNAME && question.type !== TYPE.ANY;
    const [cname] = isChain ? (sets?.get(TYPE.CNAME) ?? []) : [];
    if (cname !== undefined) {
      result.answers.push({ ...cname, name: owner });
      owner = readName(cname.rdata, 0).name;
      const next = findZone(index, owner.toLowerCase());
      // The rest of the chain is somebody else's to answer.
      if (next === null || next instanceof DnsFormatError || isUnserved(next)) return result;
      zone = next;
      continue;
    }
    const found = question.type === TYPE.ANY ? sets?.values().next().value : sets?.get(question.type);
    if (found !== undefined) {
      result.answers.push(...found.map((record) => ({ ...record, name: owner })));
      if (question.type === TYPE.NS) result.additionals.push(...glue(index, found));
      return result;
    }
    if (!zone.exists.has(key)) result.rcode = RCODE.NXDOMAIN;
    result.authorities.push(zone.negativeSoa);
    return result;
  }
  return result;
}

function isUnserved(zone: ZoneIndex): boolean {
  return zone.zone.stale && zone.zone.staleness === "servfail";
}

/** Types that are no data: a question for them is an error, or something that we do not offer. */
function refuseType(type: number): number | null {
  if (type === TYPE.AXFR || type === TYPE.IXFR) return RCODE.REFUSED;
  if (type === 0 || type === TYPE.OPT || type === TYPE.TSIG || type === TYPE.TKEY) return RCODE.FORMERR;
  // 128 to 254 are kinds of question, not of record (RFC 6895 section 3.1).
  return type >= 128 && type < TYPE.ANY ? RCODE.NOTIMP : null;
}

function answerQuestion(data: DnsZoneData, question: Question): Draft {
  if (question.class !== CLASS.IN) return draft(RCODE.REFUSED);
  const refused = refuseType(question.type);
  if (refused !== null) return draft(refused);
  const index = indexData(data);
  const zone = findZone(index, question.name.toLowerCase());
  if (zone === null) return draft(RCODE.REFUSED);
  if (zone instanceof DnsFormatError) return { ...draft(RCODE.SERVFAIL), problem: zone.message };
  if (isUnserved(zone)) {
    const text = "this witness is out of contact with the leader";
    return { ...draft(RCODE.SERVFAIL), remark: { code: 0, text } };
  }
  const result = resolve(index, zone, question);
  if (zone.zone.stale) result.remark = { code: 3, text: "this witness is out of contact with the leader" };
  return result;
}

function remarkOption(remark: Remark): Buffer {
  const text = Buffer.from(remark.text, "utf8");
  const option = Buffer.alloc(6);
  option.writeUInt16BE(OPTION_EXTENDED_ERROR, 0);
  option.writeUInt16BE(2 + text.length, 2);
  option.writeUInt16BE(remark.code, 4);
  return Buffer.concat([option, text]);
}

/** A reply without any section, for requests whose question cannot be repeated. */
function bare(request: { id: number; opcode: number; rd: boolean }, rcode: number): DnsReply {
  const message: DnsMessage = {
    ...EMPTY_MESSAGE,
    id: request.id,
    opcode: request.opcode,
    isResponse: true,
    recursionDesired: request.rd,
    rcode,
  };
  return { bytes: encodeMessage(message), rcode, problem: null };
}

/** "I failed", for a packet that met a bug or a missing snapshot: the asker tries another server at once. */
export function servfailDns(packet: Buffer): DnsReply | null {
  const header = peekHeader(packet);
  return header === null || header.isResponse ? null : bare(header, RCODE.SERVFAIL);
}

/** A request signed with a key: we have none, and say so in the way of RFC 8945 section 5.2.1. */
function rejectSignature(request: DecodedMessage, signature: ResourceRecord): DnsReply {
  const tsig = readTsig(signature);
  const reply: DnsMessage = {
    ...EMPTY_MESSAGE,
    id: request.id,
    isResponse: true,
    recursionDesired: request.recursionDesired,
    rcode: RCODE.NOTAUTH,
    questions: request.questions,
    additionals: [
      tsigRecord({ ...tsig, mac: Buffer.alloc(0), error: TSIG_ERROR.BADKEY, other: Buffer.alloc(0) }),
    ],
  };
  return { bytes: encodeMessage(reply), rcode: RCODE.NOTAUTH, problem: null };
}

/** Makes the reply fit: first without what nobody asked for, then as "come back over TCP". */
function fit(reply: DnsMessage, opt: readonly ResourceRecord[], maxBytes: number): Buffer {
  const whole = encodeMessage({ ...reply, additionals: [...reply.additionals, ...opt] });
  if (whole.length <= maxBytes) return whole;
  const withoutExtra = encodeMessage({ ...reply, additionals: opt });
  if (withoutExtra.length <= maxBytes) return withoutExtra;
  return encodeMessage({ ...reply, truncated: true, answers: [], authorities: [], additionals: opt });
}

/**
 * Answers one packet from a snapshot, or gives null for what must not be answered. Whatever the bytes, it returns; the
 * answer fits the transport it is for.
 */
export function answerDns(packet: Buffer, data: DnsZoneData, transport: "udp" | "tcp"): DnsReply | null {
  const header = peekHeader(packet);
  if (header === null || header.isResponse) return null;
  if (header.opcode !== OPCODE.QUERY) return bare(header, RCODE.NOTIMP);
  let request: DecodedMessage;
  try {
    request = decodeMessage(packet);
    const signature = request.additionals.at(-1);
    if (signature?.type === TYPE.TSIG && request.questions.length === 1)
      return rejectSignature(request, signature);
  } catch (error) {
    if (!(error instanceof DnsFormatError)) throw error;
    return bare(header, RCODE.FORMERR);
  }
  const opts = request.additionals.filter((record) => record.type === TYPE.OPT);
  const [question] = request.questions;
  const [opt] = opts;
  if (question === undefined || request.questions.length > 1 || opts.length > 1 || (opt?.name ?? ".") !== ".")
    return bare(header, RCODE.FORMERR);
  const isOldEdns = opt === undefined || ((opt.ttl >>> 16) & 0xff) === 0;
  const result = isOldEdns ? answerQuestion(data, question) : draft(RCODE.BADVERS);
  const reply: DnsMessage = {
    ...EMPTY_MESSAGE,
    id: request.id,
    isResponse: true,
    authoritative: result.authoritative,
    recursionDesired: request.recursionDesired,
    checkingDisabled: request.checkingDisabled,
    rcode: result.rcode & 0xf,
    questions: [question],
    answers: result.answers,
    authorities: result.authorities,
    additionals: result.additionals,
  };
  const ownOpt: ResourceRecord[] = [];
  if (opt !== undefined) {
    const record = optRecord({
      payloadBytes: UDP_PAYLOAD_MAX,
      extendedRcode: result.rcode >> 4,
      dnssecOk: (opt.ttl & 0x8000) !== 0,
    });
    ownOpt.push(result.remark === null ? record : { ...record, rdata: remarkOption(result.remark) });
  }
  const asked = opt === undefined ? UDP_PAYLOAD_MIN : Math.max(UDP_PAYLOAD_MIN, opt.class);
  const maxBytes = transport === "tcp" ? TCP_PAYLOAD_MAX : Math.min(asked, UDP_PAYLOAD_MAX);
  return { bytes: fit(reply, ownOpt, maxBytes), rcode: result.rcode, problem: result.problem };
}
