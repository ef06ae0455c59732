/**
 * Who speaks: witness ids and disks on one side, Raft's node ids on the other.
 *
 * A disk that was lost took promises with it, so a witness that comes back without it is another member
 * (model/members.ts). Each Raft message is therefore judged by three things: the witness that sent it (the transport
 * knows), the node that it claims to be, and the disk that it lives on. What is not a member's own word is not taken,
 * and its sender is told why: an emptied disk under its old node must neither vote nor acknowledge.
 *
 * The replicated state is the authority, but it may lag behind: a witness that is being added knows nothing yet, and
 * one that was away knows an older list. So a node id that was given out later than this state knows is taken on
 * trust; an id that the state knew and knows no more is refused.
 */
import { NO_NODE, type NodeId, nodeId, type WitnessId } from "../base/ids.js";
import { type Member, memberByNode, memberOf } from "../model/members.js";
import type { State } from "../model/state.js";
import type { PeerAddress } from "./contract.js";

/** What is to be done with a Raft message. */
export type Admission =
  | { readonly kind: "take" }
  | { readonly kind: "drop" }
  | { readonly kind: "refuse"; readonly code: "other_disk" | "no_member"; readonly message: string };

export class Roster {
  readonly #bootstrap: readonly WitnessId[];
  /** Nodes heard that the state does not know yet. */
  readonly #heard = new Map<NodeId, WitnessId>();
  /** Members that the state knew once: one may still vote in the half of a configuration that is being left. */
  readonly #former = new Map<NodeId, Member>();
  #members: readonly Member[] = [];

  /** `bootstrap`: the witnesses before the first document, nodes 1, 2, … */
  constructor(bootstrap: readonly WitnessId[]) {
    this.#bootstrap = bootstrap;
  }

  /** The state moved: remembers who is a member now. Cheap when nothing changed. */
  follow(state: State): void {
    if (state.members === this.#members) return;
    this.#members = state.members;
    for (const member of state.members) {
      this.#former.set(member.node, member);
      this.#heard.delete(member.node);
    }
  }

  witnessOf(node: NodeId): WitnessId | null {
    if (node === NO_NODE) return null;
    const known = this.#former.get(node)?.witness ?? this.#heard.get(node);
    if (known !== undefined) return known;
    return this.#members.length === 0 ? (this.#bootstrap[node - 1] ?? null) : null;
  }

  /** The node that the witness's name stands for at present. */
  nodeOf(state: State, witness: WitnessId): NodeId | null {
    if (state.members.length > 0) return memberOf(state, witness)?.node ?? null;
    const position = this.#bootstrap.indexOf(witness);
    return position < 0 ? null : nodeId(position + 1);
  }

  /** Whether that witness's word counts in what is not Raft's: its view, and the writes that it passes on. */
  isKnown(state: State, witness: WitnessId, disk: string): boolean {
    if (state.members.length === 0) return this.#bootstrap.includes(witness);
    const member = memberOf(state, witness);
    return member !== null && (member.disk === null || member.disk === disk);
  }

  /** Judges a Raft message that `witness` on `disk` sent as `node`; `voters` are those of either half. */
  admit(
    state: State,
    from: {
      readonly witness: WitnessId;
      readonly disk: string;
      readonly node: NodeId;
      /** A leader speaks to this witness as to a member that was added later than its document says. */
      readonly addsUs: boolean;
      /** The node that this witness takes itself for. */
      readonly own: NodeId;
      /** What only a leader sends. */
      readonly leads: boolean;
    },
    voters: readonly NodeId[],
  ): Admission {
    const { witness, disk, node, addsUs, own, leads } = from;
    if (state.members.length === 0) return this.#admitEarly(witness, node, addsUs);
    const newest = memberOf(state, witness);
    const claimed = memberByNode(state, node) ?? (voters.includes(node) ? this.#former.get(node) : undefined);
    if (claimed === undefined || claimed === null) {
      if (node < state.nextNode) return this.#noMember(state, witness, node);
      this.#heard.set(node, witness);
      return { kind: "take" };
    }
    if (claimed.witness !== witness) return { kind: "drop" };
    // Who was added later than this state knows has an old state: of disks, too, a leader knows better.
    const isOutdated = leads && (addsUs || own >= state.nextNode);
    if (claimed.disk !== null && claimed.disk !== disk && !isOutdated) {
      // While a lost witness is replaced under its own name, the new disk is meant by the newest member.
      const message =
        `${witness} (node ${node}) lives on disk ${claimed.disk}, and this is disk ${disk}: what that disk had promised is ` +
        (newest !== null && newest.node > node
          ? `not known here; node ${newest.node} takes its place, wait for it to be fed`
          : `forgotten here, so it may not vote; let it join anew: pointsman members replace ${witness}`);
      return { kind: "refuse", code: "other_disk", message };
    }
    return { kind: "take" };
  }

  /**
   * Before the first document. The places in one's own document count the voters only if this is the beginning of the
   * cluster; on a new disk of an old cluster a leader may have any node, and knows better.
   */
  #admitEarly(witness: WitnessId, node: NodeId, addsUs: boolean): Admission {
    const position = this.#bootstrap.indexOf(witness);
    if (position + 1 === node) return { kind: "take" };
    if (node <= this.#bootstrap.length && !addsUs) return { kind: "drop" };
    this.#heard.set(node, witness);
    return { kind: "take" };
  }

  #noMember(state: State, witness: WitnessId, node: NodeId): Admission {
    const newest = memberOf(state, witness);
    const message =
      newest === null
        ? `${witness} (node ${node}) takes no part any more; stop it, or let it join anew: pointsman members add ${witness}`
        : `${witness} is node ${newest.node} now, and this is node ${node}, which was replaced: stop this one, or remove its data directory`;
    return { kind: "refuse", code: "no_member", message };
  }

  /**
   * Where the others are: the members, and until there are any, the witnesses of the document. `voters` that the
   * state knows no more are kept while they count.
   */
  peers(
    state: State,
    self: WitnessId,
    voters: readonly NodeId[],
    document: readonly { readonly id: WitnessId; readonly peers: readonly string[] }[],
  ): readonly PeerAddress[] {
    const byWitness = new Map<WitnessId, readonly string[]>();
    if (state.members.length === 0) for (const { id, peers } of document) byWitness.set(id, peers);
    for (const node of voters) {
      const former = this.#former.get(node);
      if (former !== undefined) byWitness.set(former.witness, former.peers);
    }
    // The newest last: while a witness is replaced under its name, its addresses are the new one's.
    for (const { witness, peers } of state.members) byWitness.set(witness, peers);
    byWitness.delete(self);
    return [...byWitness].map(([witness, addresses]) => ({ witness, addresses }));
  }
}
