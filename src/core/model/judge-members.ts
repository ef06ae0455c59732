/**
 * What a leader says to a request that changes the members: the command that it proposes, or why not.
 *
 * Pure, and milder than `apply` nowhere: apply decides again by compare-and-set. What only the leader can know
 * is judged here: who is alive, who has caught up, whether an earlier change is finished. The rule behind the
 * refusals is that a change must not leave the cluster unable to decide, and that whoever asks at night is told
 * the next command to type.
 */
import type { LogIndex, NodeId, WitnessId } from "../base/ids.js";
import type { MemberProgress, MembersReport, MemberWrite, Refusal } from "./admin.js";
import { addressHolder, named } from "./apply-members.js";
import type { RefusalCode } from "./code.js";
import type { WitnessConfig } from "./config.js";
import {
  type Member,
  type MemberCommand,
  type Membership,
  memberByNode,
  memberOf,
  replacementOf,
  votersOf,
  witnessConfigOf,
} from "./members.js";
import type { State } from "./state.js";

/** What the leader knows beyond the replicated state. */
export interface LeaderView {
  /** The leader itself; it counts as alive and caught up whatever `progress` says. */
  readonly node: NodeId;
  readonly lastIndex: LogIndex;
  /** A change of Raft's configuration is in the log and not applied, or the joint one is not left yet. */
  readonly changeRunning: boolean;
  readonly progress: ReadonlyMap<NodeId, MemberProgress>;
}

/** A learner with no more entries than these to go has caught up: the rest is on its way. */
const CAUGHT_UP_LAG = 1000;

/** True when the member has the log but for what is on its way: it may vote without holding anybody up. */
export function isCaughtUp(progress: MemberProgress | null, lastIndex: LogIndex): boolean {
  return (
    progress?.active === true &&
    progress.refused === null &&
    progress.state === "StateReplicate" &&
    progress.match > 0 &&
    lastIndex - progress.match <= CAUGHT_UP_LAG
  );
}

/**
 * The command that ends a replacement that can be ended now, or null: the learner that takes another's place has
 * caught up and is bound to its disk. Nobody has to ask for it.
 */
export function promotionDue(state: State, view: LeaderView, by: string): MemberCommand | null {
  if (view.changeRunning) return null;
  const ready = state.members.find(
    ({ replaces, disk, node }) =>
      replaces !== null && disk !== null && isCaughtUp(progressOf(view, node), view.lastIndex),
  );
  return ready === undefined ? null : { kind: "member_promote", node: ready.node, by };
}

/** The command for a write, or the refusal. */
export function judgeMemberWrite(
  state: State,
  view: LeaderView,
  write: MemberWrite,
): MemberCommand | Refusal {
  if (state.config === null) return refuse("not_ready", "no configuration is replicated yet; try again");
  if (view.changeRunning) {
    return refuse(
      "change_running",
      "an earlier change of the members is not finished: wait a moment; if it lasts, see `pointsman members` for who is not heard of",
    );
  }
  switch (write.kind) {
    case "member_add":
      return judgeAdd(state, write);
    case "member_promote":
      return judgePromote(state, view, write);
    case "member_remove":
      return judgeRemove(state, view, write);
    case "member_replace":
      return judgeReplace(state, view, write);
  }
}

/** Who takes part, for the answer to a read. `view` is null on a witness that does not lead. */
export function membersReport(
  state: State,
  asked: {
    readonly witness: WitnessId;
    readonly leaderNode: NodeId | null;
    readonly lastIndex: LogIndex;
    readonly nowMs: number;
    readonly view: LeaderView | null;
  },
): MembersReport {
  const { view, leaderNode } = asked;
  return {
    witness: asked.witness,
    leader: leaderNode === null ? null : (memberByNode(state, leaderNode)?.witness ?? null),
    leaderNode,
    appliedIndex: state.appliedIndex,
    lastIndex: asked.lastIndex,
    clusterTimeMs: asked.nowMs,
    changeRunning: view?.changeRunning ?? false,
    members: state.members.map((member) => ({ member, progress: view?.progress.get(member.node) ?? null })),
  };
}

type Of<K extends MemberWrite["kind"]> = Extract<MemberWrite, { kind: K }>;

function judgeAdd(state: State, write: Of<"member_add">): MemberCommand | Refusal {
  const { witness: id, site, peers, admin, dns, by } = write;
  const present = memberOf(state, id);
  if (present !== null) {
    const remedy =
      present.role === "learner"
        ? `it is a learner; \`pointsman members promote ${id}\` makes it a voter, \`pointsman members remove ${id}\` takes it out`
        : `it votes; if its disk or machine is lost: \`pointsman members replace ${id}\``;
    return refuse("member_exists", `${named(present)} takes part already: ${remedy}`);
  }
  return joining(state, { id, site, peers, admin, dns }, null, by);
}

function judgePromote(state: State, view: LeaderView, write: Of<"member_promote">): MemberCommand | Refusal {
  const member = memberOf(state, write.witness);
  if (member === null) return unknownWitness(state, write.witness);
  if (member.role === "voter") return refuse("not_learner", `${named(member)} votes already`);
  if (!isCaughtUp(progressOf(view, member.node), view.lastIndex))
    return refuse("not_caught_up", behind(view, member));
  if (member.disk === null) {
    return refuse("not_caught_up", `${named(member)} has not said yet on which disk it lives: wait a moment`);
  }
  return { kind: "member_promote", node: member.node, by: write.by };
}

function judgeRemove(state: State, view: LeaderView, write: Of<"member_remove">): MemberCommand | Refusal {
  const member = memberOf(state, write.witness);
  if (member === null) return unknownWitness(state, write.witness);
  const command: MemberCommand = { kind: "member_remove", node: member.node, by: write.by };
  if (member.role === "learner") return command;
  const others = votersOf(state).filter((voter) => voter !== member);
  if (others.length === 0) {
    return refuse(
      "last_voter",
      `${named(member)} is the last voter: without it there is no cluster; add another witness first`,
    );
  }
  const replacement = replacementOf(state, member.node);
  if (replacement !== null) return replacing(member, replacement);
  return write.force ? command : (quorumRefusal(view, others, `without ${member.witness}`) ?? command);
}

function judgeReplace(state: State, view: LeaderView, write: Of<"member_replace">): MemberCommand | Refusal {
  const member = memberOf(state, write.witness);
  if (member === null) return unknownWitness(state, write.witness);
  if (member.role === "learner") {
    const former = member.replaces === null ? null : memberByNode(state, member.replaces);
    if (former !== null) return replacing(former, member);
    const again = `\`pointsman members remove ${member.witness}\`, then add it again`;
    return refuse("invalid", `${named(member)} is a learner and holds nothing up: ${again}`);
  }
  const running = replacementOf(state, member.node);
  if (running !== null) return replacing(member, running);
  const id = write.successor ?? member.witness;
  if (id !== member.witness) {
    const present = memberOf(state, id);
    if (present !== null)
      return refuse(
        "member_exists",
        `${named(present)} takes part already: give the new witness another name`,
      );
    if (write.peers.length === 0)
      return refuse("invalid", `peers is empty: say where ${id} is reached (--peers host:port)`);
  } else if (!write.force) {
    const alive = aliveRefusal(state, view, member);
    if (alive !== null) return alive;
  }
  const kept = witnessConfigOf(member);
  const witness: WitnessConfig = {
    id,
    site: write.site ?? kept.site,
    peers: write.peers.length === 0 ? kept.peers : write.peers,
    admin: write.admin ?? (write.peers.length === 0 ? kept.admin : movedTo(write.peers[0] ?? "", kept.admin)),
    dns: write.dns ?? (id === member.witness ? kept.dns : null),
  };
  return joining(state, witness, member.node, write.by);
}

/** From the change on, Raft's traffic for the name goes to the new member: the old one falls silent. */
function aliveRefusal(state: Membership, view: LeaderView, member: Member): Refusal | null {
  if (!isAlive(view, member)) {
    const others = votersOf(state).filter((voter) => voter !== member);
    const needed = Math.floor((others.length + 1) / 2) + 1;
    const alive = others.filter((voter) => isAlive(view, voter)).length;
    if (alive >= needed) return null;
    return refuse(
      "would_lose_quorum",
      `only ${alive} of ${others.length + 1} voters are alive without ${member.witness}, and ${needed} are needed: bring another one back first`,
    );
  }
  const what = member.node === view.node ? "leads" : "is alive";
  return refuse(
    "member_active",
    `${named(member)} ${what}: replacing it under its own name silences it at once; stop it first ` +
      "(or give the new one a name of its own with --successor, or --force)",
  );
}

function joining(
  state: State,
  witness: WitnessConfig,
  replaces: NodeId | null,
  by: string,
): MemberCommand | Refusal {
  const sites = state.config?.sites.map((site) => site.id) ?? [];
  if (witness.site !== null && !sites.includes(witness.site))
    return refuse("unknown_site", `no site ${witness.site} is configured; there are: ${sites.join(", ")}`);
  const holder = addressHolder(state, witness);
  if (holder !== null) {
    return refuse(
      "member_exists",
      `${holder.address} is the peer address of ${named(holder.member)}: give ${witness.id} one of its own`,
    );
  }
  return { kind: "member_add", witness, replaces, node: state.nextNode, by };
}

function quorumRefusal(view: LeaderView, voters: readonly Member[], when: string): Refusal | null {
  const needed = Math.floor(voters.length / 2) + 1;
  const dead = voters.filter((voter) => !isAlive(view, voter));
  if (voters.length - dead.length >= needed) return null;
  const names = dead.map((voter) => voter.witness).join(", ");
  return refuse(
    "would_lose_quorum",
    `${when}, ${needed} of ${voters.length} voters are needed and ${names} ${dead.length === 1 ? "is" : "are"} not heard of: ` +
      "bring that back or remove it first, or say --force",
  );
}

function progressOf(view: LeaderView, node: NodeId): MemberProgress | null {
  return view.progress.get(node) ?? null;
}

function isAlive(view: LeaderView, { node }: Member): boolean {
  const progress = progressOf(view, node);
  return node === view.node || (progress?.active === true && progress.refused === null);
}

function behind(view: LeaderView, member: Member): string {
  const progress = progressOf(view, member.node);
  const who = named(member);
  if (progress?.refused != null) return `${who} is refused (${progress.refused}): see docs/operations.md`;
  if (progress === null || !progress.active)
    return `${who} is not heard of: start it with an empty data directory; is ${member.peers.join(" or ")} its peer address?`;
  const entries = view.lastIndex - progress.match;
  return `${who} has ${progress.match} of ${view.lastIndex} entries, ${entries} are missing: wait, \`pointsman members\` shows how far it is`;
}

function replacing(former: Member, replacement: Member): Refusal {
  return refuse(
    "change_running",
    `${named(former)} is being replaced by ${named(replacement)} at ${replacement.peers.join(" and ")}: wait for it to catch up ` +
      `(\`pointsman members\`), or call it off: \`pointsman members remove ${replacement.witness}\``,
  );
}

function unknownWitness(state: Membership, witness: WitnessId): Refusal {
  const known = [...new Set(state.members.map((member) => member.witness))].join(", ");
  return refuse("unknown_witness", `no witness ${witness} takes part; there are: ${known}`);
}

/** The host of `peer` with the port of `admin`. */
function movedTo(peer: string, admin: string): string {
  const host = peer.slice(0, peer.lastIndexOf(":"));
  return `${host}${admin.slice(admin.lastIndexOf(":"))}`;
}

function refuse(code: RefusalCode, message: string): Refusal {
  return { kind: "refused", code, message, leader: null };
}
