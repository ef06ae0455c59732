/**
 * Who takes part in the log: the members as the replicated state knows them, and the readings that all rooms share.
 *
 * A witness is a name that operators give; a member is that witness on one disk, and Raft knows it by its node id. The
 * two are kept apart because a disk can be lost: whoever comes back without it has forgotten its votes and what it
 * acknowledged, so it must come back as another member. Invariants, held by apply-members.ts: node ids only grow
 * and are never used again; a witness has one member, or two while one replaces the other; a member is replaced
 * by at most one other; the voters are exactly the witnesses of the replicated document.
 */
import { type NodeId, nodeId, type SiteId, type WitnessId } from "../base/ids.js";
import type { WitnessConfig } from "./config.js";

/**
 * One witness on one disk.
 *
 * While a witness is replaced under its own name, the old member and the new one share the witness id. Raft's
 * traffic for that id goes to the newest one (`memberOf`): the old one is lost, or about to be.
 */
export interface Member {
  readonly witness: WitnessId;
  /** Raft's name of it. */
  readonly node: NodeId;
  readonly site: SiteId | null;
  /** `host:port`, one a carrier; at least one. */
  readonly peers: readonly string[];
  readonly admin: string;
  readonly dns: string | null;
  /** A learner receives the log and neither votes nor counts. */
  readonly role: "voter" | "learner";
  /** The disk that it was bound to; null: not bound yet. Once bound, no other disk speaks for this node. */
  readonly disk: string | null;
  /** The voter whose place this learner takes when it is promoted; null for all others. */
  readonly replaces: NodeId | null;
  /**
   * `peers` come from a document. False: from `members add` or `replace`, and a document that has not heard of them may
   * not set them back.
   */
  readonly inDocument: boolean;
  /** Cluster time since which it has this role. */
  readonly sinceMs: number;
}

/** The part of the replicated state that says who takes part. */
export interface Membership {
  /** Sorted by node id; empty until the first document is replicated. */
  readonly members: readonly Member[];
  /** The next node id to be given. */
  readonly nextNode: NodeId;
}

/** The commands that change it; all but `member_bind` travel in an entry that changes Raft's configuration. */
export type MemberCommand =
  /** A learner joins, by itself or to take the place of the voter `replaces`. `node` must be `nextNode`. */
  | {
      readonly kind: "member_add";
      readonly witness: WitnessConfig;
      readonly replaces: NodeId | null;
      readonly node: NodeId;
      readonly by: string;
    }
  /** A learner votes from now on; the one that it replaces leaves in the same step. */
  | { readonly kind: "member_promote"; readonly node: NodeId; readonly by: string }
  /** A member leaves. Of a learner that replaces a voter: the replacement is called off, the voter stays. */
  | { readonly kind: "member_remove"; readonly node: NodeId; readonly by: string }
  /** The member lives on that disk from now on. */
  | { readonly kind: "member_bind"; readonly node: NodeId; readonly disk: string };

/** The newest member of that witness: the one that its name stands for in Raft's traffic. */
export function memberOf(state: Membership, witness: WitnessId): Member | null {
  return state.members.findLast((member) => member.witness === witness) ?? null;
}

/** The member of that node id. */
export function memberByNode(state: Membership, node: NodeId): Member | null {
  return state.members.find((member) => member.node === node) ?? null;
}

/** The members that vote, by node id. */
export function votersOf(state: Membership): readonly Member[] {
  return state.members.filter(({ role }) => role === "voter");
}

/** The learner that shall take the place of `node`, or null. */
export function replacementOf(state: Membership, node: NodeId): Member | null {
  return state.members.find(({ replaces }) => replaces === node) ?? null;
}

/** What the replicated document says of a voter. */
export function witnessConfigOf(member: Member): WitnessConfig {
  const { witness, site, peers, admin, dns } = member;
  return { id: witness, site, peers, admin, dns };
}

/** The members at bootstrap: the witnesses of the first document, nodes 1, 2, … in its order. */
export function firstMembers(witnesses: readonly WitnessConfig[], nowMs: number): Membership {
  const members = witnesses.map(
    ({ id, site, peers, admin, dns }, at): Member => ({
      witness: id,
      node: nodeId(at + 1),
      site,
      peers,
      admin,
      dns,
      role: "voter",
      disk: null,
      replaces: null,
      inDocument: true,
      sinceMs: nowMs,
    }),
  );
  return { members, nextNode: nodeId(members.length + 1) };
}

/** True when both lists name the same addresses in the same order. */
export function samePeers(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((address, at) => address === other[at]);
}
