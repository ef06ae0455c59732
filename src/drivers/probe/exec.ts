/**
 * Exec probe: the operator's own check. The exit code is the target's word; a check that does not end in time
 * is silence.
 *
 * A check that could not run says nothing of the target: no such program, a crash by a signal, or the exit codes 126
 * and 127 by which shells say the same. It sees PATH, HOME and the like, POINTSMAN_TARGET and POINTSMAN_TIMEOUT_MS,
 * and nothing else of the witness's environment. What it leaves running is killed.
 */
import type { ExecProbe, TargetKey } from "../../core/model/config.js";
import type { ProbeResult } from "../../core/model/observation.js";
import { baseEnvironment, runCommand } from "../exec/run-command.js";
import { oneLine } from "./classify.js";

/** Runs the check. Never rejects. */
export async function probeExec(
  spec: ExecProbe,
  options: {
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
    readonly target: TargetKey;
    readonly env: Readonly<Record<string, string>>;
  },
): Promise<ProbeResult> {
  const { timeoutMs, signal, target } = options;
  const program = oneLine(spec.command[0] ?? "", 80);
  const result = await runCommand({
    command: spec.command,
    env: baseEnvironment({
      ...options.env,
      POINTSMAN_TARGET: target,
      POINTSMAN_TIMEOUT_MS: String(timeoutMs),
    }),
    timeoutMs,
    signal,
    leftovers: "kill",
  });
  const said = oneLine(result.output.trimEnd().split("\n").at(-1) ?? "", 160);
  const tail = said === "" ? "" : `: ${said}`;
  if (result.spawnError !== null) {
    return { kind: "failed", text: `cannot run ${program}: ${oneLine(result.spawnError.message)}` };
  }
  if (result.aborted) return { kind: "failed", text: "this witness is stopping" };
  if (result.timedOut) return { kind: "ambiguous", text: `${program} did not end in ${timeoutMs} ms${tail}` };
  if (result.exitCode === spec.expectExit) {
    return { kind: "ok", rttMs: result.durationMs, text: `${program} exit ${result.exitCode}${tail}` };
  }
  if (result.exitCode === null || result.exitCode === 126 || result.exitCode === 127) {
    const how =
      result.exitCode === null ? `was killed by ${result.signal}` : `exit ${result.exitCode}, could not run`;
    return { kind: "failed", text: `${program} ${how}${tail}` };
  }
  const text = `${program} exit ${result.exitCode}, expected ${spec.expectExit}${tail}`;
  return { kind: "definite", rttMs: result.durationMs, text };
}
