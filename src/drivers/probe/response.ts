/**
 * Judges an HTTP response against what the operator expects: status ranges, and what the body must say.
 *
 * At most 64 KiB of a body are read. A text that is searched for is searched in that much, and the evidence
 * says so. JSON that was cut cannot be judged: that is our limit and not the target's fault.
 */
import type { HttpProbe } from "../../core/model/config.js";
import type { ProbeResult } from "../../core/model/observation.js";
import { oneLine } from "./classify.js";
import { parseJsonPath, valueAt } from "./json-path.js";

/** How much of a body is read. Unit: bytes. */
export const BODY_MAX = 65_536;

export interface Response {
  readonly status: number;
  /** The body, or its first `BODY_MAX` bytes. */
  readonly body: string;
  readonly cut: boolean;
  readonly rttMs: number;
  /** Host and port, for people. */
  readonly where: string;
}

/** Whether the status is one of those expected; a redirect is a status like others. */
export function isExpectedStatus(spec: HttpProbe, status: number): boolean {
  return spec.expectStatus.some(([low, high]) => status >= low && status <= high);
}

/** What an unexpected status says. */
export function wrongStatus(spec: HttpProbe, status: number, where: string, rttMs: number): ProbeResult {
  const ranges = spec.expectStatus
    .map(([low, high]) => (low === high ? `${low}` : `${low}-${high}`))
    .join(", ");
  return { kind: "definite", rttMs, text: `HTTP ${status} from ${where}, expected ${ranges}` };
}

/** The verdict on a whole response whose status was expected. */
export function judgeBody(spec: HttpProbe, response: Response): ProbeResult {
  const { status, body, cut, rttMs, where } = response;
  const good: ProbeResult = { kind: "ok", rttMs, text: `HTTP ${status} from ${where}` };
  const bad = (why: string): ProbeResult => {
    const limit = cut ? ` in its first ${BODY_MAX / 1024} KiB` : "";
    return { kind: "definite", rttMs, text: `HTTP ${status} from ${where}, but the body ${why}${limit}` };
  };
  const expected = spec.expectBody;
  switch (expected?.kind) {
    case undefined:
      return good;
    case "contains":
      return body.includes(expected.text) ? good : bad(`lacks ${quote(expected.text)}`);
    case "matches": {
      let pattern: RegExp;
      try {
        pattern = new RegExp(expected.pattern, "u");
      } catch (error) {
        return { kind: "failed", text: `bad pattern in expectBody: ${(error as Error).message}` };
      }
      return pattern.test(body) ? good : bad(`does not match ${quote(expected.pattern)}`);
    }
    case "json": {
      const steps = parseJsonPath(expected.path);
      if (steps === null) return { kind: "failed", text: `bad path in expectBody: ${quote(expected.path)}` };
      if (cut) {
        return {
          kind: "failed",
          text: `the JSON body from ${where} is longer than ${BODY_MAX / 1024} KiB, not judged`,
        };
      }
      let document: unknown;
      try {
        document = JSON.parse(body);
      } catch {
        return bad(`is not JSON: ${quote(body)}`);
      }
      const value = valueAt(document, steps);
      const said = value === undefined ? "nothing" : oneLine(JSON.stringify(value), 60);
      return value === expected.equals
        ? good
        : bad(`says ${said} at ${expected.path}, expected ${JSON.stringify(expected.equals)}`);
    }
  }
}

function quote(text: string): string {
  return JSON.stringify(oneLine(text, 60));
}
