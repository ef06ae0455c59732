/**
 * One witness: joins the rooms of the core behind the two unions of contract.ts. `step` is synchronous and
 * deterministic: the same inputs give the same effects, to the byte.
 *
 * Every input runs the same way: it is handed to the room that it concerns; then what Raft has ready is
 * drained and applied; then, on a leader, what is due is proposed; and again until nothing is left.
 * Invariants: a leader conducts only after it has applied an entry of its own term (so it knows all that its
 * predecessors decided), and not after it noticed that it was itself stopped, until a quorum has confirmed it
 * again.
 */
import { assert, assertNever } from "../base/assert.js";
import {
  type LogIndex,
  logIndex,
  NO_NODE,
  type NodeId,
  type Term,
  term,
  type WitnessId,
} from "../base/ids.js";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.js";
import { Detector, judgeGroup } from "../health/health.js";
import {
  type AdminRequest,
  type AdminResponse,
  type ExerciseRequest,
  isMemberWrite,
  type MemberWrite,
  type Refusal,
  type WriteRequest,
} from "../model/admin.js";
import { confChangeOf } from "../model/apply-members.js";
import { type Command, isMemberCommand } from "../model/command.js";
import { type ClusterConfig, findGroup } from "../model/config.js";
import { judgeMemberWrite, type LeaderView, membersReport, promotionDue } from "../model/judge-members.js";
import { memberByNode } from "../model/members.js";
import type { View } from "../model/observation.js";
import { recall } from "../model/sessions.js";
import type { SessionKey, State } from "../model/state.js";
import { planSteps } from "../plan/plan.js";
import { judgeSwitchover } from "../policy/policy.js";
import type { Message, StateType } from "../raft/types.js";
import { ClusterClock } from "./cluster-clock.js";
import { Conductor, type Moment, nextEpoch } from "./conductor.js";
import type { Effect, Input, PeerMessage } from "./contract.js";
import { Paces } from "./paces.js";
import { preferredLeaders } from "./preference.js";
import { Proposals } from "./proposals.js";
import { type AppliedEntry, type Installed, Replica } from "./replica.js";
import { explain, ROLES, statusReport } from "./report.js";
import { entryOf, type Origin, Requests, refuse, responseOf } from "./requests.js";
import { Views } from "./views.js";

export interface WitnessOptions {
  readonly self: WitnessId;
  /** The document of this witness, and its hash. */
  readonly config: ClusterConfig;
  readonly configHash: string;
  readonly seed: number;
  /** When the log is cut; absent: as the program does it. */
  readonly limits?: { readonly snapshotBytes: number; readonly keepEntries: number };
  /** Differs from life to life of the process. */
  readonly life: number;
}

interface Role {
  readonly term: Term;
  readonly state: StateType;
  readonly leader: WitnessId | null;
}

/** With more witnesses than this a view goes to the leader alone: everybody's relay would be too many messages. */
const RELAY_MAX = 7;
/** Rounds of drain and conduct in one step; more would mean that a duty does not end. */
const ROUNDS_MAX = 100;
/** A snapshot is taken after so many bytes of applied log, and so many entries stay for those a little behind. */
const LIMITS = { snapshotBytes: 16 * 1024 * 1024, keepEntries: 2000 };
/** A witness whose messages are not taken is told why so often. */
const REFUSAL_REPEAT_MS = 2_000;
/** A leader moves the leadership to a preferred witness no sooner than so long after it was elected. */
const SETTLED_MS = 10_000;
/** And only when nothing was written for so long. */
const STILL_MS = 1_000;
/** An anomaly that goes on is told again so often. */
const ANOMALY_REPEAT_MS = 10_000;

export class Witness {
  private readonly options: WitnessOptions;
  private readonly clock = new ClusterClock();
  private readonly proposals = new Proposals();
  private readonly views = new Views();
  private readonly requests: Requests;
  private readonly conductor: Conductor;
  private readonly detector: Detector;
  private replica: Replica | null = null;
  private effects: Effect[] = [];
  private role: Role = { term: term(0), state: "StateFollower", leader: null };
  private monoMs = 0;
  private wallMs = 0;
  private tickedAtMonoMs: number | null = null;
  private tickDebtMs = 0;
  private viewSentAtMonoMs = Number.NEGATIVE_INFINITY;
  private leaderHeardAtMonoMs: number | null = null;
  /** Entries up to here were known before this life began: what they say is history, not news. */
  private oldNews: LogIndex = logIndex(0);
  /**
   * The read by which a quorum shall confirm this leader after its own stall. Each stall asks anew: the
   * answer to an older question may have lain in the socket all the while.
   */
  private confirming: string | null = null;
  private stallCount = 0;
  /** The first term in which this life led; what earlier lives led, and decided, it does not know. */
  private firstLedTerm: Term | null = null;
  private transfer: {
    readonly id: string;
    readonly origin: Origin;
    readonly to: WitnessId;
    deadlineMonoMs: number;
  } | null = null;
  private stopping: { readonly deadlineMonoMs: number } | null = null;
  /** Something changed that a leader may have to act on: time, state, a view, an outcome. Judging all groups costs. */
  private conductDue = true;
  private anomaly: { readonly text: string; readonly saidAtMonoMs: number } | null = null;
  /** By node: why its messages are not taken, and when it was last told. */
  private readonly refusedNodes = new Map<NodeId, { readonly code: string; readonly atMonoMs: number }>();
  /** The disks on which nodes were heard to live. */
  private readonly disks = new Map<NodeId, string>();
  private refusal: { readonly message: string; readonly saidAtMonoMs: number } | null = null;
  private diskStalled = false;
  private readonly paces = new Paces();
  private leadingSinceMonoMs: number | null = null;
  /** Where the log ended when it was last looked at, and since when it does. */
  private stillAt: { readonly index: LogIndex; readonly monoMs: number } = { index: logIndex(0), monoMs: 0 };
  /** The peers that the transport was told, as text. */
  private toldPeers = "";
  /** What the peers and the preference were last worked out of. */
  private toldOf: (Pick<State, "members" | "config" | "groups"> & { configuration: object }) | null = null;
  /** Who shall rather lead, as of then. */
  private wantedLeaders: readonly WitnessId[] = [];
  private halted = false;

  constructor(options: WitnessOptions) {
    this.options = options;
    const { timings } = options.config;
    this.requests = new Requests(
      {
        reply: (id, response) => this.effects.push({ kind: "reply", id, response }),
        answerPeer: (to, request, response) => this.send(to, { kind: "forwarded", request, response }),
        passOn: (to, request, term, write) => this.send(to, { kind: "forward", request, term, write }),
        askIndex: (context) => this.raft.node.readIndex(context),
      },
      { resendMs: timings.electionMinMs, patienceMs: Math.max(5000, 3 * timings.electionMaxMs) },
    );
    const podium = {
      self: options.self,
      propose: (key: string, command: Command) => void this.propose(key, command, null),
      busy: (key: string) => this.proposals.has(key),
      effect: (effect: Effect) => void this.effects.push(effect),
    };
    this.conductor = new Conductor(podium, { config: options.config, hash: options.configHash });
    this.detector = new Detector({
      config: options.config,
      witness: options.self,
      seed: options.seed,
      life: options.life,
      stallMs: this.stallMs,
    });
  }

  /** The replicated state as this witness has applied it. Plain data; never mutated, replaced. */
  get state(): State {
    return this.raft.state;
  }

  /** Since this witness last heard of a leader of the current term; 0 on a leader; null before the first. Unit: ms. */
  leaderContactAgeMs(monoMs: number): number | null {
    if (this.role.state === "StateLeader") return 0;
    return this.leaderHeardAtMonoMs === null ? null : Math.max(0, monoMs - this.leaderHeardAtMonoMs);
  }

  /**
   * Takes inputs, in order; returns what is to be done, in order. What came in one moment costs less at once:
   * Raft is drained after all of it, so that several proposals are one write and one message to each peer.
   */
  step(...inputs: readonly Input[]): Effect[] {
    this.effects = [];
    for (const input of inputs) {
      if (this.halted) break;
      if (this.replica === null && input.kind !== "restored") this.onEarly(input);
      else this.onInput(input);
    }
    if (this.replica !== null) this.settle(this.replica);
    const { effects } = this;
    this.effects = [];
    return effects;
  }

  private get raft(): Replica {
    assert(this.replica !== null, "the first input of a life is `restored`");
    return this.replica;
  }

  /** A gap between ticks that is longer than this is this witness's own stall. */
  private get stallMs(): number {
    const { timings } = this.options.config;
    return Math.max(4 * timings.tickMs, timings.electionMinMs);
  }

  private get moment(): Moment {
    return { monoMs: this.monoMs, nowMs: this.clock.now(this.monoMs) };
  }

  private get isLeader(): boolean {
    return this.role.state === "StateLeader";
  }

  /** A leader that has applied an entry of its own term knows all that was decided before it. */
  private get isReady(): boolean {
    return this.isLeader && this.raft.state.appliedTerm === this.role.term;
  }

  private onInput(input: Input): void {
    switch (input.kind) {
      case "restored":
        return this.onRestored(input);
      case "tick":
        return this.onTick(input.monoMs, input.wallMs);
      case "message":
        return this.onMessage(input.from, input.disk, input.message);
      case "persisted": {
        const installed = this.raft.onPersisted(input.write);
        if (installed !== null) this.onInstalled(installed);
        return;
      }
      case "compacted":
        return this.raft.onCompacted(input.base);
      case "snapshot_sent": {
        const node = this.raft.nodeOf(input.to);
        if (node !== null) this.raft.node.reportSnapshot(node, input.ok);
        return;
      }
      case "probed":
        this.detector.onProbed(input.target, input.probe, input.result, this.monoMs);
        return;
      case "actuated":
        this.conductDue = true;
        return this.conductor.onActuated(input.key, input.outcome);
      case "request":
        return this.onRequest(input.id, input.request);
      case "abandoned":
        return this.requests.abandon(input.id);
      case "stop":
        return this.onStop();
      default:
        assertNever(input, "input");
    }
  }

  /** The world is awake before the disk is read: people are told to come again, all else will be sent again. */
  private onEarly(input: Input): void {
    if (input.kind === "stop") this.halt("stopped");
    if (input.kind === "request")
      this.reply(input.id, refuse("not_ready", "this witness reads its disk; nothing was done, try again"));
  }

  private onRestored(input: Extract<Input, { kind: "restored" }>): void {
    assert(this.replica === null, "restored twice");
    const { timings, witnesses } = this.options.config;
    const ticks = (ms: number): number => Math.max(1, Math.round(ms / timings.tickMs));
    this.oldNews = input.hardState.commit;
    this.monoMs = input.monoMs;
    this.tickedAtMonoMs = input.monoMs;
    this.replica = new Replica(
      {
        self: this.options.self,
        document: witnesses.map((witness) => witness.id),
        electionTick: Math.max(ticks(timings.heartbeatMs) + 1, ticks(timings.electionMinMs)),
        heartbeatTick: ticks(timings.heartbeatMs),
        seed: this.options.seed,
        ...(this.options.limits ?? LIMITS),
      },
      input,
    );
    if (input.adopted === null) this.effects.push({ kind: "adopt", adopted: this.replica.adopted });
    if (input.snapshot !== null) {
      const { config, clusterTimeMs } = input.snapshot.data;
      this.clock.onEntry(clusterTimeMs, this.monoMs, false);
      if (config !== null) this.detector.reconfigure(config, this.monoMs);
    }
  }

  /**
   * A leader's snapshot has replaced the state. What was decided in between is told as if it had been applied here, as
   * far as the history reaches.
   */
  private onInstalled({ before, after }: Installed): void {
    this.clock.onEntry(after.clusterTimeMs, this.monoMs, false);
    this.proposals.onApplied(after.appliedIndex);
    this.conductDue = true;
    if (after.config !== null) {
      if (after.configHash !== before.configHash) this.onConfigured(after.config, after.configHash);
      else this.detector.reconfigure(after.config, this.monoMs);
    }
    for (const record of after.history) {
      if (record.index > before.appliedIndex && record.index > this.oldNews)
        this.publish({ kind: "audit", record });
    }
    for (const { id: group, routed } of Object.values(after.groups)) {
      if (routed !== null && routed.epoch !== before.groups[group]?.routed?.epoch)
        this.publish({ kind: "routed", group, site: routed.site });
    }
  }

  private onTick(monoMs: number, wallMs: number): void {
    const gapMs = this.tickedAtMonoMs === null ? 0 : monoMs - this.tickedAtMonoMs;
    this.tickedAtMonoMs = monoMs;
    this.monoMs = monoMs;
    this.wallMs = wallMs;
    this.conductDue = true;
    const { probes, stalled } = this.detector.tick(monoMs);
    for (const probe of probes) this.effects.push({ kind: "probe", ...probe });
    this.tickRaft(gapMs, stalled);
    if (stalled) this.onStalled(gapMs);
    this.requests.onTick(monoMs, this.role);
    if (this.transfer !== null && monoMs >= this.transfer.deadlineMonoMs) {
      const { id, origin, to } = this.transfer;
      this.transfer = null;
      this.requests.answer(
        id,
        origin,
        refuse("not_ready", `${to} did not take over in time: is it up and caught up?`),
      );
    }
    if (this.stopping !== null && (!this.isLeader || monoMs >= this.stopping.deadlineMonoMs))
      this.halt("stopped");
  }

  /**
   * After a pause Raft is given one tick, not a burst of them: the pause is this witness's own, not its
   * peers' silence.
   */
  private tickRaft(gapMs: number, stalled: boolean): void {
    const { tickMs } = this.options.config.timings;
    this.tickDebtMs = stalled ? tickMs : this.tickDebtMs + gapMs;
    while (this.tickDebtMs >= tickMs) {
      this.tickDebtMs -= tickMs;
      this.raft.tick();
    }
    this.watchDisk();
    if (!this.isLeader || stalled) this.paces.clear();
    const { progress, lastIndex } = this.raft.status();
    this.paces.onTick(progress, lastIndex, this.monoMs);
  }

  /** A write that takes longer than an election: said once when it begins and once when it ends. */
  private watchDisk(): void {
    const ticks = this.raft.storageStalledTicks;
    if ((ticks !== null) === this.diskStalled) return;
    this.diskStalled = ticks !== null;
    const ms = (ticks ?? 0) * this.options.config.timings.tickMs;
    const message = this.diskStalled
      ? `the disk has not finished a write for ${ms} ms: this witness neither votes nor acknowledges, and does not lead`
      : "the disk writes again";
    this.publish({ kind: "warning", code: "disk_stalled", message });
  }

  private onStalled(gapMs: number): void {
    const message = `this witness stood still for ${Math.round(gapMs)} ms: it abstains until it has fresh results`;
    this.publish({ kind: "warning", code: "stalled", message });
    this.raft.node.voidLease();
    if (!this.isLeader) return;
    this.confirming = `#confirm ${++this.stallCount}`;
    this.raft.node.readIndex(encodeUtf8(this.confirming));
  }

  private onMessage(from: WitnessId, disk: string, message: PeerMessage): void {
    if (message.kind === "raft") return this.onRaft(from, disk, message.message);
    if (message.kind === "refused") return this.onRefused(from, message.code, message.message);
    if (!this.raft.roster.isKnown(this.state, from, disk)) return;
    switch (message.kind) {
      case "view":
        return this.onView(from, message.view);
      case "forward":
        return this.onForward(from, message);
      case "forwarded":
        return this.requests.onForwarded(message.request, from, message.response);
      default:
        assertNever(message, "peer message");
    }
  }

  private onRaft(from: WitnessId, disk: string, message: Message): void {
    const { replica } = this;
    assert(replica !== null, "a message after the disk was read");
    const { from: node, type } = message;
    const leads = type === "MsgApp" || type === "MsgHeartbeat" || type === "MsgSnap";
    const { adopted: own } = replica;
    const sender = {
      witness: from,
      disk,
      node,
      addsUs: leads && (message.to > own.node || own.bootstrap.length === 0),
      own: own.node,
      leads,
    };
    const admission = replica.roster.admit(this.state, sender, replica.voters);
    if (admission.kind === "refuse") return this.refusePeer(from, node, admission.code, admission.message);
    if (admission.kind === "drop") return;
    this.refusedNodes.delete(node);
    this.paces.onHeard(node, this.monoMs);
    if (disk !== "") this.disks.set(node, disk);
    const adopted = replica.onMessage(message);
    if (adopted !== null) this.effects.push({ kind: "adopt", adopted });
    if (!leads) return;
    this.refusal = null;
    if (replica.witnessOf(replica.node.standing.lead) === from) this.leaderHeardAtMonoMs = this.monoMs;
  }

  /** What this witness says to one whose messages it does not take; not each time. */
  private refusePeer(to: WitnessId, node: NodeId, code: "other_disk" | "no_member", message: string): void {
    const last = this.refusedNodes.get(node);
    if (last !== undefined && this.monoMs - last.atMonoMs < REFUSAL_REPEAT_MS) return;
    this.refusedNodes.set(node, { code, atMonoMs: this.monoMs });
    this.send(to, { kind: "refused", code, message });
    if (last === undefined) this.publish({ kind: "warning", code, message });
  }

  /** A peer does not take this witness's messages. Said once a text, and again while it goes on. */
  private onRefused(from: WitnessId, code: "other_disk" | "no_member", message: string): void {
    const said = this.refusal;
    if (said?.message === message && this.monoMs - said.saidAtMonoMs < ANOMALY_REPEAT_MS) return;
    this.refusal = { message, saidAtMonoMs: this.monoMs };
    this.publish({
      kind: "warning",
      code,
      message: `${from} does not take part with this witness: ${message}`,
    });
  }

  private onRequest(id: string, request: AdminRequest | ExerciseRequest): void {
    if (this.requests.full) return this.reply(id, refuse("busy", "too many requests are waiting; try again"));
    switch (request.kind) {
      case "status":
        if (!request.linearizable) return this.reply(id, this.statusResponse());
        if (this.role.leader === null)
          return this.reply(id, refuse("no_leader", "no leader is known; try again"));
        return this.requests.read(id, () => this.statusResponse(), this.monoMs);
      case "explain": {
        const explanation = explain(this.state, request.group, this.moment.nowMs);
        return this.reply(
          id,
          explanation === null ? this.unknownGroup(request.group) : { kind: "explain", explanation },
        );
      }
      case "exercise":
        return this.onExercise(id, request);
      case "members": {
        const { lead, lastIndex } = this.raft.status();
        const report = membersReport(this.state, {
          witness: this.options.self,
          leaderNode: lead === NO_NODE ? null : lead,
          lastIndex,
          nowMs: this.moment.nowMs,
          view: this.isLeader ? this.leaderView() : null,
        });
        return this.reply(id, { kind: "members", report });
      }
      default:
        if (this.isLeader) return this.onWrite(id, { kind: "client" }, request);
        if (this.role.leader === null)
          return this.reply(id, refuse("no_leader", "no leader is known; nothing was done"));
        return this.requests.pass(id, request, this.role.leader, this.role.term, this.monoMs);
    }
  }

  private reply(id: string, response: AdminResponse): void {
    this.effects.push({ kind: "reply", id, response });
  }

  private statusResponse(): AdminResponse {
    const status = statusReport({
      self: this.options.self,
      own: { config: this.options.config, hash: this.options.configHash },
      replica: this.raft,
      leaderContactAgeMs: this.leaderContactAgeMs(this.monoMs),
      paceOf: (node) => this.paces.paceOf(node, this.monoMs, this.options.config.timings.electionMinMs),
      nowMs: this.moment.nowMs,
    });
    return { kind: "status", status };
  }

  private unknownGroup(group: string): Refusal {
    const known = this.state.config?.groups.map((candidate) => candidate.id).join(", ");
    return known === undefined
      ? refuse("not_ready", "no configuration is replicated yet; try again")
      : refuse("unknown_group", `group ${group} is not configured; there are: ${known}`);
  }

  /** A write that a peer passed on to this witness as the leader of one term. */
  private onForward(from: WitnessId, forward: Extract<PeerMessage, { kind: "forward" }>): void {
    const { request, term: addressed, write } = forward;
    const origin: Origin = { kind: "peer", witness: from };
    if (this.isLeader && this.role.term === addressed) return this.onWrite(request, origin, write);
    if (this.requests.isRepeated(request, origin)) return;
    // Who led that term in this life would know the write, had it decided it; a life before this one may have.
    const led = this.firstLedTerm !== null && addressed >= this.firstLedTerm;
    const refusal = led
      ? refuse("not_leader", `${this.options.self} leads no longer; nothing was done`, this.role.leader)
      : refuse(
          "unknown_outcome",
          `${this.options.self} was restarted: look at status and history`,
          this.role.leader,
        );
    this.requests.answer(request, origin, refusal);
  }

  /** A write, on the witness that a client or a peer takes for the leader. */
  private onWrite(id: string, origin: Origin, write: WriteRequest): void {
    if (this.transfer?.id === id || this.requests.isRepeated(id, origin)) return;
    const answer = (response: AdminResponse): void => this.requests.answer(id, origin, response);
    const refusal = this.refusalOfWrites();
    if (refusal !== null) return answer(refusal);
    if (write.kind === "transfer") return this.onTransfer(id, origin, write.to);
    // Before it is judged: a switchover that succeeded the first time would be refused as "already there".
    const known = write.session === undefined ? null : recall(this.state.sessions, write.session);
    if (known !== null) return answer(responseOf(known));
    if (this.requests.joins(id, origin, write.session)) return;
    const judged = isMemberWrite(write)
      ? judgeMemberWrite(this.state, this.leaderView(), write)
      : this.judgeWrite(write);
    if (judged.kind !== "refused" && this.handsOverBefore(judged)) {
      const message = `${this.options.self} leads and is to leave: it hands over first; nothing was done, try again`;
      return answer(refuse("not_ready", message));
    }
    const command = entryOf(write, judged);
    if (command.kind === "refused") return answer(command);
    const proposed = this.propose(`request ${id}`, command, id, write.session);
    if (proposed) this.requests.onProposed(id, origin, write.session);
    else answer(refuse("busy", "the leader cannot take proposals now; nothing was done, try again"));
  }

  /** Why no write can be taken here and now, or null. */
  private refusalOfWrites(): Refusal | null {
    if (this.stopping !== null) return refuse("stopping", "this witness is stopping; ask another one");
    if (!this.isLeader)
      return refuse("not_leader", `${this.options.self} does not lead; nothing was done`, this.role.leader);
    if (!this.isReady) return refuse("not_ready", "the leader was just elected; nothing was done, try again");
    return null;
  }

  /** On the leader only: nobody passes it on. */
  private onExercise(id: string, { data }: ExerciseRequest): void {
    const refusal = this.refusalOfWrites();
    if (refusal !== null) return this.reply(id, refusal);
    if (this.propose(`request ${id}`, { kind: "noop", data }, id))
      this.requests.onProposed(id, { kind: "client" });
    else this.reply(id, refuse("busy", "the leader cannot take proposals now; nothing was done, try again"));
  }

  private judgeWrite(write: Exclude<WriteRequest, { kind: "transfer" } | MemberWrite>): Command | Refusal {
    const { config, groups } = this.state;
    const group = config === null ? undefined : findGroup(config, write.group);
    const current = groups[write.group];
    if (config === null || group === undefined || current === undefined) {
      return this.unknownGroup(write.group);
    }
    switch (write.kind) {
      case "hold":
        return { kind: "hold", group: write.group, by: write.by, reason: write.reason };
      case "resume":
        return current.mode === "hold" || current.failedSites.length > 0
          ? { kind: "resume", group: write.group, by: write.by }
          : refuse("not_held", `group ${write.group} is not on hold`);
      case "switchover": {
        const verdicts = judgeGroup(config, group, this.conductor.believed(this.state, this.views).witnesses);
        const input = { config, group, state: current, verdicts, nowMs: this.moment.nowMs };
        const judged = judgeSwitchover(input, write.to);
        if (judged.kind === "refused") return refuse(judged.code, judged.message);
        return {
          kind: "decide",
          group: write.group,
          epoch: nextEpoch(current.lastEpoch),
          plan: "switchover",
          from: judged.from,
          to: write.to,
          steps: planSteps(group, "switchover", judged.from),
          reason:
            write.reason === "" ? `asked for by ${write.by}` : `${write.reason} (asked for by ${write.by})`,
          evidence: judged.evidence,
          by: write.by,
        };
      }
      default:
        return assertNever(write, "write");
    }
  }

  /** What this leader knows of the members beyond the replicated state. */
  private leaderView(): LeaderView {
    const { progress, lastIndex } = this.raft.status();
    return {
      node: this.raft.adopted.node,
      lastIndex,
      changeRunning: this.raft.changeRunning,
      progress: new Map(
        progress.map(({ id, match, active, state }) => {
          const refused = this.refusedNodes.get(id)?.code ?? null;
          return [id, { match, active, state, snapshot: null, refused }];
        }),
      ),
    };
  }

  private onTransfer(id: string, origin: Origin, to: WitnessId): void {
    const node = this.raft.nodeOf(to);
    if (node === null) {
      const known = (this.state.config ?? this.options.config).witnesses
        .map((witness) => witness.id)
        .join(", ");
      return this.requests.answer(
        id,
        origin,
        refuse("unknown_witness", `no witness ${to}; there are: ${known}`),
      );
    }
    if (to === this.options.self) {
      const { appliedIndex } = this.state;
      const message = `${to} leads already`;
      return this.requests.answer(id, origin, {
        kind: "accepted",
        index: appliedIndex,
        epoch: null,
        message,
      });
    }
    if (this.transfer !== null) {
      return this.requests.answer(
        id,
        origin,
        refuse("busy", `a transfer to ${this.transfer.to} is under way`),
      );
    }
    this.transfer = {
      id,
      origin,
      to,
      deadlineMonoMs: this.monoMs + 2 * this.options.config.timings.electionMaxMs,
    };
    this.raft.node.transferLeader(node);
  }

  private onStop(): void {
    if (this.stopping !== null || this.replica === null) return this.halt("stopped");
    if (!this.isLeader) return this.halt("stopped");
    this.stopping = { deadlineMonoMs: this.monoMs + this.options.config.timings.electionMaxMs };
    const best = this.heir();
    if (best === null) return this.halt("stopped; no other witness could take over");
    this.raft.node.transferLeader(best);
  }

  private halt(reason: string): void {
    this.conductor.end();
    if (this.transfer !== null) {
      const { id, origin } = this.transfer;
      this.requests.answer(
        id,
        origin,
        refuse("unknown_outcome", "this witness stopped before the hand-over was seen"),
      );
    }
    this.requests.end(this.role.leader);
    this.halted = true;
    this.effects.push({ kind: "halt", code: 0, reason });
  }

  /** Drains Raft, applies, conducts, until nothing is left to do. */
  private settle(replica: Replica): void {
    for (let round = 0; ; round++) {
      assert(round < ROUNDS_MAX, "a step does not come to an end");
      const progress = replica.drain();
      this.effects.push(...progress.effects);
      // What was applied is known, also to a leader that it removed.
      for (const entry of progress.applied) this.requests.onApplied(entry);
      this.onRole(replica);
      for (const entry of progress.applied) this.onApplied(entry);
      for (const read of progress.reads) {
        if (this.confirming !== null && decodeUtf8(read.context) === this.confirming) this.onConfirmed();
        else this.requests.onReadState(read, replica.state.appliedIndex);
      }
      if (progress.applied.length > 0) this.requests.answerReads(replica.state.appliedIndex);
      this.sendView();
      if (progress.applied.length > 0) this.conductDue = true;
      if (this.conductDue && this.isReady && this.confirming === null && this.stopping === null) {
        this.conductDue = false;
        this.conductor.conduct(replica.state, this.views, this.moment);
        this.tendMembers();
      }
      this.tellPeers(replica);
      if (!replica.node.hasReady()) return;
    }
  }

  /**
   * A leader's duties towards the members: a disk that a member was first heard on is bound to it, a replacement that
   * has caught up is promoted, and a witness that shall rather lead is given the lead.
   */
  private tendMembers(): void {
    const { state, raft } = this;
    for (const { node, disk } of state.members) {
      const heard = node === raft.adopted.node ? raft.disk : this.disks.get(node);
      const key = `bind ${node}`;
      if (disk !== null || heard === undefined || this.proposals.has(key)) continue;
      void this.propose(key, { kind: "member_bind", node, disk: heard }, null);
    }
    // Seldom is there a replacement to wait for, and what the leader knows of all members is not free.
    if (!this.proposals.has("members") && state.members.some(({ replaces }) => replaces !== null)) {
      const command = promotionDue(state, this.leaderView(), this.options.self);
      if (command !== null && !this.handsOverBefore(command)) void this.propose("members", command, null);
    }
    this.yieldToPreferred();
  }

  /**
   * A leader that a change takes out of the voters hands over before it: were it to go with the change, it alone
   * might know that it is gone, and the others could need the vote of one that cannot be elected (etcd #10563). True
   * when somebody else is there to lead; that one makes the change.
   */
  private handsOverBefore(command: Command): boolean {
    const { raft, state } = this;
    const own = raft.adopted.node;
    const leaves =
      (command.kind === "member_remove" && command.node === own) ||
      (command.kind === "member_promote" && memberByNode(state, command.node)?.replaces === own);
    if (!leaves) return false;
    const heir = this.heir();
    if (heir === null) return false;
    if (raft.status().leadTransferee === NO_NODE) raft.node.transferLeader(heir);
    return true;
  }

  /** Who could lead best after this one: a voter that answers and has most of the log. */
  private heir(): NodeId | null {
    const { raft } = this;
    const fit = raft.status().progress.filter(({ id, active, isLearner, recovering }) => {
      return active && !isLearner && !recovering && id !== raft.adopted.node;
    });
    return fit.sort((a, b) => b.match - a.match || a.id - b.id)[0]?.id ?? null;
  }

  private yieldToPreferred(): void {
    const { state, raft } = this;
    const since = this.leadingSinceMonoMs;
    if (since === null || this.monoMs - since < SETTLED_MS || this.transfer !== null || raft.changeRunning)
      return;
    const wanted = this.wantedLeaders;
    if (wanted.length === 0 || wanted.includes(this.options.self)) return;
    if (Object.values(state.groups).some(({ plan }) => plan?.status === "running")) return;
    const { progress, lastIndex, leadTransferee } = raft.status();
    // While it is handed over nothing can be proposed: only when nobody wants to.
    if (lastIndex !== this.stillAt.index) this.stillAt = { index: lastIndex, monoMs: this.monoMs };
    if (leadTransferee !== NO_NODE || this.monoMs - this.stillAt.monoMs < STILL_MS) return;
    const heir = progress.find(({ id, active, match, recovering, isLearner }) => {
      const witness = raft.witnessOf(id);
      return (
        active &&
        !recovering &&
        !isLearner &&
        match === lastIndex &&
        witness !== null &&
        wanted.includes(witness)
      );
    });
    if (heir === undefined) return;
    // Whether it comes about or not: the next try is not before another such time.
    this.leadingSinceMonoMs = this.monoMs;
    raft.node.transferLeader(heir.id);
  }

  /** Tells the transport who the peers are, when that has changed; and Raft whether this witness shall rather lead. */
  private tellPeers(replica: Replica): void {
    const { members, config: replicated, groups } = replica.state;
    const { configuration } = replica;
    const told = this.toldOf;
    // After most inputs none of it has moved: these are replaced, never changed.
    if (
      told !== null &&
      told.members === members &&
      told.config === replicated &&
      told.groups === groups &&
      told.configuration === configuration
    )
      return;
    this.toldOf = { members, config: replicated, groups, configuration };
    this.wantedLeaders = preferredLeaders(replica.state);
    const wanted = this.wantedLeaders;
    replica.prefer(wanted.length === 0 ? "equal" : wanted.includes(this.options.self) ? "yes" : "no");
    const { self, config } = this.options;
    const peers = replica.roster.peers(replica.state, self, replica.voters, config.witnesses);
    const text = JSON.stringify(peers);
    if (text === this.toldPeers) return;
    this.toldPeers = text;
    this.effects.push({ kind: "peers", peers });
  }

  /** A quorum still follows; what this leader heard before it stood still is old all the same. */
  private onConfirmed(): void {
    this.confirming = null;
    this.conductDue = true;
    this.conductor.begin(this.moment);
  }

  private onRole(replica: Replica): void {
    const status = replica.node.standing;
    const leader = status.lead === NO_NODE ? null : replica.witnessOf(status.lead);
    const was = this.role;
    if (status.lastAnomaly !== null) this.onAnomaly(status.lastAnomaly, status.anomalyCount);
    if (status.term === was.term && status.state === was.state && leader === was.leader) return;
    this.role = { term: status.term, state: status.state, leader };
    const led = was.state === "StateLeader" && (status.state !== "StateLeader" || status.term !== was.term);
    if (led) {
      this.conductor.end();
      this.proposals.clear();
      this.confirming = null;
      this.leadingSinceMonoMs = null;
      this.requests.onLeadershipLost(leader);
    }
    if (status.state === "StateLeader" && (led || was.state !== "StateLeader")) {
      this.firstLedTerm ??= status.term;
      this.leadingSinceMonoMs = this.monoMs;
      this.conductor.begin(this.moment);
    }
    if (this.transfer !== null && leader === this.transfer.to) {
      const { id, origin, to } = this.transfer;
      this.transfer = null;
      const message = `${to} leads now, in term ${status.term}`;
      this.requests.answer(id, origin, {
        kind: "accepted",
        index: replica.state.appliedIndex,
        epoch: null,
        message,
      });
    }
    if (leader !== null && leader !== was.leader) this.viewSentAtMonoMs = Number.NEGATIVE_INFINITY;
    if (status.state !== was.state || leader !== was.leader) {
      this.publish({ kind: "role", term: status.term, role: ROLES[status.state], leader });
    }
  }

  private onApplied(entry: AppliedEntry): void {
    this.proposals.onApplied(entry.index);
    if (entry.envelope === null || entry.applied === null) return;
    const { envelope, applied } = entry;
    this.clock.onEntry(envelope.atMs, this.monoMs, this.isLeader && entry.term === this.role.term);
    if (!applied.accepted) return;
    const { command } = envelope;
    if (command.kind === "begin")
      this.conductor.onBegun(command.key, command.leader, entry.term, this.role.term);
    if (command.kind === "configure") this.onConfigured(command.config, command.hash);
    if (entry.index <= this.oldNews) return;
    for (const record of applied.records) this.publish({ kind: "audit", record });
    if (command.kind === "finish" && command.key.step === "route") {
      const routed = applied.state.groups[command.key.group]?.routed;
      if (routed?.epoch === command.key.epoch) {
        this.publish({ kind: "routed", group: command.key.group, site: routed.site });
      }
    }
  }

  /** Raft met what cannot be while every disk keeps what it confirmed. Said once a text, and again while it goes on. */
  private onAnomaly(text: string, count: number): void {
    const said = this.anomaly;
    if (said !== null && this.monoMs - said.saidAtMonoMs < ANOMALY_REPEAT_MS) return;
    if (said?.text === `${count} ${text}`) return;
    this.anomaly = { text: `${count} ${text}`, saidAtMonoMs: this.monoMs };
    const remedy =
      "look for a data directory that was removed, restored or copied; what this witness shows may be wrong";
    this.publish({ kind: "warning", code: "log_anomaly", message: `${text} (${count} so far): ${remedy}` });
  }

  private onConfigured(config: ClusterConfig, hash: string): void {
    this.detector.reconfigure(config, this.monoMs);
    const own = this.options.config;
    if (hash === this.options.configHash) return;
    const remedy =
      own.version === config.version
        ? "two documents share one version: raise `version` in the one that is right"
        : "put the same document at every witness";
    const message = `the replicated document is version ${config.version}, this witness's file is version ${own.version} with other content: ${remedy}`;
    this.publish({ kind: "warning", code: "config_differs", message });
  }

  private takeView(view: View): void {
    if (this.views.onView(view, this.monoMs)) this.conductDue = true;
  }

  /**
   * A view from its owner, or passed on. What came from its owner is passed on to the leader, once: the owner may
   * reach this witness and not the leader, and a fault that a majority sees must not wait for that line.
   */
  private onView(from: WitnessId, view: View): void {
    const { self } = this.options;
    if (view.witness === self || this.raft.nodeOf(view.witness) === null) return;
    this.takeView(view);
    const { leader } = this.role;
    if (view.witness === from && leader !== null && leader !== self && leader !== from) {
      this.send(leader, { kind: "view", view });
    }
  }

  /** Sends the whole view: at once when it changed, and again at a steady pace. */
  private sendView(): void {
    const { self, config } = this.options;
    const { leader } = this.role;
    const due = this.monoMs - this.viewSentAtMonoMs >= this.options.config.timings.viewIntervalMs;
    if (!due && !this.detector.changed) return;
    this.detector.takeChanged();
    this.viewSentAtMonoMs = this.monoMs;
    const view = this.detector.view();
    if (leader === self) return this.takeView(view);
    // Everybody passes it on to whom they take for the leader. In a large cluster only when it is not known here.
    const { witnesses } = this.state.config ?? config;
    const to = leader !== null && witnesses.length > RELAY_MAX ? [leader] : witnesses.map(({ id }) => id);
    for (const id of to) if (id !== self) this.send(id, { kind: "view", view });
  }

  private send(to: WitnessId, message: PeerMessage): void {
    this.effects.push({ kind: "send", to, message, urgent: true });
  }

  private publish(event: Extract<Effect, { kind: "publish" }>["event"]): void {
    this.effects.push({ kind: "publish", event });
  }

  /** Writes a command into the log under a key; false when Raft does not take it now. */
  private propose(
    key: string,
    command: Command,
    request: string | null,
    session: SessionKey | undefined = undefined,
  ): boolean {
    const envelope = {
      atMs: this.clock.issue(this.monoMs),
      wallMs: this.wallMs,
      leader: this.options.self,
      request,
      ...(session === undefined ? {} : { session }),
      command,
    };
    const changes = isMemberCommand(command) ? confChangeOf(this.state, command) : [];
    const result =
      changes.length === 0 ? this.raft.propose(envelope) : this.raft.proposeChange(envelope, changes);
    if (result.kind === "refused") return false;
    this.proposals.add(key, result.index);
    return true;
  }
}
