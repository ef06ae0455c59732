/**
 * The one place where a refusal becomes a gRPC status, and back.
 *
 * The status is for generic machinery (retry policies, dashboards), the stable code in the trailing metadata is for
 * programs. The rule behind the table: UNAVAILABLE promises that nothing was done, so that a client may retry blindly;
 * `unknown_outcome` must therefore never be UNAVAILABLE, nor DEADLINE_EXCEEDED, nor ABORTED, which libraries retry.
 */
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { witnessId } from "../../core/base/ids.js";
import type { Refusal } from "../../core/model/admin.js";
import { REFUSAL_CODES, type RefusalCode } from "../../core/model/code.js";

/** gRPC status of each refusal. */
export const GRPC_STATUS: Readonly<Record<RefusalCode, status>> = {
  no_leader: status.UNAVAILABLE,
  not_leader: status.UNAVAILABLE,
  unknown_outcome: status.UNKNOWN,
  not_ready: status.UNAVAILABLE,
  unknown_group: status.NOT_FOUND,
  unknown_site: status.NOT_FOUND,
  unknown_witness: status.NOT_FOUND,
  already_primary: status.FAILED_PRECONDITION,
  plan_running: status.FAILED_PRECONDITION,
  not_eligible: status.FAILED_PRECONDITION,
  not_held: status.FAILED_PRECONDITION,
  invalid: status.INVALID_ARGUMENT,
  busy: status.RESOURCE_EXHAUSTED,
  member_exists: status.ALREADY_EXISTS,
  not_learner: status.FAILED_PRECONDITION,
  not_caught_up: status.FAILED_PRECONDITION,
  member_active: status.FAILED_PRECONDITION,
  change_running: status.FAILED_PRECONDITION,
  last_voter: status.FAILED_PRECONDITION,
  would_lose_quorum: status.FAILED_PRECONDITION,
  recovering: status.UNAVAILABLE,
  stopping: status.UNAVAILABLE,
  session_expired: status.FAILED_PRECONDITION,
  session_stale: status.FAILED_PRECONDITION,
};

/** Trailing metadata: the stable code. */
const CODE_KEY = "pointsman-code";
/** Trailing metadata: name of the leading witness, when one is known. */
const LEADER_KEY = "pointsman-leader";
/** Trailing metadata of a watch that was ended: the place from which to resume. */
export const RESUME_INDEX_KEY = "pointsman-resume-index";
export const RESUME_SEQ_KEY = "pointsman-resume-seq";

/** What grpc-js sends as the end of a call. */
export interface GrpcStatus {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** The status that carries a refusal. */
export function toGrpcStatus(refusal: Refusal): GrpcStatus {
  const metadata = new Metadata();
  metadata.set(CODE_KEY, refusal.code);
  if (refusal.leader !== null) metadata.set(LEADER_KEY, refusal.leader);
  return { code: GRPC_STATUS[refusal.code], details: refusal.message, metadata };
}

/** The refusal that a status carries; null when it came from somewhere else (the network, a proxy, the library). */
export function fromGrpcStatus(error: Pick<ServiceError, "details" | "metadata">): Refusal | null {
  const code = metadataText(error.metadata, CODE_KEY);
  if (code === null || !Object.hasOwn(REFUSAL_CODES, code)) return null;
  const leader = metadataText(error.metadata, LEADER_KEY);
  return {
    kind: "refused",
    code: code as RefusalCode,
    message: error.details,
    leader: leader === null ? null : witnessId(leader),
  };
}

/** The first value of a key as text, or null. */
function metadataText(metadata: Metadata | undefined, key: string): string | null {
  const value = metadata?.get(key)[0];
  return typeof value === "string" ? value : null;
}
