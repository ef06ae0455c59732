/**
 * The closed list of codes with which a witness refuses a request. Stable: programs branch on them, people look them up
 * in docs/errors.md, and a test compares the two. Each line says what it means; gRPC status is mapped in one place
 * (drivers/server/grpc-status.ts).
 */
export const REFUSAL_CODES = {
  no_leader: "no leader is known; nothing was done",
  not_leader: "another witness leads; nothing was done",
  unknown_outcome: "the leader was lost before it answered; the request may have been decided",
  not_ready:
    "the leader has not yet applied what came before it, or no configuration is replicated; nothing was done",
  unknown_group: "no group of that name is configured",
  unknown_site: "the group has no site of that name",
  unknown_witness: "no witness of that name is configured",
  already_primary: "the site is primary already",
  plan_running: "a plan of the group is running; wait for it to end",
  not_eligible: "the site is not up and stable in the majority's view",
  not_held: "the group is not on hold",
  invalid: "a field of the request is out of range",
  busy: "too many requests or proposals are waiting; try again",
  member_exists: "a witness of that name, or at that address, takes part already",
  not_learner: "the witness votes already",
  not_caught_up: "the learner does not have the log yet, or is not heard of",
  member_active: "the witness that shall be replaced is alive",
  change_running: "another change of the members is not finished",
  last_voter: "the last voter cannot be removed",
  would_lose_quorum: "too few voters that are alive would be left to decide anything",
  recovering: "this witness lost durable log and rebuilds it; ask another one",
  stopping: "this witness is stopping; ask another one",
  session_expired:
    "the client's session was forgotten; the request may have been decided when it was first asked",
  session_stale: "the client's session has gone on to a later write; what became of this one is not kept",
} as const satisfies Record<string, string>;

export type RefusalCode = keyof typeof REFUSAL_CODES;

/** All codes, for tables and checks. */
export const REFUSAL_CODE_LIST: readonly RefusalCode[] = Object.keys(REFUSAL_CODES) as RefusalCode[];

/** Refusals after which nothing was done and the same request may succeed at another witness or later. */
const NOTHING_DONE: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  "no_leader",
  "not_leader",
  "not_ready",
  "recovering",
  "stopping",
  "busy",
]);

/** Was nothing done, and may the same request be put to another witness, or again? */
export function mayAskAgain(code: RefusalCode): boolean {
  return NOTHING_DONE.has(code);
}
