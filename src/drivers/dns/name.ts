/**
 * Domain names: text, wire form, comparison (RFC 1035 section 3.1 and 4.1.4, RFC 4343).
 *
 * A name is held as text in one normal form: labels joined by dots, no trailing dot, "." for the root, a dot or
 * backslash inside a label escaped by a backslash, every byte outside printable ASCII as `\DDD`. The form is a
 * bijection with the wire bytes, so a query's spelling (its 0x20 case bits, bytes that are no UTF-8) comes back
 * exactly, and `a\.b` (one label) never equals `a.b` (two). Case is kept in names and ignored in comparisons.
 *
 * A compression pointer must point before the name that it stands in: that alone makes every read terminate. A cap on
 * the hops keeps a packet that is nothing but pointers from costing a second of work.
 */
import { DnsFormatError } from "./error.js";

/** The longest name on the wire, with its length bytes and the root. Unit: bytes. */
const MAX_NAME_BYTES = 255;
const MAX_LABEL_BYTES = 63;
const MAX_POINTER_HOPS = 128;
const DOT = 0x2e;
const BACKSLASH = 0x5c;

/** Reads a name in text into the bytes of its labels. Throws `DnsFormatError` that says what is wrong with it. */
export function parseLabels(text: string): Buffer[] {
  if (text === "." || text === "") return [];
  const labels: Buffer[] = [];
  let label: number[] = [];
  const bytes = Buffer.from(text, "utf8");
  const endLabel = (): void => {
    if (label.length === 0) throw new DnsFormatError(`name "${text}" has an empty label`);
    if (label.length > MAX_LABEL_BYTES)
      throw new DnsFormatError(`name "${text}" has a label of ${label.length} bytes, at most 63 are allowed`);
    labels.push(Buffer.from(label));
    label = [];
  };
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === DOT) {
      endLabel();
    } else if (byte === BACKSLASH) {
      const digits = bytes.toString("latin1", at + 1, at + 4);
      if (/^\d{3}$/.test(digits)) {
        const value = Number(digits);
        if (value > 255) throw new DnsFormatError(`name "${text}" has the escape \\${digits}, past \\255`);
        label.push(value);
        at += 3;
      } else {
        const next = bytes[++at];
        if (next === undefined) throw new DnsFormatError(`name "${text}" ends in a lone backslash`);
        label.push(next);
      }
    } else {
      label.push(byte);
    }
  }
  if (label.length > 0) endLabel();
  const total = labels.reduce((sum, one) => sum + one.length + 1, 1);
  if (total > MAX_NAME_BYTES)
    throw new DnsFormatError(`name "${text}" takes ${total} bytes, at most ${MAX_NAME_BYTES} are allowed`);
  return labels;
}

/** One label as text, with dots, backslashes and unprintable bytes escaped. */
export function labelText(label: Uint8Array): string {
  let text = "";
  for (const byte of label) {
    if (byte === DOT || byte === BACKSLASH) text += `\\${String.fromCharCode(byte)}`;
    else if (byte > 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\${String(byte).padStart(3, "0")}`;
  }
  return text;
}

/** The normal form of a name, case kept. Throws `DnsFormatError`. */
export function normalName(text: string): string {
  const labels = parseLabels(text);
  return labels.length === 0 ? "." : labels.map(labelText).join(".");
}

/** The form for comparisons and map keys: normal and in lower case (RFC 4343: ASCII letters only). */
export function canonicalName(text: string): string {
  return normalName(text).toLowerCase();
}

/** A name in uncompressed wire form; `lower` gives the canonical form that signatures are made over. */
export function nameToWire(text: string, lower = false): Buffer {
  const parts: Buffer[] = [];
  for (const label of parseLabels(lower ? canonicalName(text) : text)) {
    parts.push(Buffer.from([label.length]), label);
  }
  parts.push(Buffer.from([0]));
  return Buffer.concat(parts);
}

/** Reads a name at `offset`, following pointers; `next` is the offset after it. Throws `DnsFormatError`. */
export function readName(bytes: Buffer, offset: number): { readonly name: string; readonly next: number } {
  const labels: string[] = [];
  let next = -1;
  let at = offset;
  let limit = offset;
  let total = 1;
  let hops = 0;
  for (;;) {
    const length = bytes[at];
    if (length === undefined) throw new DnsFormatError(`name at byte ${offset} runs past the end`);
    if (length === 0) break;
    if ((length & 0xc0) === 0xc0) {
      const low = bytes[at + 1];
      if (low === undefined) throw new DnsFormatError(`pointer at byte ${at} runs past the end`);
      const target = ((length & 0x3f) << 8) | low;
      if (target >= limit) throw new DnsFormatError(`pointer at byte ${at} does not point backwards`);
      if (++hops > MAX_POINTER_HOPS) throw new DnsFormatError(`name at byte ${offset} hops too often`);
      if (next < 0) next = at + 2;
      at = target;
      limit = target;
    } else if ((length & 0xc0) === 0) {
      const end = at + 1 + length;
      if (end > bytes.length) throw new DnsFormatError(`label at byte ${at} runs past the end`);
      total += length + 1;
      if (total > MAX_NAME_BYTES) throw new DnsFormatError(`name at byte ${offset} is longer than 255 bytes`);
      labels.push(labelText(bytes.subarray(at + 1, end)));
      at = end;
    } else {
      throw new DnsFormatError(`label type ${length >> 6} at byte ${at} is not in use`);
    }
  }
  if (next < 0) next = at + 1;
  return { name: labels.length === 0 ? "." : labels.join("."), next };
}

/** The labels of a name in normal form, as text; an escaped dot does not split. */
export function splitName(name: string): string[] {
  return name === "." ? [] : parseLabels(name).map(labelText);
}

/** True when `name` is `zone` itself or below it; both canonical. */
export function isWithin(name: string, zone: string): boolean {
  if (zone === "." || name === zone) return true;
  if (!name.endsWith(`.${zone}`)) return false;
  const [label, ...rest] = splitName(name);
  // The dot before the zone could be an escaped one inside a label, so the labels decide.
  return label !== undefined && isWithin(rest.length === 0 ? "." : rest.join("."), zone);
}
