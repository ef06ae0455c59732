/**
 * Members and their messages in proto/pointsman/v1/admin.proto; the other messages are in admin-wire.ts.
 */
import { logIndex, nodeId, siteId, witnessId } from "../../core/base/ids.js";
import type { MemberProgress, MemberReport, MembersReport } from "../../core/model/admin.js";
import type { Member } from "../../core/model/members.js";
import {
  type Codec,
  count,
  counted,
  flag,
  list,
  message,
  millis,
  named,
  nullable,
  oneOf,
  text,
} from "./admin-codec.js";

const indexCount = counted(logIndex);
const node = counted(nodeId);
const witness = named(witnessId);

const member: Codec<Member> = message<Member>({
  witness,
  node,
  site: nullable(named(siteId)),
  peers: list(text),
  admin: text,
  dns: nullable(text),
  role: oneOf("MEMBER_ROLE", ["voter", "learner"]),
  disk: nullable(text),
  replaces: nullable(node),
  inDocument: flag,
  sinceMs: millis,
});

const progress = message<MemberProgress>({
  match: indexCount,
  active: flag,
  state: text,
  snapshot: nullable(
    message<NonNullable<MemberProgress["snapshot"]>>({
      confirmedBytes: count,
      totalBytes: nullable(count),
    }),
  ),
  refused: nullable(text),
});

/** MemberReport. */
export const memberReport: Codec<MemberReport> = message<MemberReport>({
  member,
  progress: nullable(progress),
});

/** MembersReport. */
export const membersReport: Codec<MembersReport> = message<MembersReport>({
  witness,
  leader: nullable(witness),
  leaderNode: nullable(node),
  appliedIndex: indexCount,
  lastIndex: indexCount,
  clusterTimeMs: millis,
  changeRunning: flag,
  members: list(memberReport),
});
