/**
 * Writes that change the members, as wire fields and back; the rest of the forwarded writes is in wire-model.ts.
 *
 * Words of people are cleaned when written, as there. Addresses are only text here: they were checked where the
 * client's request came in, and are looked at again by whoever dials them.
 */
import { siteId, witnessId } from "../../core/base/ids.js";
import type { MemberWrite } from "../../core/model/admin.js";
import { FieldError, type Fields, readFlag, readText, TEXT_LIMIT, writeText } from "./fields.js";

/** Most peer addresses of one witness: one a carrier. */
const PEERS_LIMIT = 16;

/** Name of each write's field in the message Forward. */
export const MEMBER_FIELDS = {
  member_add: "memberAdd",
  member_promote: "memberPromote",
  member_remove: "memberRemove",
  member_replace: "memberReplace",
} as const satisfies Record<MemberWrite["kind"], string>;

type MemberField = (typeof MEMBER_FIELDS)[keyof typeof MEMBER_FIELDS];

/** The wire fields of the write. */
export function writeMember(write: MemberWrite): object {
  const head = { witness: writeText(write.witness), by: writeText(write.by) };
  switch (write.kind) {
    case "member_add":
      return {
        ...head,
        site: writeOptional(write.site),
        peers: write.peers.map(writeText),
        admin: writeText(write.admin),
        dns: writeOptional(write.dns),
      };
    case "member_promote":
      return head;
    case "member_remove":
      return { ...head, force: write.force };
    case "member_replace":
      return {
        ...head,
        successor: writeOptional(write.successor),
        site: writeOptional(write.site),
        peers: write.peers.map(writeText),
        admin: writeOptional(write.admin),
        dns: writeOptional(write.dns),
        force: write.force,
      };
  }
}

/** The write in `fields`, which stood under `field`, or a `FieldError`. */
export function readMember(field: MemberField, fields: Fields): MemberWrite {
  const head = { witness: witnessId(readText(fields, "witness")), by: readText(fields, "by") };
  const site = readOptional(fields, "site");
  const dns = readOptional(fields, "dns");
  switch (field) {
    case "memberAdd":
      return {
        kind: "member_add",
        ...head,
        site: site === null ? null : siteId(site),
        peers: readPeers(fields),
        admin: readText(fields, "admin"),
        dns,
      };
    case "memberPromote":
      return { kind: "member_promote", ...head };
    case "memberRemove":
      return { kind: "member_remove", ...head, force: readFlag(fields, "force") };
    case "memberReplace": {
      const successor = readOptional(fields, "successor");
      return {
        kind: "member_replace",
        ...head,
        successor: successor === null ? null : witnessId(successor),
        site: site === null ? null : siteId(site),
        peers: readPeers(fields),
        admin: readOptional(fields, "admin"),
        dns,
        force: readFlag(fields, "force"),
      };
    }
  }
}

function writeOptional(value: string | null): string | undefined {
  return value === null ? undefined : writeText(value);
}

function readOptional(fields: Fields, name: string): string | null {
  return fields[name] === undefined || fields[name] === null ? null : readText(fields, name);
}

function readPeers(fields: Fields): readonly string[] {
  const value = fields["peers"] ?? [];
  if (!Array.isArray(value) || value.length > PEERS_LIMIT)
    throw new FieldError(`field peers is not a list of at most ${PEERS_LIMIT} addresses`);
  return value.map((address: unknown) => {
    if (typeof address !== "string" || address === "" || address.length > TEXT_LIMIT)
      throw new FieldError("field peers holds something that is not an address");
    return readText({ address }, "address");
  });
}
