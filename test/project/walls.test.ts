/**
 * The walls between the rooms hold: each forbidden import or global, planted in a copy of the project's
 * rules, fails the check that `npm run check` makes. A rule that silently stopped to match would otherwise be
 * noticed by nobody.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const copy = mkdtempSync(join(tmpdir(), "pointsman-walls-"));
for (const file of [
  "biome.json",
  "tsconfig.base.json",
  "src/core/tsconfig.json",
  "src/core/base/ids.ts",
  "src/core/base/assert.ts",
]) {
  mkdirSync(dirname(join(copy, file)), { recursive: true });
  cpSync(join(ROOT, file), join(copy, file));
}
symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
after(() => rmSync(copy, { recursive: true, force: true }));

function run(
  tool: string,
  args: readonly string[],
): { readonly status: number | null; readonly output: string } {
  const result = spawnSync(join(ROOT, "node_modules/.bin", tool), args, {
    cwd: copy,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  return { status: result.status, output: result.stdout + result.stderr };
}

function lint(file: string, text: string): ReturnType<typeof run> {
  const path = join(copy, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  try {
    return run("biome", ["lint", "--error-on-warnings", file]);
  } finally {
    rmSync(path);
  }
}

const FORBIDDEN: readonly (readonly [string, string, string, RegExp])[] = [
  [
    "a node: module in the core",
    "src/core/plan/x.ts",
    'import { readFileSync } from "node:fs";\nexport const x = readFileSync;\n',
    /noRestrictedImports|noNodejsModules/,
  ],
  [
    "an npm package in the core",
    "src/core/health/x.ts",
    'import pino from "pino";\nexport const x = pino;\n',
    /noRestrictedImports/,
  ],
  [
    "the clock in the core",
    "src/core/model/x.ts",
    "export const x = (): number => Date.now();\n",
    /time is an input/,
  ],
  [
    "a promise in the core",
    "src/core/witness/x.ts",
    "export const x = Promise.resolve(1);\n",
    /the core is synchronous/,
  ],
  [
    "dice in the core",
    "src/core/raft/x.ts",
    "export const x = (): number => Math.random();\n",
    /randomness is an input/,
  ],
  [
    "policy importing plan",
    "src/core/policy/x.ts",
    'import { nextAction } from "../plan/plan.js";\nexport const x = nextAction;\n',
    /sibling room/,
  ],
  [
    "health importing raft",
    "src/core/health/x.ts",
    'import { RawNode } from "../raft/raft.js";\nexport const x = RawNode;\n',
    /sibling room/,
  ],
  [
    "raft importing the model",
    "src/core/raft/x.ts",
    'import { apply } from "../model/apply.js";\nexport const x = apply;\n',
    /raft sees base only/,
  ],
  [
    "base importing anything",
    "src/core/base/x.ts",
    'import { apply } from "../model/apply.js";\nexport const x = apply;\n',
    /base imports nothing/,
  ],
  [
    "witness entering a room past its door",
    "src/core/witness/x.ts",
    'import { stepsOf } from "../plan/steps.js";\nexport const x = stepsOf;\n',
    /through their doors/,
  ],
  [
    "a driver importing the simulator",
    "src/drivers/runtime/x.ts",
    'import { World } from "../../../sim/world.js";\nexport const x = World;\n',
    /does not know the simulator/,
  ],
  [
    "the simulator importing a driver",
    "sim/x.ts",
    'import { openStorage } from "../src/drivers/storage/storage.js";\nexport const x = openStorage;\n',
    /its own drivers/,
  ],
];

for (const [what, file, text, reason] of FORBIDDEN) {
  test(`${what} fails the check`, () => {
    const { status, output } = lint(file, text);
    assert.notEqual(status, 0, output);
    assert.match(output, reason);
  });
}

test("what is allowed passes the same check", () => {
  const { status, output } = lint(
    "src/core/plan/x.ts",
    'import { epoch } from "../base/ids.js";\nexport const x = epoch(1);\n',
  );
  assert.equal(status, 0, output);
});

test("timers, processes and consoles do not exist for the compiler in the core", () => {
  const path = join(copy, "src/core/base/x.ts");
  writeFileSync(
    path,
    "setTimeout(() => undefined, 1);\nconsole.log(process.pid, performance.now(), Buffer);\n",
  );
  const { status, output } = run("tsc", ["-p", "src/core", "--noEmit"]);
  rmSync(path);
  assert.notEqual(status, 0);
  for (const name of ["setTimeout", "console", "process", "performance", "Buffer"])
    assert.match(output, new RegExp(`'${name}'`));
});

test("no function of the core is asynchronous, named or not", () => {
  const core = join(ROOT, "src/core");
  const files = readdirSync(core, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  assert.ok(files.length > 30, "the core was found");
  for (const file of files) {
    const code = readFileSync(join(core, file), "utf8")
      .replace(/\/\*[\s\S]*?\*\//g, "")
      .replace(/\/\/.*$/gm, "")
      .replace(/"(?:[^"\\\n]|\\.)*"|`[^`]*`/g, '""');
    assert.doesNotMatch(code, /\b(?:async|await)\b/, file);
  }
});
