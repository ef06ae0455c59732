/**
 * Exec hooks of a plan: drain, fence, promote, and announcements by command.
 *
 * The hook gets the facts as environment and as one line of JSON on its standard input. Its exit code is its
 * word: 0 is done, 75 (EX_TEMPFAIL) is "ask me again", anything else failed. A hook that was stopped, by its
 * timeout or by a signal, may have done its work: unknown. It must be idempotent by
 * POINTSMAN_IDEMPOTENCY_KEY, because a step is run again after a lost leader.
 */
import type { ExecHook } from "../../core/model/config.js";
import type { StepOutcome } from "../../core/model/state.js";
import { baseEnvironment, type CommandResult, runCommand } from "../exec/run-command.js";
import { done, failed, unknown } from "./outcome.js";
import { describeStep, type StepContext, type StepDescription } from "./step-context.js";

/** So much of what a hook writes is kept, the end of it. Unit: bytes. */
const HOOK_OUTPUT_BYTES_MAX = 4096;
/** EX_TEMPFAIL of sysexits.h. */
const EXIT_TEMPFAIL = 75;
/** Failures to start that time may cure: out of processes, memory or descriptors, or the program is being replaced. */
const PASSING_SPAWN_ERRORS: readonly string[] = ["EAGAIN", "ENOMEM", "EMFILE", "ENFILE", "ETXTBSY"];

/** Runs the hook. Never rejects. */
export async function runHook(hook: ExecHook, context: StepContext): Promise<StepOutcome> {
  const facts = describeStep(context);
  const timeoutMs = Math.max(1, Math.min(hook.timeoutMs, context.deadlineMs));
  const result = await runCommand({
    command: hook.command,
    env: baseEnvironment(hookEnvironment(facts)),
    stdinJson: facts,
    timeoutMs,
    // Time to tidy up: the last quarter, two seconds at most.
    graceMs: Math.min(2000, Math.floor(timeoutMs / 4)),
    signal: context.signal,
    outputLimit: HOOK_OUTPUT_BYTES_MAX,
  });
  return judgeHook(hook.command[0] ?? "", result, timeoutMs);
}

/** The facts as environment; what may be long or free text is in the JSON only. */
function hookEnvironment(facts: StepDescription): Record<string, string> {
  return {
    POINTSMAN_CLUSTER: facts.cluster,
    POINTSMAN_GROUP: facts.group,
    POINTSMAN_FROM: facts.from ?? "",
    POINTSMAN_TO: facts.to,
    POINTSMAN_EPOCH: String(facts.epoch),
    POINTSMAN_STEP: facts.step,
    POINTSMAN_ATTEMPT: String(facts.attempt),
    POINTSMAN_KIND: facts.kind,
    POINTSMAN_IDEMPOTENCY_KEY: facts.idempotencyKey,
    POINTSMAN_WITNESS: facts.witness,
  };
}

function judgeHook(program: string, result: CommandResult, timeoutMs: number): StepOutcome {
  const tookMs = Math.round(result.durationMs);
  const detail = outputDetail(result);
  const { exitCode, signal, spawnError } = result;
  if (spawnError !== null) {
    const remedy = "install it on every witness, executable for the witness's user";
    const message = `${program} could not be started (${spawnError.code}): ${remedy}`;
    return failed("hook_not_started", message, PASSING_SPAWN_ERRORS.includes(spawnError.code), detail);
  }
  // Whatever code a command gives that was told to end, it was told in the midst of its work.
  if (result.timedOut) {
    return unknown("hook_timeout", `${program} did not end within ${timeoutMs} ms and was stopped`, detail);
  }
  if (result.aborted) return unknown("cancelled", `${program} was stopped after ${tookMs} ms`, detail);
  if (exitCode === 0) return done(`${program} ended well in ${tookMs} ms`, detail);
  if (exitCode === EXIT_TEMPFAIL) {
    return unknown("hook_tempfail", `${program} asks to be run again (exit code ${EXIT_TEMPFAIL})`, detail);
  }
  if (exitCode === null)
    return unknown("hook_killed", `${program} was ended by ${signal ?? "no signal"}`, detail);
  return failed("hook_failed", `${program} ended with exit code ${exitCode}`, true, detail);
}

function outputDetail({ output, outputBytes, outputCut }: CommandResult): string {
  if (!outputCut) return output.trimEnd();
  const lost = outputBytes - Buffer.byteLength(output);
  return `(the first ${lost} of ${outputBytes} bytes of output are not kept)\n${output.trimEnd()}`;
}
