/**
 * What people read, as golden text: a change of a word shows up here as a diff to be judged by eye.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import pc from "picocolors";
import { epoch, logIndex, term } from "../../src/core/base/ids.js";
import type { StatusReport } from "../../src/core/model/admin.js";
import { renderExplanation } from "../../src/cli/render-explain.js";
import { renderRecords, renderWatchMessage } from "../../src/cli/render-record.js";
import { renderStatus } from "../../src/cli/render-status.js";
import { span } from "../../src/cli/render-words.js";
import { PLAIN, printable, wantsColour } from "../../src/cli/terminal.js";
import {
  EXPLANATION,
  GROUP,
  LYON,
  NOW_MS,
  PARIS,
  PLAN,
  record,
  STATUS,
  W1,
  W2,
  W3,
  WALL_MS,
} from "../drivers/server/admin-samples.js";

console.log(renderStatus(STATUS, PLAIN));
console.log(renderExplanation(EXPLANATION, STATUS, PLAIN));
console.log(renderExplanation(EXPLANATION, null, PLAIN));
