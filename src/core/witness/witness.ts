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
import { type LogIndex, logIndex, NO_NODE, type Term, term, type WitnessId } from "../base/ids.js";
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
import type { Command } from "../model/command.js";
import { type ClusterConfig, findGroup } from "../model/config.js";
import { membersReport } from "../model/judge-members.js";
import type { View } from "../model/observation.js";
import { recall } from "../model/sessions.js";
import type { SessionKey, State } from "../model/state.js";
import { planSteps } from "../plan/plan.js";
import { judgeSwitchover } from "../policy/policy.js";
import type { StateType } from "../raft/types.js";
import { ClusterClock } from "./cluster-clock.js";
import { Conductor, type Moment, nextEpoch } from "./conductor.js";
import type { Effect, Input, PeerMessage } from "./contract.js";
import { Proposals } from "./proposals.js";
import { type AppliedEntry, Replica } from "./replica.js";
import { explain, ROLES, statusReport } from "./report.js";
import { entryOf, type Origin, Requests, refuse, responseOf } from "./requests.js";
import { Views } from "./views.js";

export interface WitnessOptions {
  readonly self: WitnessId;
  /** The document of this witness, and its hash. */
  readonly config: ClusterConfig;
  readonly configHash: string;
  readonly seed: number;
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
  /**
   * On a disk that held nothing: how far the log was when a leader was first heard; nothing up to there is
   * this life's.
   */
  private emptyDisk: { foundIndex: LogIndex | null } | null = null;
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
        return this.onMessage(input.from, input.message);
      case "persisted":
        return this.raft.onPersisted(input.write);
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
    if (input.hardState.term === 0 && input.entries.length === 0) this.emptyDisk = { foundIndex: null };
    this.replica = new Replica(
      {
        self: this.options.self,
        members: witnesses.map((witness) => witness.id),
        electionTick: Math.max(ticks(timings.heartbeatMs) + 1, ticks(timings.electionMinMs)),
        heartbeatTick: ticks(timings.heartbeatMs),
        seed: this.options.seed,
      },
      input,
    );
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
      this.raft.node.tick();
    }
  }

  private onStalled(gapMs: number): void {
    const message = `this witness stood still for ${Math.round(gapMs)} ms: it abstains until it has fresh results`;
    this.publish({ kind: "warning", code: "stalled", message });
    if (!this.isLeader) return;
    this.confirming = `#confirm ${++this.stallCount}`;
    this.raft.node.readIndex(encodeUtf8(this.confirming));
  }

  private onMessage(from: WitnessId, message: PeerMessage): void {
    if (this.raft.nodeOf(from) === null) return;
    switch (message.kind) {
      case "raft": {
        this.raft.onMessage(from, message.message);
        const { type, commit } = message.message;
        if (type !== "MsgApp" && type !== "MsgHeartbeat") return;
        if (type === "MsgApp" && this.emptyDisk !== null) this.emptyDisk.foundIndex ??= commit;
        if (this.raft.witnessOf(this.raft.node.standing.lead) === from)
          this.leaderHeardAtMonoMs = this.monoMs;
        return;
      }
      case "view":
        return this.onView(from, message.view);
      case "forward":
        return this.onForward(from, message);
      case "forwarded":
        return this.requests.onForwarded(message.request, from, message.response);
      case "refused":
        this.publish({ kind: "warning", code: message.code, message: `${from} says: ${message.message}` });
        return;
      default:
        assertNever(message, "peer message");
    }
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
          view: null,
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
    if (isMemberWrite(write))
      return answer(refuse("not_ready", "this leader does not change the members yet; nothing was done"));
    const command = entryOf(write, this.judgeWrite(write));
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

  private onTransfer(id: string, origin: Origin, to: WitnessId): void {
    const node = this.raft.nodeOf(to);
    if (node === null) {
      const known = this.options.config.witnesses.map((witness) => witness.id).join(", ");
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
    const peers = this.raft
      .status()
      .progress.filter((peer) => peer.active && peer.id !== this.raft.nodeOf(this.options.self));
    const best = peers.sort((a, b) => b.match - a.match || a.id - b.id)[0];
    if (best === undefined) return this.halt("stopped; no other witness could take over");
    this.raft.node.transferLeader(best.id);
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
      }
      if (!replica.node.hasReady()) return;
    }
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
      this.requests.onLeadershipLost(leader);
    }
    if (status.state === "StateLeader" && (led || was.state !== "StateLeader")) {
      this.firstLedTerm ??= status.term;
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
    this.requests.onApplied(entry);
    if (!applied.accepted) return;
    const { command } = envelope;
    if (command.kind === "begin")
      this.conductor.onBegun(command.key, command.leader, entry.term, this.role.term);
    if (command.kind === "configure") this.onConfigured(command.config, command.hash);
    if (command.kind === "observe" && command.witness === this.options.self)
      this.onOwnObservation(entry.index);
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

  /** What the log says that this witness saw, written before this disk held anything: it was another disk. */
  private onOwnObservation(index: LogIndex): void {
    const foundIndex = this.emptyDisk?.foundIndex ?? null;
    if (foundIndex === null) return;
    this.emptyDisk = null;
    if (index > foundIndex) return;
    const message =
      `the disk was empty, but a former life of ${this.options.self} took part in this log: what it had acknowledged or voted for is ` +
      "forgotten, and a decision can be lost if another witness fails now; a witness whose disk is lost has to come back as a new member";
    this.publish({ kind: "warning", code: "empty_disk", message });
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
    const to =
      leader !== null && config.witnesses.length > RELAY_MAX
        ? [leader]
        : config.witnesses.map(({ id }) => id);
    for (const id of to) if (id !== self) this.send(id, { kind: "view", view });
  }

  private send(to: WitnessId, message: PeerMessage): void {
    this.effects.push({ kind: "send", to, message, urgent: true });
  }

  private publish(event: Extract<Effect, { kind: "publish" }>["event"]): void {
    this.effects.push({ kind: "publish", event });
  }

  /** Writes a command into the log under a key; false when Raft does not take it now. */
  private propose(key: string, command: Command, request: string | null, session?: SessionKey): boolean {
    const result = this.raft.propose({
      atMs: this.clock.issue(this.monoMs),
      wallMs: this.wallMs,
      leader: this.options.self,
      request,
      ...(session === undefined ? {} : { session }),
      command,
    });
    if (result.kind === "refused") return false;
    this.proposals.add(key, result.index);
    return true;
  }
}
