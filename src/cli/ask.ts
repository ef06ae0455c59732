/**
 * Puts a request to the first witness that can answer it.
 *
 * Any witness answers; what differs is who is reachable. The next address is tried only while nothing can
 * have been done: no connection, a read without an answer, or a refusal that says so. After an unknown
 * outcome nobody else is asked, since a second switchover is not the same as one.
 */
import type { AdminRequest, AdminResponse, Refusal } from "../core/model/admin.js";
import { mayAskAgain } from "../core/model/code.js";
import type { AdminConnection } from "../drivers/server/admin-client.js";
import { isRefusal } from "../drivers/server/admin-requests.js";
import { type ClientOptions, isDefault } from "./client-options.js";
import { CliError, EXIT, exitOfRefusal } from "./exit-codes.js";

const BY = "by --address or POINTSMAN_ADDRESS";

/** What was answered, and by whom. */
export interface Asked<T> {
  readonly answer: T;
  readonly address: string;
}

/**
 * Tries `work` on a connection to each address in turn until one gives something else than "ask another one".
 * Throws `CliError` with the exit code when none does. `note` is told of each witness that was passed over.
 */
export async function ask<T extends object>(
  options: Pick<ClientOptions, "address" | "timeout">,
  note: (text: string) => void,
  work: (connection: AdminConnection, timeoutMs: number) => Promise<T | Refusal>,
): Promise<Asked<T>> {
  const { connectAdmin, AdminClientError } = await import("../drivers/server/admin-client.js");
  const endAt = Date.now() + options.timeout;
  let last: CliError | null = null;
  for (const [at, address] of options.address.entries()) {
    const remainingMs = endAt - Date.now();
    if (remainingMs <= 0) break;
    let connection: AdminConnection | null = null;
    try {
      connection = await connectAdmin(address, Math.ceil(remainingMs / (options.address.length - at)));
      const answer = await work(connection, Math.max(1, endAt - Date.now()));
      if (!isRefusal(answer)) return { answer, address };
      const error = refusedError(answer);
      if (!mayAskAgain(answer.code)) throw error;
      last = error;
    } catch (error) {
      if (!(error instanceof AdminClientError)) throw error;
      // The word of a witness says more than the silence of another.
      const hint = isDefault(options.address) ? ` (the default; name another ${BY})` : "";
      const failed = new CliError(EXIT.unreachable, error.code, `${error.message}${hint}`);
      last = last !== null && last.code !== "admin_unreachable" ? last : failed;
      if (at + 1 < options.address.length) note(`${error.message}; trying the next one`);
    } finally {
      connection?.close();
    }
  }
  throw (
    last ?? new CliError(EXIT.unreachable, "admin_unreachable", `no time left after ${options.timeout} ms`)
  );
}

/** One request of core/model/admin.ts. */
export function askRequest(
  options: Pick<ClientOptions, "address" | "timeout">,
  note: (text: string) => void,
  request: AdminRequest,
): Promise<Asked<Exclude<AdminResponse, Refusal>>> {
  return ask(options, note, (connection, timeoutMs) => connection.request(request, timeoutMs)) as Promise<
    Asked<Exclude<AdminResponse, Refusal>>
  >;
}

/** The error that ends the command after a refusal. */
export function refusedError(refusal: Refusal): CliError {
  const hint = refusal.leader === null ? "" : ` (leader: ${refusal.leader})`;
  return new CliError(exitOfRefusal(refusal.code), refusal.code, `${refusal.message}${hint}`, {
    leader: refusal.leader,
  });
}
