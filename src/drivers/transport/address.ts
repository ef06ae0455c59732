/**
 * `host:port` and `[v6]:port`, as written in the configuration.
 */
import { TransportError } from "./errors.js";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Parses an address; `field` names where it stood. Port 0 (any free one) only where `listening`. */
export function parseAddress(text: string, field: string, listening = false): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65_535) || (port === 0 && !listening)) {
    throw new TransportError(
      "TRANSPORT_ADDRESS_INVALID",
      `${field}: ${JSON.stringify(text)} is not an address; write host:port, or [address]:port for IPv6`,
    );
  }
  return { host, port };
}

/** The address as it is written. */
export function addressText({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
