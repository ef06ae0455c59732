/**
 * Transaction signatures: TSIG (RFC 8945).
 *
 * A request is signed with a shared key; the answer's signature also covers the signature of the request, so an answer
 * to another request, an old one, or one with a single bit changed is not believed. A server that could not check our
 * signature cannot sign its answer (BADSIG, BADKEY come unsigned); such an answer is reported as what it says, and
 * never counts as success. BADTIME comes signed and carries the server's clock.
 *
 * Signatures are accepted in full length only: no server needs truncated ones from us.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { DnsFormatError } from "./error.js";
import { type DecodedMessage, decodeMessage, type ResourceRecord } from "./message.js";
import { canonicalName, nameToWire, readName } from "./name.js";
import { TSIG_ERROR } from "./rcode.js";
import { CLASS, TYPE } from "./rdata.js";

/** The algorithms offered; the others of RFC 8945 are obsolete or optional. */
export type TsigAlgorithm = "hmac-sha256" | "hmac-sha512";

/** A key shared with the name server. `secret` is the decoded secret, never its base64. */
export interface TsigKey {
  readonly name: string;
  readonly algorithm: TsigAlgorithm;
  readonly secret: Buffer;
}

/** The usual allowance for clock differences. Unit: seconds. */
const TSIG_FUDGE_SECONDS = 300;

const HASH: Readonly<Record<TsigAlgorithm, { hash: string; bytes: number }>> = {
  "hmac-sha256": { hash: "sha256", bytes: 32 },
  "hmac-sha512": { hash: "sha512", bytes: 64 },
};

/** The fields of a TSIG record. Times in seconds since 1970. */
export interface Tsig {
  readonly keyName: string;
  readonly algorithm: string;
  readonly timeSigned: number;
  readonly fudgeSeconds: number;
  readonly mac: Buffer;
  readonly originalId: number;
  readonly error: number;
  readonly other: Buffer;
}

/** What is to be thought of an answer to a signed request. */
export type TsigVerdict =
  | { readonly kind: "authentic"; readonly error: 0 }
  /**
   * Signed, but the clocks differ too much; `judge` says who found so: the server (it did nothing) or we (it may have
   * done what was asked). Times in seconds since 1970.
   */
  | {
      readonly kind: "bad_time";
      readonly judge: "server" | "us";
      readonly serverTime: number;
      readonly ourTime: number;
    }
  /** The server says why it did not believe us; unsigned by nature. */
  | { readonly kind: "rejected"; readonly error: number }
  /** No TSIG at all. */
  | { readonly kind: "unsigned" }
  /** A TSIG that does not hold; `reason` is a sentence part. */
  | { readonly kind: "forged"; readonly reason: string };

/** Reads the data of a TSIG record. Throws `DnsFormatError`. */
export function readTsig(record: ResourceRecord): Tsig {
  const { rdata } = record;
  const algorithm = readName(rdata, 0);
  let at = algorithm.next;
  const take = (count: number): Buffer => {
    if (at + count > rdata.length) throw new DnsFormatError("a TSIG record is too short");
    at += count;
    return rdata.subarray(at - count, at);
  };
  const timeSigned = take(6).readUIntBE(0, 6);
  const fudgeSeconds = take(2).readUInt16BE(0);
  const mac = take(take(2).readUInt16BE(0));
  const originalId = take(2).readUInt16BE(0);
  const error = take(2).readUInt16BE(0);
  const other = take(take(2).readUInt16BE(0));
  if (at !== rdata.length) throw new DnsFormatError("a TSIG record has bytes after its end");
  return {
    keyName: record.name,
    algorithm: algorithm.name,
    timeSigned,
    fudgeSeconds,
    mac,
    originalId,
    error,
    other,
  };
}

/** A TSIG record from its fields. */
export function tsigRecord(tsig: Tsig): ResourceRecord {
  const fixed = Buffer.alloc(10);
  fixed.writeUIntBE(tsig.timeSigned, 0, 6);
  fixed.writeUInt16BE(tsig.fudgeSeconds, 6);
  fixed.writeUInt16BE(tsig.mac.length, 8);
  const tail = Buffer.alloc(6);
  tail.writeUInt16BE(tsig.originalId, 0);
  tail.writeUInt16BE(tsig.error, 2);
  tail.writeUInt16BE(tsig.other.length, 4);
  const rdata = Buffer.concat([nameToWire(tsig.algorithm, true), fixed, tsig.mac, tail, tsig.other]);
  return { name: canonicalName(tsig.keyName), type: TYPE.TSIG, class: CLASS.ANY, ttl: 0, rdata };
}

/** The signature over a message without TSIG and the TSIG variables (RFC 8945 section 4.3). */
function macOf(key: TsigKey, message: Buffer, tsig: Omit<Tsig, "mac">, requestMac: Buffer | null): Buffer {
  const hmac = createHmac(HASH[key.algorithm].hash, key.secret);
  if (requestMac !== null) {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(requestMac.length, 0);
    hmac.update(length).update(requestMac);
  }
  hmac.update(message);
  const start = Buffer.alloc(6);
  start.writeUInt16BE(CLASS.ANY, 0);
  const times = Buffer.alloc(12);
  times.writeUIntBE(tsig.timeSigned, 0, 6);
  times.writeUInt16BE(tsig.fudgeSeconds, 6);
  times.writeUInt16BE(tsig.error, 8);
  times.writeUInt16BE(tsig.other.length, 10);
  hmac.update(nameToWire(tsig.keyName, true)).update(start).update(nameToWire(tsig.algorithm, true));
  return hmac.update(times).update(tsig.other).digest();
}

/** Appends a record to a finished message, without compression, and counts it. */
function appendAdditional(message: Buffer, record: ResourceRecord): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(record.type, 0);
  fixed.writeUInt16BE(record.class, 2);
  fixed.writeUInt32BE(record.ttl, 4);
  fixed.writeUInt16BE(record.rdata.length, 8);
  const signed = Buffer.concat([message, nameToWire(record.name), fixed, record.rdata]);
  signed.writeUInt16BE(signed.readUInt16BE(10) + 1, 10);
  return signed;
}

/**
 * Signs a finished message. `timeSeconds` is wall time, because the server compares it with its own.
 * `requestMac` is given when the message is an answer. Returns the bytes to send and the signature in them.
 */
export function signMessage(
  message: Buffer,
  key: TsigKey,
  options: {
    readonly timeSeconds: number;
    readonly fudgeSeconds?: number;
    readonly requestMac?: Buffer;
    readonly error?: number;
    readonly other?: Buffer;
  },
): { readonly bytes: Buffer; readonly mac: Buffer } {
  const fields = {
    keyName: key.name,
    algorithm: key.algorithm,
    timeSigned: options.timeSeconds,
    fudgeSeconds: options.fudgeSeconds ?? TSIG_FUDGE_SECONDS,
    originalId: message.readUInt16BE(0),
    error: options.error ?? 0,
    other: options.other ?? Buffer.alloc(0),
  };
  const mac = macOf(key, message, fields, options.requestMac ?? null);
  return { bytes: appendAdditional(message, tsigRecord({ ...fields, mac })), mac };
}

/**
 * Judges the signature of an answer (RFC 8945 section 5.3 and 5.4). `bytes` is the whole answer as it came,
 * `nowSeconds` our wall clock. Never throws for what the bytes contain, unless they are no DNS message at all.
 */
export function verifyAnswer(
  bytes: Buffer,
  key: TsigKey,
  requestMac: Buffer,
  nowSeconds: number,
  message: DecodedMessage = decodeMessage(bytes),
): TsigVerdict {
  const forged = (reason: string): TsigVerdict => ({ kind: "forged", reason });
  const all = [...message.answers, ...message.authorities, ...message.additionals];
  const signatures = all.filter((record) => record.type === TYPE.TSIG);
  const record = message.additionals.at(-1);
  if (signatures.length === 0) return { kind: "unsigned" };
  if (signatures.length > 1 || record === undefined || record.type !== TYPE.TSIG)
    return forged("the TSIG record is not the last one, or not the only one");
  if (record.class !== CLASS.ANY || record.ttl !== 0)
    return forged("the TSIG record has a wrong class or TTL");
  const tsig = readTsig(record);
  if (tsig.mac.length === 0) {
    const isUnsignedByNature = tsig.error === TSIG_ERROR.BADSIG || tsig.error === TSIG_ERROR.BADKEY;
    return isUnsignedByNature
      ? { kind: "rejected", error: tsig.error }
      : forged("the TSIG record carries no signature");
  }
  if (canonicalName(tsig.keyName) !== canonicalName(key.name))
    return forged(`it is signed with the key "${tsig.keyName}", not with "${key.name}"`);
  if (canonicalName(tsig.algorithm) !== key.algorithm)
    return forged(`it is signed by ${tsig.algorithm}, not by ${key.algorithm}`);
  if (tsig.mac.length !== HASH[key.algorithm].bytes) return forged("the signature is cut short");
  // What was signed is the message as it was before the TSIG record was added, with the id of the request.
  const unsigned = Buffer.from(bytes.subarray(0, message.lastRecordOffset));
  unsigned.writeUInt16BE(unsigned.readUInt16BE(10) - 1, 10);
  unsigned.writeUInt16BE(tsig.originalId, 0);
  if (!timingSafeEqual(macOf(key, unsigned, tsig, requestMac), tsig.mac))
    return forged("the signature does not fit the answer");
  if (tsig.error === TSIG_ERROR.BADTIME) {
    const serverTime = tsig.other.length === 6 ? tsig.other.readUIntBE(0, 6) : tsig.timeSigned;
    return { kind: "bad_time", judge: "server", serverTime, ourTime: nowSeconds };
  }
  if (tsig.error !== 0) return { kind: "rejected", error: tsig.error };
  if (Math.abs(nowSeconds - tsig.timeSigned) > tsig.fudgeSeconds)
    return { kind: "bad_time", judge: "us", serverTime: tsig.timeSigned, ourTime: nowSeconds };
  return { kind: "authentic", error: 0 };
}
