/**
 * docs/errors.md against the source: a code that a person may meet and cannot look up is a fault of the release.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { status } from "@grpc/grpc-js";
import { EXIT, EXIT_MEANING, type ExitName, exitOfRefusal } from "../../src/cli/exit-codes.js";
import { RECOVERY_CODES, type RecoveryCode } from "../../src/cli/recovery-codes.js";
import { REFUSAL_CODES, type RefusalCode } from "../../src/core/model/code.js";
import { POLICY_CODES } from "../../src/core/policy/policy.js";
import { ADVICE_CODES } from "../../src/drivers/config/advise.js";
import { ADMIN_CLIENT_CODES } from "../../src/drivers/server/admin-client.js";
import { ADMIN_SERVER_CODES } from "../../src/drivers/server/admin-error.js";
import { GRPC_STATUS } from "../../src/drivers/server/grpc-status.js";
import { REFUSAL_REASONS, SNAPSHOT_FAILURES } from "../../src/drivers/transport/errors.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const PAGE = readFileSync(`${ROOT}/docs/errors.md`, "utf8");
const ROWS = PAGE.split("\n").filter((line) => line.startsWith("| "));

/** The cells of the first row whose first cell is that text. */
function row(first: string): string[] {
  const cells = ROWS.map((line) =>
    line
      .split("|")
      .map((cell) => cell.trim())
      .slice(1, -1),
  );
  const found = cells.filter((line) => line[0] === first);
  assert.ok(found[0] !== undefined, `docs/errors.md has no row for ${first}`);
  return found[0];
}

it("lists every refusal with its gRPC status, exit code and meaning", () => {
  for (const code of Object.keys(REFUSAL_CODES) as RefusalCode[]) {
    assert.deepEqual(row(`\`${code}\``).slice(1, 4), [
      status[GRPC_STATUS[code]],
      String(exitOfRefusal(code)),
      REFUSAL_CODES[code],
    ]);
  }
});

it("lists every exit code with the meaning that --help prints", () => {
  for (const name of Object.keys(EXIT) as ExitName[]) {
    assert.deepEqual(row(String(EXIT[name])), [String(EXIT[name]), `\`${name}\``, EXIT_MEANING[name]]);
  }
});

it("lists every code of backup, restore and unsafe-recover with its exit code and meaning, and no other", () => {
  for (const code of Object.keys(RECOVERY_CODES) as RecoveryCode[]) {
    const [exit, meaning] = RECOVERY_CODES[code];
    assert.deepEqual(row(`\`${code}\``).slice(1, 3), [String(EXIT[exit]), meaning]);
  }
  const listed = [...PAGE.matchAll(/^\| `((?:backup|restore|recover)_[a-z_]+)` \|/gm)].map(
    (match) => match[1],
  );
  assert.deepEqual(listed.sort(), Object.keys(RECOVERY_CODES).sort());
});

it("lists every code of the closed lists with its meaning", () => {
  for (const [code, meaning] of [
    ...Object.entries(ADVICE_CODES),
    ...Object.entries(POLICY_CODES),
    ...Object.entries(REFUSAL_REASONS),
    ...Object.entries(SNAPSHOT_FAILURES),
    ...Object.entries(ADMIN_SERVER_CODES),
    ...Object.entries(ADMIN_CLIENT_CODES),
  ]) {
    assert.ok(
      ROWS.some((line) => line.startsWith(`| \`${code}\` |`) && line.includes(meaning)),
      `docs/errors.md does not say that ${code} means: ${meaning}`,
    );
  }
});

it("lists every code that the drivers spell out", () => {
  // Codes that are types and not lists, found by the prefixes that each driver gives its own.
  const pattern = /"((?:dns|secret|hook|webhook)_[a-z][a-z_]*|(?:STORAGE|TRANSPORT)_[A-Z_]+)"/g;
  const spelled = new Set<string>();
  for (const file of readdirSync(`${ROOT}/src/drivers`, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue;
    const source = readFileSync(`${ROOT}/src/drivers/${file}`, "utf8");
    for (const match of source.matchAll(pattern)) if (match[1] !== undefined) spelled.add(match[1]);
  }
  assert.ok(spelled.size > 40, `only ${spelled.size} codes found: did the drivers move?`);
  const missing = [...spelled].filter((code) => !PAGE.includes(`\`${code}\``));
  assert.deepEqual(missing, []);
});

it("lists every code that the core warns of", () => {
  const source = readFileSync(`${ROOT}/src/core/witness/witness.ts`, "utf8");
  const codes = [...source.matchAll(/kind: "warning",\s*code: "([a-z_]+)"/g)].map((match) => match[1] ?? "");
  assert.ok(codes.includes("disk_stalled"));
  for (const code of codes) row(`\`${code}\``);
});

it("lists no code that nobody gives any more", () => {
  const listed = [...PAGE.matchAll(/^\| ((?:`[A-Za-z_]+`(?:, )?)+) \|/gm)].flatMap((match) =>
    [...(match[1] ?? "").matchAll(/`([A-Za-z_]+)`/g)].map((code) => code[1] ?? ""),
  );
  const sources = readdirSync(`${ROOT}/src`, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => readFileSync(`${ROOT}/src/${file}`, "utf8"))
    .join("\n");
  const dead = listed.filter((code) => !new RegExp(`["]${code}["]|^ {2}${code}:`, "m").test(sources));
  assert.deepEqual(dead, []);
});
