/**
 * `pointsman demo --script`: the demo plays itself and judges itself. Each act says what it does, does it to
 * real processes, and waits for what must follow; the first expectation that does not hold ends the play with
 * an error.
 *
 * Phases of a switch are taken from the audit records' wall times, all stamped by leaders on this one
 * machine: detect = the fault until the decision's evidence was complete (last observation before it), agree
 * = until the decision was committed, route = until the route step was finished, verify = until every listed
 * server agreed.
 */

import { siteId } from "../../core/base/ids.js";
import type { StatusReport } from "../../core/model/admin.js";
import type { AuditRecord } from "../../core/model/state.js";
import { queryDns } from "../../drivers/dns/query.js";
import { connectAdmin } from "../../drivers/server/admin-client.js";
import { ADDRESS, GROUP, type Lab, NAME } from "./lab.js";
import type { Observer } from "./observer.js";

/** How long each part of a switch took. Unit: ms. */
export interface Phases {
  readonly act: string;
  readonly detect: number | null;
  readonly agree: number;
  readonly route: number;
  readonly verify: number;
  readonly total: number;
}

/** Generous: it is the patience for a machine that does other work, not for the cluster. */
const PATIENCE_MS = 60_000;

export type Say = (line: string) => void;

/** Plays all acts; throws an `Error` that says which expectation failed. */
export async function play(lab: Lab, observer: Observer, say: Say): Promise<Phases[]> {
  const phases: Phases[] = [];

  say("Act 1: the witnesses elect a leader and give the ticket to the preferred site.");
  await observer.expect("site a becomes primary", PATIENCE_MS, 0, isDone);
  await expectName(lab, "a");
  await expectCalm(lab);
  say(`  ${NAME} is ${ADDRESS["a"]} at all three witnesses.`);

  say("Act 2: the api service of site a is killed.");
  let mark = observer.records.length;
  const killedAtMs = Date.now();
  await lab.kill("a/api");
  await observer.expect("the failover to site b is done", PATIENCE_MS, mark, isDone);
  await expectName(lab, "b");
  phases.push(measure("failover", observer.records.slice(mark), killedAtMs));
  say(`  ${NAME} is ${ADDRESS["b"]} now: ${inWords(phases.at(-1))}.`);

  say("Act 3: the service comes back; nothing moves by itself, because failback is manual.");
  await lab.startService("a/api");
  await until("site a is seen up again", async () => siteVerdict(await status(lab), "a") === "up");
  await expectName(lab, "b");
  await expectPrimary(lab, "b");

  say("Act 4: an operator moves back to site a, and the leader is killed in the middle of it.");
  mark = observer.records.length;
  const askedAtMs = Date.now();
  await until("site a is stable enough for a switchover", () => switchover(lab, "a"));
  await observer.expect("the drain step begins", PATIENCE_MS, mark, (record) =>
    isStep(record, "drain", "step_begun"),
  );
  const leader = (await status(lab)).raft.leader;
  if (leader === null) throw new Error("no leader in the middle of a switchover");
  await lab.kill(leader);
  say(`  ${leader} led and is dead; the others go on.`);
  const done = await observer.expect("the next leader finishes the switchover", PATIENCE_MS, mark, isDone);
  await expectName(lab, "a", leader);
  const epochs = new Set(
    observer.records.slice(mark).flatMap((record) => (record.kind === "decision" ? [record.epoch] : [])),
  );
  if (epochs.size !== 1) throw new Error(`the switchover used ${epochs.size} epochs, expected 1`);
  phases.push(measure("switchover, leader killed in it", observer.records.slice(mark), askedAtMs, true));
  say(`  finished by ${done.leader} under epoch ${done.epoch}: ${inWords(phases.at(-1))}.`);

  say("Act 5: the dead witness comes back and catches up.");
  await lab.startWitness(leader);
  await until(`${leader} has caught up`, async () => {
    const report = await status(lab, leader);
    return report.raft.leader !== null && report.groups[0]?.group.ticket.site === "a";
  });
  await expectName(lab, "a");
  return phases;
}

function isDone(record: AuditRecord): boolean {
  return record.kind === "plan_done" && record.group === GROUP;
}

function isStep(record: AuditRecord, step: string, kind: "step_begun" | "step_finished"): boolean {
  return record.kind === kind && record.step === step;
}

/** Phases from the records of one switch. `asked`: a person decided, so there is nothing to detect. */
function measure(act: string, records: readonly AuditRecord[], startMs: number, asked = false): Phases {
  const at = (what: string, matches: (record: AuditRecord) => boolean): number => {
    const found = records.findLast(matches);
    if (found === undefined) throw new Error(`${act}: no record of ${what}`);
    return found.wallMs;
  };
  const decidedMs = at("the decision", (record) => record.kind === "decision");
  const seenMs = asked
    ? null
    : (records.findLast((record) => record.kind === "observation" && record.wallMs <= decidedMs)?.wallMs ??
      decidedMs);
  const routedMs = at("the route step", (record) => isStep(record, "route", "step_finished"));
  const doneMs = at("the end", isDone);
  const rounded = (ms: number): number => Math.max(0, Math.round(ms));
  return {
    act,
    detect: seenMs === null ? null : rounded(seenMs - startMs),
    agree: rounded(decidedMs - (seenMs ?? startMs)),
    route: rounded(routedMs - decidedMs),
    verify: rounded(doneMs - routedMs),
    total: rounded(doneMs - startMs),
  };
}

function inWords(phases: Phases | undefined): string {
  if (phases === undefined) return "";
  const { detect, agree, route, verify, total } = phases;
  return `${detect === null ? "" : `detect ${detect} ms, `}agree ${agree} ms, route ${route} ms, verify ${verify} ms, in all ${total} ms`;
}

/** Asks until `holds`; throws when it does not within `PATIENCE_MS`. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + PATIENCE_MS;
  for (;;) {
    if (await holds().catch(() => false)) return;
    if (Date.now() > deadlineMs) throw new Error(`within ${PATIENCE_MS / 1000} s it did not hold: ${what}`);
    // The lab's processes keep us alive; once they are stopped, a wait for them must not.
    await new Promise((resolve) => setTimeout(resolve, 50).unref());
  }
}

async function expectName(lab: Lab, site: string, except?: string): Promise<void> {
  for (const { id, dns } of lab.witnesses) {
    if (id === except) continue;
    await until(`${id} answers ${NAME} with ${ADDRESS[site]}`, async () => {
      const answer = await queryDns(dns, NAME, "A", { timeoutMs: 500 });
      const values = answer.answers.filter(({ type }) => type === "A").map(({ value }) => value);
      return values.length === 1 && values[0] === ADDRESS[site];
    });
  }
}

async function expectPrimary(lab: Lab, site: string): Promise<void> {
  const primary = (await status(lab)).groups[0]?.group.ticket.site;
  if (primary !== site) throw new Error(`site ${primary} is primary, expected ${site}`);
}

/** Both sites are seen up, so that what follows starts from a healthy world. */
async function expectCalm(lab: Lab): Promise<void> {
  await until("both sites are seen up", async () => {
    const report = await status(lab);
    return siteVerdict(report, "a") === "up" && siteVerdict(report, "b") === "up";
  });
}

function siteVerdict(report: StatusReport, site: string): string | undefined {
  return report.groups[0]?.sites.find((verdict) => verdict.site === site)?.verdict;
}

/** The status by `id`, or by whichever witness answers first in the list. */
async function status(lab: Lab, id?: string): Promise<StatusReport> {
  let last: unknown = new Error("no witness runs");
  for (const witness of lab.witnesses) {
    if (id === undefined ? !lab.isRunning(witness.id) : witness.id !== id) continue;
    try {
      const connection = await connectAdmin(witness.admin, 1000);
      try {
        const answer = await connection.request({ kind: "status", linearizable: false }, 2000);
        if (answer.kind === "status") return answer.status;
        last = new Error(JSON.stringify(answer));
      } finally {
        connection.close();
      }
    } catch (thrown) {
      last = thrown;
    }
  }
  throw last;
}

/** Asks for a switchover; true when it was accepted. */
async function switchover(lab: Lab, site: string): Promise<boolean> {
  const address = lab.witnesses.find(({ id }) => lab.isRunning(id))?.admin ?? "";
  const connection = await connectAdmin(address, 1000);
  try {
    const answer = await connection.request(
      { kind: "switchover", group: GROUP, to: siteId(site), by: "demo", reason: "the demo asks" },
      5000,
    );
    return answer.kind === "accepted";
  } finally {
    connection.close();
  }
}
