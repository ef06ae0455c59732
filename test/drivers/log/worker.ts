/**
 * A process that logs and dies, for log.test.ts: `worker <format> <count> [secret]`.
 */
import { createLog, type LogFormat } from "../../../src/drivers/log/log.js";
import { protectSecret } from "../../../src/drivers/log/redact.js";

const [format = "auto", count = "1", secret] = process.argv.slice(2);
const log = createLog({ witness: "w-a", level: "info", format: format as LogFormat, output: 1 });
if (secret !== undefined) protectSecret(secret);
for (let at = 0; at < Number(count); at++) log.info({ at, padding: "x".repeat(80) }, `line ${secret ?? ""}`);
// Long enough for a write error to come back, if the test asked for one.
const livesMs = Number(process.env["LIVES_MS"] ?? 0);
if (livesMs === 0) process.exit(70);
setTimeout(() => {
  log.info("still here");
  process.exit(70);
}, livesMs);
