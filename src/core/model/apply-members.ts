/**
 * `member_add`, `member_promote`, `member_remove`, `member_bind`, and what a document means to the members.
 *
 * Everything is compare-and-set on node ids, which are given once: a command that a deposed leader wrote finds
 * its id taken or gone and does nothing. Raft's own configuration follows the accepted commands
 * (`confChangeOf`), so the two cannot part. A change of the voters changes the replicated document with them,
 * because every majority of opinions counts its witnesses; the operators' files follow by a document of a higher
 * version.
 */
import { type NodeId, nodeId } from "../base/ids.js";
import { type Change, refused, type Stamp, type Told } from "./change.js";
import type { Command } from "./command.js";
import { type ClusterConfig, WITNESSES_MAX, type WitnessConfig } from "./config.js";
import { own } from "./group.js";
import {
  type Member,
  type Membership,
  memberByNode,
  memberOf,
  replacementOf,
  samePeers,
  votersOf,
  witnessConfigOf,
} from "./members.js";
import type { State, WitnessRecord } from "./state.js";

type Of<K extends Command["kind"]> = Extract<Command, { kind: K }>;

/** One change of Raft's configuration, in etcd's words. */
export interface MemberChange {
  readonly type:
    | "ConfChangeAddNode"
    | "ConfChangeAddLearnerNode"
    | "ConfChangeRemoveNode"
    | "ConfChangeUpdateNode";
  readonly node: NodeId;
}

/**
 * What an accepted command changes in Raft's configuration, in one step; empty for commands that change nothing there.
 * `state` is the state before the command.
 */
export function confChangeOf(state: Membership, command: Command): readonly MemberChange[] {
  switch (command.kind) {
    case "member_add":
      return [{ type: "ConfChangeAddLearnerNode", node: command.node }];
    case "member_promote": {
      const replaces = memberByNode(state, command.node)?.replaces ?? null;
      const added: MemberChange = { type: "ConfChangeAddNode", node: command.node };
      return replaces === null ? [added] : [added, { type: "ConfChangeRemoveNode", node: replaces }];
    }
    case "member_remove":
      return [{ type: "ConfChangeRemoveNode", node: command.node }];
    default:
      return [];
  }
}

/** A learner joins under the next node id. */
export function memberAdd(state: State, stamp: Stamp, command: Of<"member_add">): Change {
  const { witness, node, replaces, by } = command;
  if (state.config === null) return refused("no configuration is replicated");
  if (node !== state.nextNode) return refused(`node ${node} is not the next one, ${state.nextNode}`);
  if (witness.peers.length === 0) return refused(`${witness.id} has no peer address`);
  if (state.members.length >= MEMBERS_MAX) return refused(`${MEMBERS_MAX} members are the limit`);
  const refusal = replaces === null ? null : replaceRefusal(state, replaces);
  if (refusal !== null) return refused(refusal);
  const former = memberOf(state, witness.id);
  if (former !== null && former.node !== replaces)
    return refused(`${witness.id} is a member already (node ${former.node})`);
  const holder = addressHolder(state, witness);
  if (holder !== null) return refused(`${holder.address} is an address of ${holder.member.witness}`);
  const member: Member = {
    witness: witness.id,
    node,
    site: witness.site,
    peers: witness.peers,
    admin: witness.admin,
    dns: witness.dns,
    role: "learner",
    disk: null,
    replaces,
    inDocument: former?.inDocument === true && samePeers(former.peers, witness.peers),
    sinceMs: stamp.nowMs,
  };
  const after: State = { ...state, members: [...state.members, member], nextNode: nodeId(node + 1) };
  const what =
    replaces === null
      ? `${witness.id} joins as a learner, node ${node}`
      : `${witness.id}, node ${node}, joins as a learner to take the place of node ${replaces}`;
  return changed(after, `${what}, at ${witness.peers.join(" and ")}, by ${by}`);
}

/** A learner votes from now on, and the one that it replaces leaves. */
export function memberPromote(state: State, stamp: Stamp, command: Of<"member_promote">): Change {
  const member = memberByNode(state, command.node);
  if (member === null) return refused(`node ${command.node} is no member`);
  if (member.role !== "learner") return refused(`node ${command.node} (${member.witness}) votes already`);
  // Two empty disks may both have been started under this name; the log has to say which of them votes.
  if (member.disk === null)
    return refused(`node ${command.node} (${member.witness}) is not bound to a disk yet`);
  const former = member.replaces === null ? null : memberByNode(state, member.replaces);
  if (former === null && votersOf(state).length >= WITNESSES_MAX)
    return refused(`${WITNESSES_MAX} voters are the limit`);
  const promoted: Member = { ...member, role: "voter", replaces: null, sinceMs: stamp.nowMs };
  const members = state.members
    .filter((other) => other !== former)
    .map((other) => (other === member ? promoted : other));
  const place = former === null ? "" : `, in the place of ${named(former)}`;
  return changed(
    withVoters({ ...state, members }, stamp, former, promoted),
    `${named(promoted)} votes from now on${place}, by ${command.by}`,
  );
}

/** A member leaves. */
export function memberRemove(state: State, stamp: Stamp, command: Of<"member_remove">): Change {
  const member = memberByNode(state, command.node);
  if (member === null) return refused(`node ${command.node} is no member`);
  const members = state.members.filter((other) => other !== member);
  const after: State = { ...state, members };
  if (member.role === "learner") {
    const what =
      member.replaces === null
        ? `${named(member)}, a learner, is removed`
        : `${named(member)} is removed: the replacement of node ${member.replaces} is called off`;
    return changed(after, `${what}, by ${command.by}`);
  }
  if (votersOf(after).length === 0) return refused(`${named(member)} is the last voter`);
  const replacement = replacementOf(state, member.node);
  if (replacement !== null)
    return refused(`${named(member)} is being replaced by ${named(replacement)}: call that off first`);
  return changed(withVoters(after, stamp, member, null), `${named(member)} is removed, by ${command.by}`);
}

/** A member is bound to its disk, once. */
export function memberBind(state: State, command: Of<"member_bind">): Change {
  const { node, disk } = command;
  const member = memberByNode(state, node);
  if (member === null) return refused(`node ${node} is no member`);
  if (disk === "") return refused("a disk without an id");
  if (member.disk !== null) return refused(`${named(member)} is bound to disk ${member.disk} already`);
  const holder = state.members.find((other) => other.disk === disk);
  if (holder !== undefined) return refused(`disk ${disk} is bound to ${named(holder)}`);
  const members = state.members.map((other) => (other === member ? { ...member, disk } : other));
  return changed({ ...state, members }, `${named(member)} lives on disk ${disk}`);
}

/** Why `replaces` cannot be replaced now, or null when it can. */
function replaceRefusal(state: Membership, replaces: NodeId): string | null {
  const former = memberByNode(state, replaces);
  if (former === null) return `node ${replaces}, which shall be replaced, is no member`;
  if (former.role !== "voter") return `${named(former)} is a learner: remove it and add it again`;
  const running = replacementOf(state, replaces);
  return running === null ? null : `${named(former)} is being replaced by ${named(running)} already`;
}

/** The member of another witness that has one of the addresses, or null. */
export function addressHolder(
  state: Membership,
  witness: WitnessConfig,
): { readonly member: Member; readonly address: string } | null {
  for (const address of witness.peers) {
    const member = state.members.find(
      (other) => other.witness !== witness.id && other.peers.includes(address),
    );
    if (member !== undefined) return { member, address };
  }
  return null;
}

/**
 * Why a document's list of witnesses is not the list of the present voters, or null when it is. Members change
 * by commands, documents follow.
 */
export function documentMembersRefusal(state: Membership, config: ClusterConfig): string | null {
  const voters = votersOf(state);
  for (const { id, peers } of config.witnesses) {
    if (!voters.some(({ witness }) => witness === id)) return strangerRefusal(state, id);
    const member = memberOf(state, id);
    if (member === null || member.inDocument || samePeers(member.peers, peers)) continue;
    const former = member.replaces === null ? null : memberByNode(state, member.replaces);
    if (former?.witness === id && samePeers(former.peers, peers)) continue;
    return (
      `the document has witness ${id} at ${peers.join(" and ")}, but it joined at ${member.peers.join(" and ")}: ` +
      `set its "peer" to that`
    );
  }
  const missing = voters.find(({ witness }) => !config.witnesses.some(({ id }) => id === witness));
  if (missing === undefined) return null;
  return (
    `the document leaves out witness ${missing.witness}, which votes: list it, or first ` +
    `\`pointsman members remove ${missing.witness}\``
  );
}

function strangerRefusal(state: Membership, id: WitnessConfig["id"]): string {
  return memberOf(state, id) === null
    ? `the document lists witness ${id}, which is no member: first \`pointsman members add ${id}\` and \`promote\`, ` +
        "or take it out of the document"
    : `the document lists witness ${id}, which is a learner: first \`pointsman members promote ${id}\``;
}

/** The members with what a document that was not refused says of them. */
export function membersAfterDocument(state: Membership, config: ClusterConfig): readonly Member[] {
  return state.members.map((member) => {
    const said = config.witnesses.find(({ id }) => id === member.witness);
    if (said === undefined) return member;
    const { site, peers, admin, dns } = said;
    // The document tells of the voter that is being replaced, not yet of the one that takes its place elsewhere.
    const told = member.role === "voter" || member.inDocument || samePeers(member.peers, peers);
    return told ? { ...member, site, peers, admin, dns, inDocument: true } : member;
  });
}

/** The state whose document and records follow the voters: `left` goes, `joined` comes, in its place if it has one. */
function withVoters(state: State, stamp: Stamp, left: Member | null, joined: Member | null): State {
  const { config } = state;
  if (config === null) return state;
  const next = joined === null ? [] : [witnessConfigOf(joined)];
  const witnesses =
    left === null
      ? [...config.witnesses, ...next]
      : config.witnesses.flatMap((witness) => (witness.id === left.witness ? next : [witness]));
  const records: Record<string, WitnessRecord> = {};
  for (const { id } of witnesses) {
    records[id] = own(state.witnesses, id) ?? {
      witness: id,
      stale: true,
      abstaining: false,
      sinceMs: stamp.nowMs,
      observations: {},
    };
  }
  return {
    ...state,
    config: { ...config, witnesses },
    // No file says what the replicated document says now, until one of a higher version does: status tells so.
    configHash: sameWitnesses(config.witnesses, witnesses) ? state.configHash : `members-${stamp.index}`,
    witnesses: records,
  };
}

function sameWitnesses(one: readonly WitnessConfig[], other: readonly WitnessConfig[]): boolean {
  return (
    one.length === other.length &&
    one.every((witness, at) => {
      const twin = other[at];
      return (
        twin !== undefined &&
        witness.id === twin.id &&
        witness.site === twin.site &&
        samePeers(witness.peers, twin.peers) &&
        witness.admin === twin.admin &&
        witness.dns === twin.dns
      );
    })
  );
}

/** A member in words. */
export function named(member: Member): string {
  return `${member.witness} (node ${member.node})`;
}

function changed(state: State, message: string): Change {
  const detail = state.members.map(
    (member) =>
      `node ${member.node}: ${member.witness}, ${member.role}${member.replaces === null ? "" : `, replaces node ${member.replaces}`}`,
  );
  const told: Told = {
    kind: "member",
    group: null,
    epoch: null,
    step: null,
    message: `member ${message}`,
    detail,
  };
  return { kind: "changed", state, told: [told] };
}

/** Members of every kind at once: the voters, a replacement for each, and some that catch up. */
const MEMBERS_MAX = 2 * WITNESSES_MAX;
