/**
 * One request and its believed answer: id, signature, question and answer code checked.
 *
 * What comes out of `ask` is an answer that belongs to the request and, where a key is in use, was signed by the holder
 * of the key over exactly these bytes and this request. An answer that says "no" without a signature is passed on
 * as a "no" (many servers cannot or do not sign refusals); an unsigned "yes" is never believed.
 */
import type { Channel, IsAuthentic } from "./channel.js";
import type { Deadline } from "./endpoint.js";
import { DnsError, DnsFormatError } from "./error.js";
import { type DecodedMessage, type DnsMessage, decodeMessage, encodeMessage, fullRcode } from "./message.js";
import { canonicalName } from "./name.js";
import { explainRcode, explainTsigError, RCODE, type RcodeInfo } from "./rcode.js";
import { signMessage, type TsigKey, type TsigVerdict, verifyAnswer } from "./tsig.js";

/** What an exchange needs besides the request. */
export interface AskContext {
  readonly channel: Channel;
  /** Signs the request, and demands a signed answer; null for none. */
  readonly key: TsigKey | null;
  /** Wall clock for signatures, in milliseconds since 1970. */
  readonly wallClockMs: () => number;
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
}

/** A `DnsError` for an answer code; `maybeDone` is true only for SERVFAIL, which forwarders give for silence. */
function rcodeError(info: RcodeInfo, server: string, note: string): DnsError {
  const message = `name server ${server} answered ${info.mnemonic}${note}: ${info.meaning}; ${info.remedy}`;
  return new DnsError(info.code, message, {
    server,
    maybeDone: info.code === "dns_servfail",
    retriable: info.retriable,
  });
}

function utc(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} s` : date.toISOString().replace(".000Z", "Z");
}

function clockError(verdict: TsigVerdict & { kind: "bad_time" }, server: string): DnsError {
  const info = explainTsigError(18);
  const skew = verdict.ourTime - verdict.serverTime;
  const message =
    `name server ${server}: BADTIME: ${info.meaning}: it is ${utc(verdict.ourTime)} here and ` +
    `${utc(verdict.serverTime)} there, this witness is ${Math.abs(skew)} s ${skew > 0 ? "ahead" : "behind"}; ${info.remedy}`;
  return new DnsError(info.code, message, { server, maybeDone: verdict.judge === "us", retriable: true });
}

/** The error of a verdict that is not "authentic", or null where an unsigned refusal speaks for itself. */
function signatureError(
  verdict: TsigVerdict,
  server: string,
  key: TsigKey,
  isRefusal: boolean,
): DnsError | null {
  switch (verdict.kind) {
    case "authentic":
      return null;
    case "bad_time":
      return clockError(verdict, server);
    case "rejected":
      return rcodeError(explainTsigError(verdict.error), server, ` for key "${key.name}" (${key.algorithm})`);
    case "unsigned":
      if (isRefusal) return null;
      return new DnsError(
        "dns_unsigned_answer",
        `name server ${server} did not sign its answer to a request signed with key "${key.name}": it is not believed; ` +
          "check that the address is the name server itself and not a proxy that drops signatures",
        { server, maybeDone: true, retriable: false },
      );
    case "forged":
      return new DnsError(
        "dns_answer_not_authentic",
        `the answer of name server ${server} is not authentic (${verdict.reason}): it is not believed; ` +
          "something on the path changes DNS messages, or another server answers in its stead",
        { server, maybeDone: true, retriable: true },
      );
  }
}

/** The same of an answer that speaks for one of several copies: what it denies, another copy may still bring about. */
function ofCopies(error: DnsError, copies: number): DnsError {
  return copies > 1 ? error.about({ maybeDone: true, copies }) : error;
}

/** An answer that is believed. */
export interface Believed extends DecodedMessage {
  /** How many copies of the request were sent; it answers one of them. */
  readonly copies: number;
}

function malformed(server: string, what: string, cause?: unknown): DnsError {
  return new DnsError("dns_malformed", `the answer of name server ${server} cannot be read: ${what}`, {
    server,
    maybeDone: true,
    retriable: false,
    cause,
  });
}

/**
 * Sends a request (its id is chosen here) and gives the believed answer, whatever its answer code. Throws
 * `DnsError`.
 */
export async function ask(request: DnsMessage, context: AskContext): Promise<Believed> {
  const { channel, key } = context;
  const plain = encodeMessage({ ...request, id: channel.nextId() });
  const nowSeconds = (): number => Math.floor(context.wallClockMs() / 1000);
  const signed = key === null ? null : { ...signMessage(plain, key, { timeSeconds: nowSeconds() }), key };
  const isAuthentic: IsAuthentic | null =
    signed === null ? null : (bytes) => isFrom(bytes, signed, nowSeconds());
  const { bytes, copies } = await channel.exchange(
    signed?.bytes ?? plain,
    context.deadline,
    context.signal,
    isAuthentic,
  );
  try {
    return { ...believe(request, bytes, signed, channel.server.text, nowSeconds()), copies };
  } catch (error) {
    throw error instanceof DnsError ? ofCopies(error, copies) : error;
  }
}

/** A signed request: what its answer is checked with. */
interface Signed {
  readonly key: TsigKey;
  readonly mac: Buffer;
}

function isFrom(bytes: Buffer, { key, mac }: Signed, nowSeconds: number): boolean {
  try {
    return verifyAnswer(bytes, key, mac, nowSeconds).kind === "authentic";
  } catch (error) {
    if (error instanceof DnsFormatError) return false;
    throw error;
  }
}

/** The answer, if it belongs to the request and says what may be believed. Throws `DnsError`. */
function believe(
  request: DnsMessage,
  bytes: Buffer,
  signed: Signed | null,
  server: string,
  nowSeconds: number,
): DecodedMessage {
  let answer: DecodedMessage;
  let verdict: TsigVerdict | null = null;
  try {
    answer = decodeMessage(bytes);
    if (signed !== null) verdict = verifyAnswer(bytes, signed.key, signed.mac, nowSeconds, answer);
  } catch (error) {
    if (error instanceof DnsFormatError) throw malformed(server, error.message, error);
    throw error;
  }
  const isRefusal = answer.rcode !== RCODE.NOERROR && answer.rcode !== RCODE.NXDOMAIN;
  if (signed !== null && verdict !== null) {
    const error = signatureError(verdict, server, signed.key, isRefusal);
    if (error !== null) throw error;
  }
  const [asked] = request.questions;
  const [echoed] = answer.questions;
  const isSame =
    asked !== undefined &&
    echoed !== undefined &&
    asked.type === echoed.type &&
    asked.class === echoed.class &&
    canonicalName(asked.name) === canonicalName(echoed.name);
  // RFC 2136 section 3.8 lets a server leave the sections of an update's answer empty.
  if (!answer.isResponse || answer.opcode !== request.opcode || (echoed !== undefined && !isSame))
    throw malformed(server, "it answers another question");
  return answer;
}

/** The error of an answer whose code is not among `accepted`, or null. */
export function refusal(answer: Believed, server: string, accepted: readonly number[]): DnsError | null {
  const rcode = fullRcode(answer);
  return accepted.includes(rcode)
    ? null
    : ofCopies(rcodeError(explainRcode(rcode), server, ""), answer.copies);
}
