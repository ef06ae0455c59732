/**
 * Views, forwarded writes and refusals as wire fields and back: what of the model travels between witnesses.
 *
 * People's words (reasons, messages, evidence) are cut and cleaned when written, so that no text an operator
 * or a probed server comes up with can make a peer refuse the message that carries it.
 */
import { assert } from "../../core/base/assert.js";
import { epoch, logIndex, siteId, term, witnessId } from "../../core/base/ids.js";
import { type AdminResponse, isMemberWrite, type WriteRequest } from "../../core/model/admin.js";
import { REFUSAL_CODES, type RefusalCode } from "../../core/model/code.js";
import type { EvidenceKind, Observation, Opinion, View } from "../../core/model/observation.js";
import type { SessionKey } from "../../core/model/state.js";
import type { PeerMessage } from "../../core/witness/contract.js";
import {
  FieldError,
  type Fields,
  invert,
  readChoice,
  readCount,
  readFlag,
  readList,
  readMessage,
  readName,
  readOptionalCount,
  readOptionalNumber,
  readText,
  writeCount,
  writeName,
  writeNumber,
  writeText,
} from "./fields.js";
import { MEMBER_FIELDS, readMember, writeMember } from "./wire-members.js";

/** Most observations in one view: targets of the whole cluster. */
const OBSERVATION_LIMIT = 16_384;
/** A round trip that took longer than a day is not one. Unit: ms. */
const RTT_LIMIT_MS = 86_400_000;

const OPINIONS: ReadonlyMap<string, Opinion> = new Map<string, Opinion>([
  ["UP", "up"],
  ["DOWN", "down"],
  ["UNKNOWN", "unknown"],
]);
const EVIDENCE_KINDS: ReadonlyMap<string, EvidenceKind> = new Map<string, EvidenceKind>([
  ["OK", "ok"],
  ["DEFINITE", "definite"],
  ["AMBIGUOUS", "ambiguous"],
  ["STALL", "stall"],
  ["START", "start"],
]);
const REFUSALS: ReadonlyMap<string, RefusalCode> = new Map(
  (Object.keys(REFUSAL_CODES) as RefusalCode[]).map((code) => [code, code]),
);
type Refused = Extract<PeerMessage, { kind: "refused" }>;
const REFUSED_CODES: ReadonlyMap<string, Refused["code"]> = new Map<string, Refused["code"]>([
  ["OTHER_DISK", "other_disk"],
  ["NO_MEMBER", "no_member"],
]);
const REFUSED_CODE_NAMES = invert(REFUSED_CODES);
const OPINION_NAMES = invert(OPINIONS);
const EVIDENCE_KIND_NAMES = invert(EVIDENCE_KINDS);

/** The wire fields of a view. */
export function writeView(view: View): object {
  return {
    witness: writeName(view.witness),
    life: writeCount(view.life),
    seq: writeCount(view.seq),
    abstaining: view.abstaining,
    observations: view.observations.map(writeObservation),
  };
}

/** The view in `fields`, or a `FieldError`. */
export function readView(fields: Fields): View {
  return {
    witness: witnessId(readName(fields, "witness")),
    life: readCount(fields, "life"),
    seq: readCount(fields, "seq"),
    abstaining: readFlag(fields, "abstaining"),
    observations: readList(fields, "observations", OBSERVATION_LIMIT).map(readObservation),
  };
}

function writeObservation({ target, opinion, evidence }: Observation): object {
  const { falseAlarm, rttMs, loss } = evidence;
  return {
    target: writeName(target),
    opinion: OPINION_NAMES.get(opinion),
    evidence: {
      kind: EVIDENCE_KIND_NAMES.get(evidence.kind),
      text: writeText(evidence.text),
      count: writeCount(evidence.count),
      falseAlarm: falseAlarm === null ? null : writeNumber(falseAlarm, 0, 1),
      rttMs: rttMs === null ? null : writeNumber(rttMs, 0, RTT_LIMIT_MS),
      loss: loss === null ? null : writeNumber(loss, 0, 1),
    },
  };
}

function readObservation(fields: Fields): Observation {
  const evidence = readMessage(fields, "evidence");
  return {
    target: readName(fields, "target"),
    opinion: readChoice(fields, "opinion", OPINIONS),
    evidence: {
      kind: readChoice(evidence, "kind", EVIDENCE_KINDS),
      text: readText(evidence, "text"),
      count: readCount(evidence, "count"),
      falseAlarm: readOptionalNumber(evidence, "falseAlarm", 0, 1),
      rttMs: readOptionalNumber(evidence, "rttMs", 0, RTT_LIMIT_MS),
      loss: readOptionalNumber(evidence, "loss", 0, 1),
    },
  };
}

/** The wire fields of a forwarded write. A client's words are cleaned, not asserted: nobody has checked them yet. */
export function writeForward({
  request,
  term: led,
  write,
}: Extract<PeerMessage, { kind: "forward" }>): object {
  const { session } = write;
  const named =
    session === undefined ? null : { id: writeName(session.id), sequence: writeCount(session.sequence) };
  const kind = isMemberWrite(write) ? MEMBER_FIELDS[write.kind] : write.kind;
  return {
    request: writeName(request),
    term: writeCount(led),
    session: named,
    [kind]: writeFields(write),
  };
}

function writeFields(write: WriteRequest): object {
  switch (write.kind) {
    case "switchover":
      return {
        group: writeText(write.group),
        to: writeText(write.to),
        by: writeText(write.by),
        reason: writeText(write.reason),
      };
    case "hold":
      return { group: writeText(write.group), by: writeText(write.by), reason: writeText(write.reason) };
    case "resume":
      return { group: writeText(write.group), by: writeText(write.by) };
    case "transfer":
      return { to: writeText(write.to) };
    case "member_add":
    case "member_promote":
    case "member_remove":
    case "member_replace":
      return writeMember(write);
  }
}

/** The forwarded write in `fields`, or a `FieldError`. */
export function readForward(fields: Fields): PeerMessage {
  const request = readName(fields, "request");
  const write = { ...readWrite(fields), ...readSession(fields) };
  return { kind: "forward", request, term: term(readCount(fields, "term")), write };
}

/** The client's own name for the write, if it gave one. */
function readSession(fields: Fields): { readonly session?: SessionKey } {
  if (fields["session"] === undefined || fields["session"] === null) return {};
  const session = readMessage(fields, "session");
  return { session: { id: readName(session, "id"), sequence: readCount(session, "sequence") } };
}

function readWrite(fields: Fields): WriteRequest {
  const kind = fields["write"];
  switch (kind) {
    case "switchover": {
      const write = readMessage(fields, kind);
      const to = siteId(readText(write, "to"));
      return {
        kind,
        group: readText(write, "group"),
        to,
        by: readText(write, "by"),
        reason: readText(write, "reason"),
      };
    }
    case "hold": {
      const write = readMessage(fields, kind);
      return {
        kind,
        group: readText(write, "group"),
        by: readText(write, "by"),
        reason: readText(write, "reason"),
      };
    }
    case "resume": {
      const write = readMessage(fields, kind);
      return { kind, group: readText(write, "group"), by: readText(write, "by") };
    }
    case "transfer":
      return { kind, to: witnessId(readText(readMessage(fields, kind), "to")) };
    case "memberAdd":
    case "memberPromote":
    case "memberRemove":
    case "memberReplace":
      return readMember(kind, readMessage(fields, kind));
    default:
      throw new FieldError("the forwarded write is of a kind that this version does not know");
  }
}

/** The wire fields of the answer to a forwarded write. Asserts that it is one: reads are answered where they arrive. */
export function writeForwarded(request: string, response: AdminResponse): object {
  const head = { request: writeName(request) };
  if (response.kind === "accepted") {
    const at = response.epoch === null ? null : writeCount(response.epoch);
    const message = writeText(response.message);
    return { ...head, accepted: { index: writeCount(response.index), epoch: at, message } };
  }
  assert(response.kind === "refused", () => `a write is never answered with ${response.kind}`);
  const leader = response.leader === null ? null : writeName(response.leader);
  return { ...head, refused: { code: response.code, message: writeText(response.message), leader } };
}

/** The answer in `fields`, or a `FieldError`. */
export function readForwarded(fields: Fields): PeerMessage {
  const request = readName(fields, "request");
  const kind = fields["response"];
  if (kind === "accepted") {
    const accepted = readMessage(fields, kind);
    const at = readOptionalCount(accepted, "epoch");
    const message = readText(accepted, "message");
    const index = logIndex(readCount(accepted, "index"));
    return {
      kind: "forwarded",
      request,
      response: { kind, index, epoch: at === null ? null : epoch(at), message },
    };
  }
  if (kind === "refused") {
    const refused = readMessage(fields, kind);
    const leader = refused["leader"] === undefined ? null : witnessId(readName(refused, "leader"));
    const code = readChoice(refused, "code", REFUSALS);
    return {
      kind: "forwarded",
      request,
      response: { kind, code, message: readText(refused, "message"), leader },
    };
  }
  throw new FieldError("the forwarded answer is of a kind that this version does not know");
}

/** The wire fields of what a peer says to a witness whose Raft messages it does not take. */
export function writeRefusal({ code, message }: Refused): object {
  return { code: REFUSED_CODE_NAMES.get(code), message: writeText(message) };
}

/** The refusal in `fields`, or a `FieldError`. */
export function readRefusal(fields: Fields): Refused {
  return {
    kind: "refused",
    code: readChoice(fields, "code", REFUSED_CODES),
    message: readText(fields, "message"),
  };
}
