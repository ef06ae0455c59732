/**
 * The border of the admin API: wire messages become requests whose every field is in range, or a refusal `invalid`.
 *
 * The protocol buffers say only "a string". Who reaches the port can put anything in it: a name of a
 * megabyte, a reason with line breaks that forges a second line in a log, text that turns the direction of
 * what follows on a terminal. What passes here goes into the replicated log and onto the screens of all
 * operators, so it is checked once, here.
 */
import { isCount, type SiteId, siteId, witnessId } from "../../core/base/ids.js";
import type { AdminRequest, Refusal } from "../../core/model/admin.js";
import type { SessionKey } from "../../core/model/state.js";
import { hostPort } from "./admin-address.js";
import type { WireObject } from "./admin-codec.js";
import type { AdminMethodName } from "./admin-proto.js";

/** Longest name of a group, site or witness. */
export const NAME_MAX = 63;
/** Longest `by` and `reason`, in UTF-16 units. */
export const TEXT_MAX = 500;
/** Most records of one history answer. */
export const HISTORY_LIMIT_MAX = 2000;
const HISTORY_LIMIT_DEFAULT = 100;
/** Most peer addresses of one witness. */
const PEERS_MAX = 16;

/** How a name looks. */
export const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
/** How the id of a session looks: long enough that two clients do not choose the same. */
const SESSION_PATTERN = /^[A-Za-z0-9_-]{16,64}$/;
/** Control characters, line and paragraph separators, and the marks that reorder text on a screen. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069\ufffd]|\p{Cs}/u;

/** A place in the audit history: everything up to it is seen. `seq` null: all of `index`. */
export interface Place {
  readonly index: number;
  readonly seq: number | null;
}

export interface HistoryQuery {
  /** Null: records of all groups and of none. */
  readonly group: string | null;
  readonly since: Place | null;
  readonly limit: number;
}

export interface WatchQuery {
  readonly group: string | null;
  readonly since: Place | null;
}

/** Calls of the service that carry an `AdminRequest`. */
export type RequestMethod = Exclude<AdminMethodName, "History" | "Watch" | "Backup" | "Exercise">;

/** The request of a unary call, or why it is refused. */
export function parseRequest(method: RequestMethod, wire: WireObject): AdminRequest | Refusal {
  return guarded<AdminRequest>(() => {
    switch (method) {
      case "Status":
        return { kind: "status", linearizable: wire["linearizable"] === true };
      case "Explain":
        return { kind: "explain", group: name(wire, "group") };
      case "Switchover":
        return {
          kind: "switchover",
          group: name(wire, "group"),
          to: siteId(name(wire, "to")),
          by: line(wire, "by", true),
          reason: line(wire, "reason", false),
          ...session(wire),
        };
      case "Hold":
        return {
          kind: "hold",
          group: name(wire, "group"),
          by: line(wire, "by", true),
          reason: line(wire, "reason", true),
          ...session(wire),
        };
      case "Resume":
        return {
          kind: "resume",
          group: name(wire, "group"),
          by: line(wire, "by", true),
          ...session(wire),
        };
      case "TransferLeader":
        return { kind: "transfer", to: witnessId(name(wire, "to")) };
      case "Members":
        return { kind: "members" };
      case "AddMember":
        return {
          kind: "member_add",
          witness: witnessId(name(wire, "witness")),
          site: optional(wire, "site", siteOf),
          peers: addresses(wire, "peers", 1),
          admin: address(wire["admin"], "admin"),
          dns: optional(wire, "dns", addressOf),
          by: line(wire, "by", true),
          ...session(wire),
        };
      case "PromoteMember":
        return {
          kind: "member_promote",
          witness: witnessId(name(wire, "witness")),
          by: line(wire, "by", true),
          ...session(wire),
        };
      case "RemoveMember":
        return {
          kind: "member_remove",
          witness: witnessId(name(wire, "witness")),
          force: wire["force"] === true,
          by: line(wire, "by", true),
          ...session(wire),
        };
      case "ReplaceMember":
        return {
          kind: "member_replace",
          witness: witnessId(name(wire, "witness")),
          successor: optional(wire, "successor", (from, field) => witnessId(name(from, field))),
          site: optional(wire, "site", siteOf),
          peers: addresses(wire, "peers", 0),
          admin: optional(wire, "admin", addressOf),
          dns: optional(wire, "dns", addressOf),
          force: wire["force"] === true,
          by: line(wire, "by", true),
          ...session(wire),
        };
    }
  });
}

/** The query of History, or why it is refused. */
export function parseHistoryQuery(wire: WireObject): HistoryQuery | Refusal {
  return guarded(() => {
    const limit = wire["limit"];
    if (!isCount(limit) || limit > HISTORY_LIMIT_MAX) {
      throw new FieldError(
        `limit is ${show(limit)}: ask for 1 to ${HISTORY_LIMIT_MAX} records, and for more in pages`,
      );
    }
    return { ...watchQuery(wire), limit: limit === 0 ? HISTORY_LIMIT_DEFAULT : limit };
  });
}

/** The query of Watch, or why it is refused. */
export function parseWatchQuery(wire: WireObject): WatchQuery | Refusal {
  return guarded(() => watchQuery(wire));
}

/** Is it a refusal and not what was asked for? */
export function isRefusal(value: object): value is Refusal {
  return "kind" in value && value.kind === "refused";
}

class FieldError extends Error {}

function guarded<T>(parse: () => T): T | Refusal {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    return { kind: "refused", code: "invalid", message: error.message, leader: null };
  }
}

function watchQuery(wire: WireObject): WatchQuery {
  const group = wire["group"] === "" ? null : name(wire, "group");
  const index = place(wire, "sinceIndex");
  const seq = place(wire, "sinceSeq");
  if (index === null && seq !== null) {
    throw new FieldError("since_seq is set without since_index: give both, or since_index alone");
  }
  return { group, since: index === null ? null : { index, seq } };
}

function name(wire: WireObject, field: string): string {
  const value = wire[field];
  if (typeof value !== "string" || value.length > NAME_MAX || !NAME_PATTERN.test(value)) {
    throw new FieldError(
      `${field} is ${show(value)}: give a name of 1 to ${NAME_MAX} letters, digits, dots, dashes and underscores`,
    );
  }
  return value;
}

/** Null when the field is absent. */
function optional<T>(
  wire: WireObject,
  field: string,
  read: (wire: WireObject, field: string) => T,
): T | null {
  return wire[field] === undefined || wire[field] === null ? null : read(wire, field);
}

function siteOf(wire: WireObject, field: string): SiteId {
  return siteId(name(wire, field));
}

function addressOf(wire: WireObject, field: string): string {
  return address(wire[field], field);
}

function addresses(wire: WireObject, field: string, least: number): readonly string[] {
  const value = wire[field];
  const given = Array.isArray(value) ? value : [];
  if (given.length < least || given.length > PEERS_MAX) {
    throw new FieldError(
      `${field} has ${given.length} addresses: give ${least} to ${PEERS_MAX} of the form host:port, one a carrier`,
    );
  }
  const read = given.map((one: unknown) => address(one, field));
  const twice = read.find((one, at) => read.indexOf(one) !== at);
  if (twice !== undefined) throw new FieldError(`${field} has ${twice} twice: give each address once`);
  return read;
}

/** The document's own rule for an address, so that what joins here can stand there. */
function address(value: unknown, field: string): string {
  const read = typeof value === "string" ? hostPort(value) : { flaw: "is not text" };
  if (typeof read === "string") return read;
  throw new FieldError(
    `${field} is ${show(value)}, which ${read.flaw}: give host:port, such as 10.1.0.5:7400`,
  );
}

function line(wire: WireObject, field: string, required: boolean): string {
  const value = wire[field];
  if (typeof value !== "string" || value.length > TEXT_MAX) {
    const length = typeof value === "string" ? `${value.length} characters long` : show(value);
    throw new FieldError(`${field} is ${length}: give at most ${TEXT_MAX} characters`);
  }
  if (UNPRINTABLE.test(value)) {
    throw new FieldError(
      `${field} is ${show(value)}: give one line of plain text without control characters`,
    );
  }
  const trimmed = value.trim();
  if (required && trimmed === "")
    throw new FieldError(`${field} is empty: say ${field === "by" ? "who asks" : "why"}`);
  return trimmed;
}

/** The client's own name for a write, if it gave one. */
function session(wire: WireObject): { readonly session?: SessionKey } {
  const value = wire["session"];
  if (value === undefined || value === null) return {};
  const { id, sequence: counted } = value as WireObject;
  if (typeof id !== "string" || !SESSION_PATTERN.test(id)) {
    throw new FieldError(
      `session.id is ${show(id)}: give 16 to 64 letters, digits, dashes and underscores, chosen at random`,
    );
  }
  const sequence = integer(counted);
  if (!isCount(sequence) || sequence === 0)
    throw new FieldError(`session.sequence is ${show(counted)}: count the writes of a session from 1`);
  return { session: { id, sequence } };
}

/** An int64 as the loader gives it; null if it is no count. */
function integer(value: unknown): number | null {
  return typeof value === "string" && /^\d{1,16}$/.test(value) ? Number(value) : null;
}

function place(wire: WireObject, field: string): number | null {
  const value = wire[field];
  if (value === undefined || value === null) return null;
  const parsed = integer(value);
  if (!isCount(parsed))
    throw new FieldError(`${field} is ${show(value)}: give an integer from 0 to 2^53 - 1`);
  return parsed;
}

/** A value as it may stand in a message: quoted, escaped, short. */
function show(value: unknown): string {
  const text = String(value);
  const short = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  const escaped = JSON.stringify(short).replace(
    /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu,
    (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return typeof value === "string" ? escaped : short;
}
