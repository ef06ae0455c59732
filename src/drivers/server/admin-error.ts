/**
 * Why the admin server could not start: the failures of the world at its one border with the system, the
 * listening socket.
 */

/** Stable codes; docs/errors.md explains each. */
export const ADMIN_SERVER_CODES = {
  admin_port_in_use: "the admin address is taken by another process",
  admin_address_not_here:
    "the host of the admin address is not an address of this machine, or does not resolve",
  admin_permission: "the system does not allow this user to listen on that port",
  admin_listen: "listening on the admin address failed for another reason",
} as const satisfies Record<string, string>;

export type AdminServerCode = keyof typeof ADMIN_SERVER_CODES;

/** The admin server could not listen. The message names the address and the remedy. */
class AdminServerError extends Error {
  override readonly name = "AdminServerError";
  readonly code: AdminServerCode;
  /** Trying again may help without a change by a person. */
  readonly retriable: boolean;

  constructor(code: AdminServerCode, message: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
    this.retriable = code === "admin_port_in_use";
  }
}

/** The funnel for everything that `bindAsync` throws; grpc-js gives a sentence in which the system's code stands. */
export function listenError(thrown: unknown, address: string): AdminServerError {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const failed = `cannot listen on the admin address ${address}`;
  if (text.includes("EADDRINUSE")) {
    return new AdminServerError(
      "admin_port_in_use",
      `${failed}: the port is in use; stop the other process (ss -ltnp shows it), or set another "admin" address for this witness`,
      thrown,
    );
  }
  if (/EADDRNOTAVAIL|ENOTFOUND|EAI_|Name resolution|No addresses resolved/.test(text)) {
    return new AdminServerError(
      "admin_address_not_here",
      `${failed}: the host is not an address of this machine; set "admin" to one that it has, or to 0.0.0.0:port`,
      thrown,
    );
  }
  if (/EACCES|EPERM/.test(text)) {
    return new AdminServerError(
      "admin_permission",
      `${failed}: permission denied; use a port above 1023, or give the process CAP_NET_BIND_SERVICE`,
      thrown,
    );
  }
  return new AdminServerError("admin_listen", `${failed}: ${text}; correct "admin" of this witness`, thrown);
}
