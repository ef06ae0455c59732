/**
 * Addresses of a new member as a client gives them.
 *
 * Brought into the one spelling that the document's reader gives, because what joins here is compared with what a later
 * document says of it.
 */
import { isIPv4, isIPv6 } from "node:net";

/** `host:port` in its one spelling, or `{flaw}`: what is wrong with it. */
export function hostPort(value: string): string | { readonly flaw: string } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/@]+)):(\d{1,5})$/.exec(value);
  if (match === null) {
    return { flaw: isIPv6(value) ? "is an IPv6 address without brackets and port" : "is no host:port" };
  }
  const port = Number(match[3]);
  if (port < 1 || port > 65_535) return { flaw: "has a port out of bounds (1 to 65535)" };
  const v6 = match[1]?.toLowerCase();
  if (v6 !== undefined) {
    return isIPv6(v6) ? `[${v6}]:${port}` : { flaw: "has no IPv6 address in its brackets" };
  }
  const host = (match[2] ?? "").toLowerCase();
  const isHost = /^[\d.]+$/.test(host) ? isIPv4(host) : isHostName(host);
  return isHost ? `${host}:${port}` : { flaw: "has no host name or address before the port" };
}

function isHostName(host: string): boolean {
  return (
    host.length <= 253 &&
    host.split(".").every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))
  );
}
