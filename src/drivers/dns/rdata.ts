/**
 * The data of records: text to bytes and back, for the types that this program writes or shows.
 *
 * Two values are compared by `rdataKey`, never by their text: 2001:DB8::1 and 2001:db8:0::1 are one address, a host
 * name ignores case, and a TXT value is one text however it is cut into strings of 255 bytes.
 */
import { isIPv4, isIPv6 } from "node:net";
import { DnsFormatError } from "./error.js";
import { canonicalName, nameToWire, readName } from "./name.js";

/** Record types by name (RFC 1035, 3596, 6891, 8945). */
export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  DNAME: 39,
  OPT: 41,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

/** Record classes; NONE and ANY have meanings of their own in an update (RFC 2136 section 2.4 and 2.5). */
export const CLASS = { IN: 1, CH: 3, NONE: 254, ANY: 255 } as const;

/** The types whose records Pointsman moves. */
export type RecordType = "A" | "AAAA" | "CNAME" | "TXT";

/** The fields of an SOA record. Times in seconds. */
export interface Soa {
  readonly mname: string;
  readonly rname: string;
  readonly serial: number;
  readonly refresh: number;
  readonly retry: number;
  readonly expire: number;
  readonly minimum: number;
}

const TYPE_NAMES = new Map<number, string>(Object.entries(TYPE).map(([name, number]) => [number, name]));

/** "A" for 1; "TYPE65" for a type without a name here (RFC 3597). */
export function typeName(type: number): string {
  return TYPE_NAMES.get(type) ?? `TYPE${type}`;
}

function ipv4Bytes(text: string): Buffer {
  if (!isIPv4(text)) throw new DnsFormatError(`"${text}" is no IPv4 address such as 192.0.2.1`);
  return Buffer.from(text.split(".").map(Number));
}

function ipv6Bytes(text: string): Buffer {
  if (!isIPv6(text) || text.includes("%"))
    throw new DnsFormatError(`"${text}" is no IPv6 address such as 2001:db8::1 (without a zone index)`);
  // A trailing dotted quad is two groups in another dress.
  const plain = text.replace(/\d+\.\d+\.\d+\.\d+$/, (quad) => {
    const bytes = ipv4Bytes(quad);
    return `${bytes.readUInt16BE(0).toString(16)}:${bytes.readUInt16BE(2).toString(16)}`;
  });
  const [head = "", tail] = plain.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const bytes = Buffer.alloc(16);
  left.forEach((group, at) => {
    bytes.writeUInt16BE(Number.parseInt(group, 16), at * 2);
  });
  right.forEach((group, at) => {
    bytes.writeUInt16BE(Number.parseInt(group, 16), (8 - right.length + at) * 2);
  });
  return bytes;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as "::". */
function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  if (best.start < 0) return hex(0, 8);
  return `${hex(0, best.start)}::${hex(best.start + best.length, 8)}`;
}

/** The bytes of a TXT record that holds `text`, in strings of at most 255 bytes. */
export function txtRdata(text: string | Buffer): Buffer {
  const bytes = typeof text === "string" ? Buffer.from(text, "utf8") : text;
  const parts: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += 255) {
    const part = bytes.subarray(at, at + 255);
    parts.push(Buffer.from([part.length]), part);
  }
  return Buffer.concat(parts);
}

/** The bytes of all strings of a TXT record, joined. Throws `DnsFormatError`. */
export function txtBytes(rdata: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < rdata.length; ) {
    const end = at + 1 + (rdata[at] ?? 0);
    if (end > rdata.length) throw new DnsFormatError("a string of a TXT record runs past its end");
    parts.push(rdata.subarray(at + 1, end));
    at = end;
  }
  return Buffer.concat(parts);
}

/** The bytes of an SOA record, uncompressed. */
export function soaRdata(soa: Soa): Buffer {
  const numbers = Buffer.alloc(20);
  [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum].forEach((value, at) => {
    numbers.writeUInt32BE(value >>> 0, at * 4);
  });
  return Buffer.concat([nameToWire(soa.mname), nameToWire(soa.rname), numbers]);
}

/** Reads an SOA record from uncompressed bytes. Throws `DnsFormatError`. */
export function readSoa(rdata: Buffer): Soa {
  const mname = readName(rdata, 0);
  const rname = readName(rdata, mname.next);
  if (rdata.length !== rname.next + 20) throw new DnsFormatError("an SOA record has a wrong length");
  const number = (at: number): number => rdata.readUInt32BE(rname.next + at * 4);
  return {
    mname: mname.name,
    rname: rname.name,
    serial: number(0),
    refresh: number(1),
    retry: number(2),
    expire: number(3),
    minimum: number(4),
  };
}

/** The bytes of a value in text. Throws `DnsFormatError` that names the value and what is expected. */
export function encodeValue(type: RecordType | "NS", text: string): Buffer {
  switch (type) {
    case "A":
      return ipv4Bytes(text);
    case "AAAA":
      return ipv6Bytes(text);
    case "CNAME":
    case "NS":
      return nameToWire(text);
    case "TXT":
      return txtRdata(text);
  }
}

/** A value as a person reads it; types without a form here as `\# LENGTH HEX` (RFC 3597). */
export function showValue(type: number, rdata: Buffer): string {
  switch (type) {
    case TYPE.A:
      if (rdata.length === 4) return rdata.join(".");
      break;
    case TYPE.AAAA:
      if (rdata.length === 16) return ipv6Text(rdata);
      break;
    case TYPE.CNAME:
    case TYPE.NS:
    case TYPE.PTR:
      return readName(rdata, 0).name;
    case TYPE.TXT:
      return txtBytes(rdata).toString("utf8");
    case TYPE.SOA: {
      const soa = readSoa(rdata);
      return `${soa.mname} ${soa.rname} ${soa.serial} ${soa.refresh} ${soa.retry} ${soa.expire} ${soa.minimum}`;
    }
  }
  return `\\# ${rdata.length} ${rdata.toString("hex")}`;
}

/** A string that is equal exactly for values that mean the same. */
export function rdataKey(type: number, rdata: Buffer): string {
  switch (type) {
    case TYPE.CNAME:
    case TYPE.NS:
    case TYPE.PTR:
      return canonicalName(readName(rdata, 0).name);
    case TYPE.TXT:
      return txtBytes(rdata).toString("hex");
    default:
      return rdata.toString("hex");
  }
}
