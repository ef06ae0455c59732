/**
 * Puts a write to the witnesses until its true outcome is known, or the patience is at its end.
 *
 * The write carries a name that is the same each time (core/model/sessions.ts), so the cluster applies it
 * once however often it is asked, and a later copy is answered as the first one was. So a lost leader costs
 * a person a few seconds and not the certainty. Addresses are asked in turn, one try each; the tries are
 * shorter than the patience, so that a witness that is stopped does not use it up alone.
 *
 * At the end of the patience the answer is as honest as without it: `unknown_outcome` as soon as one try may
 * have been decided, whatever the later ones said.
 */
import { randomBytes } from "node:crypto";
import type { AdminResponse, Refusal, WriteRequest } from "../core/model/admin.js";
import { type Asked, ask } from "./ask.js";
import type { WriteOptions } from "./client-options.js";
import { CliError, EXIT } from "./exit-codes.js";
import { span } from "./render-words.js";

/** Between two rounds over all addresses. Unit: ms. */
const PAUSE_MIN_MS = 200;
const PAUSE_MAX_MS = 2000;
/** The shortest try. Unit: ms. */
const TRY_MIN_MS = 1000;
/** Tries that fit into the patience, at least. */
const TRIES = 3;

/** Asks until a witness says what became of the write; throws `CliError` when none does in time. */
export async function askPatiently(
  options: Pick<WriteOptions, "address" | "timeout" | "patience">,
  note: (text: string) => void,
  write: WriteRequest,
): Promise<Done> {
  const { address, patience, timeout } = options;
  const request = { ...write, session: { id: randomBytes(16).toString("hex"), sequence: 1 } };
  const endAt = Date.now() + patience;
  let pauseMs = PAUSE_MIN_MS;
  let unknown: CliError | null = null;
  let told = "";
  for (let turn = 1; ; turn++) {
    const one = address[(turn - 1) % address.length] ?? "";
    const shareMs = Math.min(Math.floor(patience / TRIES), endAt - Date.now());
    const failure = await tryOnce(
      // The only address is handed on as it is, for the hint of `ask` about the default one.
      address.length === 1 ? address : [one],
      Math.min(timeout, Math.max(TRY_MIN_MS, shareMs)),
      request,
    );
    if (!(failure instanceof CliError)) return failure;
    if (failure.code === "unknown_outcome") unknown = failure;
    const isRoundOver = turn % address.length === 0;
    const waitMs = isRoundOver ? pauseMs : 0;
    if (turn >= address.length && Date.now() + waitMs >= endAt) throw unknown ?? failure;
    if (failure.code !== told) {
      told = failure.code;
      const left = span(endAt - Date.now());
      note(`${one}: ${failure.code}; asking again, for up to ${left} (it is applied once all the same)`);
    }
    if (!isRoundOver) continue;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    pauseMs = Math.min(2 * pauseMs, PAUSE_MAX_MS);
  }
}

type Done = Asked<Exclude<AdminResponse, Refusal>>;

/** One try; gives the failure after which another try may say more, and throws the others. */
async function tryOnce(
  address: readonly string[],
  timeout: number,
  request: WriteRequest,
): Promise<Done | CliError> {
  try {
    return (await ask(
      { address, timeout },
      () => undefined,
      (connection, timeoutMs) => connection.request(request, timeoutMs),
    )) as Done;
  } catch (error) {
    const isPassing =
      error instanceof CliError && (error.code === "unknown_outcome" || error.exit === EXIT.unreachable);
    if (!isPassing) throw error;
    return error;
  }
}
