/**
 * The replicated state as bytes: what a snapshot file and a snapshot on the wire consist of.
 *
 * A state may be large (the history carries the output of hooks), and a witness must go on ticking while it
 * is written or sent; so it is encoded as a run of parts, lazily. States are replaced, never mutated, hence
 * parts may be taken one by one while the witness lives on. Each part is a format byte and JSON: the first
 * holds everything but the history, the others the history in order. Equal states give equal bytes. Who
 * stores or sends parts guards them by checksums of its own; decoding is total and names what is wrong.
 */
import { isCount } from "../base/ids.js";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.js";
import type { AuditRecord, State } from "./state.js";

const FORMAT = 1;
/** Unit: characters of JSON after which a part is closed. */
const PART_CHARS = 64 * 1024;

/** The parts of `state`, in order; take them one at a time to spread the work. */
export function* encodeState(state: State): Generator<Uint8Array, void, void> {
  yield part(JSON.stringify({ ...state, history: [] }));
  let records: string[] = [];
  let chars = 0;
  for (const record of state.history) {
    const text = JSON.stringify(record);
    records.push(text);
    chars += text.length;
    if (chars < PART_CHARS) continue;
    yield part(`[${records.join(",")}]`);
    records = [];
    chars = 0;
  }
  if (records.length > 0) yield part(`[${records.join(",")}]`);
}

/** The state of `parts`; `{error}` for bytes that no release of ours wrote. */
export function decodeState(parts: Iterable<Uint8Array>): State | { readonly error: string } {
  const decoder = new StateDecoder();
  for (const bytes of parts) {
    const error = decoder.push(bytes);
    if (error !== null) return { error };
  }
  return decoder.finish();
}

/** Decodes parts as they come, so that the work is spread like the encoding. */
export class StateDecoder {
  private head: State | null = null;
  private readonly history: AuditRecord[] = [];
  private position = 0;

  /** Takes the next part; null, or what is wrong with it. */
  push(bytes: Uint8Array): string | null {
    this.position++;
    const value = unpart(bytes);
    if (typeof value === "object" && value !== null && "error" in value)
      return `part ${this.position} of the state: ${String(value.error)}`;
    if (this.head === null) {
      if (!isHead(value)) return "part 1 of the state lacks the place in the log";
      this.head = value;
    } else if (Array.isArray(value)) for (const record of value as AuditRecord[]) this.history.push(record);
    else return `part ${this.position} of the state is not a run of audit records`;
    return null;
  }

  /** The state of all parts, after the last one. */
  finish(): State | { readonly error: string } {
    return this.head === null ? { error: "the state has no parts" } : { ...this.head, history: this.history };
  }
}

function part(text: string): Uint8Array {
  const body = encodeUtf8(text);
  const bytes = new Uint8Array(body.length + 1);
  bytes[0] = FORMAT;
  bytes.set(body, 1);
  return bytes;
}

function unpart(bytes: Uint8Array): unknown {
  if (bytes[0] !== FORMAT) {
    return { error: `format ${bytes[0] ?? "none"} is not ${FORMAT}: written by a newer release?` };
  }
  const text = decodeUtf8(bytes.subarray(1));
  if (text === null) return { error: "not UTF-8" };
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return { error: "not JSON" };
  }
}

function isHead(value: unknown): value is State {
  const head = value as Partial<State> | null;
  return (
    head !== null &&
    typeof head === "object" &&
    isCount(head.appliedIndex) &&
    isCount(head.appliedTerm) &&
    isCount(head.clusterTimeMs) &&
    typeof head.groups === "object" &&
    typeof head.witnesses === "object" &&
    Array.isArray(head.sessions)
  );
}
