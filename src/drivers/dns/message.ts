/**
 * DNS messages to bytes and back (RFC 1035 section 4, update sections of RFC 2136).
 *
 * Why our own and not the npm codec `dns-packet`: a message here must survive byte for byte. A signature covers the
 * bytes of an answer up to the TSIG record, so the reader must tell where that record starts; an update needs the
 * classes NONE and ANY; names are bytes, not UTF-8; answers over UDP need compression. The library has none of the
 * four. It is the oracle of the tests instead.
 *
 * A decoded record holds its data uncompressed, so it can be moved into another message. Whatever bytes come in,
 * decoding returns a message or throws `DnsFormatError`; bytes after the last record are an error too.
 */
import { DnsFormatError } from "./error.js";
import { labelText, nameToWire, parseLabels, readName } from "./name.js";
import { TYPE } from "./rdata.js";

/** Kinds of request (RFC 1035, 1996, 2136). */
export const OPCODE = { QUERY: 0, NOTIFY: 4, UPDATE: 5 } as const;

/** A question; in an update the zone. */
export interface Question {
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

/** A record. `ttl` in seconds; `rdata` uncompressed. For OPT, `class` and `ttl` hold what RFC 6891 puts there. */
export interface ResourceRecord {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  readonly rdata: Buffer;
}

/** A message; in an update the sections are zone, prerequisites, updates and additional data. */
export interface DnsMessage {
  readonly id: number;
  readonly isResponse: boolean;
  readonly opcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly recursionDesired: boolean;
  readonly recursionAvailable: boolean;
  readonly checkingDisabled: boolean;
  /** The four bits of the header; see `fullRcode` for the rest. */
  readonly rcode: number;
  readonly questions: readonly Question[];
  readonly answers: readonly ResourceRecord[];
  readonly authorities: readonly ResourceRecord[];
  readonly additionals: readonly ResourceRecord[];
}

/** A decoded message and where its last record starts: a signature covers the bytes before it. */
export interface DecodedMessage extends DnsMessage {
  readonly lastRecordOffset: number;
}

/** The fields of a message that a caller need not repeat. */
export const EMPTY_MESSAGE: DnsMessage = {
  id: 0,
  isResponse: false,
  opcode: OPCODE.QUERY,
  authoritative: false,
  truncated: false,
  recursionDesired: false,
  recursionAvailable: false,
  checkingDisabled: false,
  rcode: 0,
  questions: [],
  answers: [],
  authorities: [],
  additionals: [],
};

/** Appends names and records to a message and remembers where a name can be pointed to. */
class Writer {
  readonly #parts: Buffer[] = [];
  readonly #offsets = new Map<string, number>();
  #length = 0;

  bytes(part: Buffer): void {
    this.#parts.push(part);
    this.#length += part.length;
  }

  /** Spelling matters here: a pointer to the same name in other case would change what was asked. */
  name(text: string): void {
    const labels = parseLabels(text);
    const texts = labels.map(labelText);
    for (const [at, label] of labels.entries()) {
      const suffix = texts.slice(at).join(".");
      const known = this.#offsets.get(suffix);
      if (known !== undefined) {
        this.bytes(Buffer.from([0xc0 | (known >> 8), known & 0xff]));
        return;
      }
      if (this.#length < 0x4000) this.#offsets.set(suffix, this.#length);
      this.bytes(Buffer.from([label.length]));
      this.bytes(label);
    }
    this.bytes(Buffer.from([0]));
  }

  record(record: ResourceRecord): void {
    this.name(record.name);
    const fixed = Buffer.alloc(10);
    fixed.writeUInt16BE(record.type, 0);
    fixed.writeUInt16BE(record.class, 2);
    fixed.writeUInt32BE(record.ttl, 4);
    this.bytes(fixed);
    const before = this.#length;
    this.#rdata(record);
    // The length is known only after the names inside were compressed; `fixed` is still ours to fill in.
    fixed.writeUInt16BE(this.#length - before, 8);
  }

  #rdata(record: ResourceRecord): void {
    const { rdata } = record;
    // An update deletes a set by a record without data, whatever its type.
    if (rdata.length === 0) return;
    if (record.type === TYPE.NS || record.type === TYPE.CNAME) {
      this.name(readName(rdata, 0).name);
    } else if (record.type === TYPE.SOA) {
      const mname = readName(rdata, 0);
      const rname = readName(rdata, mname.next);
      this.name(mname.name);
      this.name(rname.name);
      this.bytes(rdata.subarray(rname.next));
    } else {
      this.bytes(rdata);
    }
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts, this.#length);
  }
}

/** The bytes of a message. Throws `DnsFormatError` for a name that cannot be written. */
export function encodeMessage(message: DnsMessage): Buffer {
  const writer = new Writer();
  const header = Buffer.alloc(12);
  let flags = (message.opcode & 0xf) << 11;
  if (message.isResponse) flags |= 0x8000;
  if (message.authoritative) flags |= 0x0400;
  if (message.truncated) flags |= 0x0200;
  if (message.recursionDesired) flags |= 0x0100;
  if (message.recursionAvailable) flags |= 0x0080;
  if (message.checkingDisabled) flags |= 0x0010;
  flags |= message.rcode & 0xf;
  header.writeUInt16BE(message.id, 0);
  header.writeUInt16BE(flags, 2);
  header.writeUInt16BE(message.questions.length, 4);
  header.writeUInt16BE(message.answers.length, 6);
  header.writeUInt16BE(message.authorities.length, 8);
  header.writeUInt16BE(message.additionals.length, 10);
  writer.bytes(header);
  for (const question of message.questions) {
    writer.name(question.name);
    const fixed = Buffer.alloc(4);
    fixed.writeUInt16BE(question.type, 0);
    fixed.writeUInt16BE(question.class, 2);
    writer.bytes(fixed);
  }
  for (const record of [...message.answers, ...message.authorities, ...message.additionals]) {
    writer.record(record);
  }
  return writer.finish();
}

/** Reads the id of whatever came in, even when the rest is garbage; null when it is shorter than a header. */
export function peekHeader(bytes: Buffer): {
  readonly id: number;
  readonly isResponse: boolean;
  readonly opcode: number;
  readonly rd: boolean;
} | null {
  if (bytes.length < 12) return null;
  const flags = bytes.readUInt16BE(2);
  return {
    id: bytes.readUInt16BE(0),
    isResponse: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 0xf,
    rd: (flags & 0x0100) !== 0,
  };
}

/** Uncompressed data of a record whose data lies at `start` to `end` of the message. */
function readRdata(bytes: Buffer, type: number, start: number, end: number): Buffer {
  const rest = (from: number): Buffer => Buffer.from(bytes.subarray(from, end));
  const nameAt = (from: number): { wire: Buffer; next: number } => {
    const { name, next } = readName(bytes, from);
    if (next > end) throw new DnsFormatError(`a name inside a ${type} record runs past the record`);
    return { wire: nameToWire(name), next };
  };
  if (start === end) return Buffer.alloc(0);
  switch (type) {
    case TYPE.NS:
    case TYPE.CNAME:
    case TYPE.PTR:
    case TYPE.DNAME: {
      const { wire, next } = nameAt(start);
      if (next !== end) throw new DnsFormatError("a record of one name has bytes after the name");
      return wire;
    }
    case TYPE.SOA: {
      const mname = nameAt(start);
      const rname = nameAt(mname.next);
      if (rname.next + 20 !== end) throw new DnsFormatError("an SOA record has a wrong length");
      return Buffer.concat([mname.wire, rname.wire, rest(rname.next)]);
    }
    case TYPE.MX: {
      if (start + 2 > end) throw new DnsFormatError("an MX record is too short");
      const exchange = nameAt(start + 2);
      if (exchange.next !== end) throw new DnsFormatError("an MX record has bytes after its name");
      return Buffer.concat([bytes.subarray(start, start + 2), exchange.wire]);
    }
    default:
      return rest(start);
  }
}

/** Reads a message. Throws `DnsFormatError` for anything that is not exactly one message. */
export function decodeMessage(bytes: Buffer): DecodedMessage {
  if (bytes.length < 12) throw new DnsFormatError(`${bytes.length} bytes are too few for a header`);
  const flags = bytes.readUInt16BE(2);
  let at = 12;
  let lastRecordOffset = -1;
  const questions: Question[] = [];
  for (let left = bytes.readUInt16BE(4); left > 0; left--) {
    const { name, next } = readName(bytes, at);
    if (next + 4 > bytes.length) throw new DnsFormatError("a question runs past the end");
    questions.push({ name, type: bytes.readUInt16BE(next), class: bytes.readUInt16BE(next + 2) });
    at = next + 4;
  }
  const section = (count: number): ResourceRecord[] => {
    const records: ResourceRecord[] = [];
    for (let left = count; left > 0; left--) {
      lastRecordOffset = at;
      const { name, next } = readName(bytes, at);
      if (next + 10 > bytes.length) throw new DnsFormatError("a record runs past the end");
      const type = bytes.readUInt16BE(next);
      const start = next + 10;
      const end = start + bytes.readUInt16BE(next + 8);
      if (end > bytes.length) throw new DnsFormatError("the data of a record runs past the end");
      records.push({
        name,
        type,
        class: bytes.readUInt16BE(next + 2),
        ttl: bytes.readUInt32BE(next + 4),
        rdata: readRdata(bytes, type, start, end),
      });
      at = end;
    }
    return records;
  };
  const answers = section(bytes.readUInt16BE(6));
  const authorities = section(bytes.readUInt16BE(8));
  const additionals = section(bytes.readUInt16BE(10));
  if (at !== bytes.length) throw new DnsFormatError(`${bytes.length - at} bytes follow the last record`);
  return {
    id: bytes.readUInt16BE(0),
    isResponse: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 0xf,
    authoritative: (flags & 0x0400) !== 0,
    truncated: (flags & 0x0200) !== 0,
    recursionDesired: (flags & 0x0100) !== 0,
    recursionAvailable: (flags & 0x0080) !== 0,
    checkingDisabled: (flags & 0x0010) !== 0,
    rcode: flags & 0xf,
    questions,
    answers,
    authorities,
    additionals,
    lastRecordOffset,
  };
}

/** An OPT record (RFC 6891). `payloadBytes` is what the sender can take over UDP. */
export function optRecord(fields: {
  readonly payloadBytes: number;
  readonly extendedRcode?: number;
  readonly version?: number;
  readonly dnssecOk?: boolean;
}): ResourceRecord {
  const ttl =
    (((fields.extendedRcode ?? 0) & 0xff) * 0x1000000 +
      ((fields.version ?? 0) & 0xff) * 0x10000 +
      (fields.dnssecOk === true ? 0x8000 : 0)) >>>
    0;
  return { name: ".", type: TYPE.OPT, class: fields.payloadBytes, ttl, rdata: Buffer.alloc(0) };
}

/** The answer code with the upper eight bits that OPT may carry. */
export function fullRcode(message: DnsMessage): number {
  const opt = message.additionals.find((record) => record.type === TYPE.OPT);
  return opt === undefined ? message.rcode : ((opt.ttl >>> 24) << 4) | message.rcode;
}
