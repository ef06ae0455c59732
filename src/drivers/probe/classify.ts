/**
 * The one funnel for errors of sockets, names and TLS: what each says about the target.
 *
 *   definite   someone at the target's address answered: refused, reset, spoke no TLS or HTTP, showed a bad certificate
 *   ambiguous  nobody did: timeouts, no route, a name server that does not answer (the site's own may be down with it)
 *   failed     it never left this machine: out of sockets, no local address, refused by the local firewall. And a
 *              name that does not exist: the name server spoke, about a name; of the target that says nothing.
 *              Unknown codes, too: what we do not understand is no reason to move traffic.
 */
import type { ProbeResult } from "../../core/model/observation.js";

const DEFINITE = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE", "EPROTO", "ECONNABORTED"]);
const AMBIGUOUS = new Set([
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "EAI_AGAIN",
  "ESERVFAIL",
  "ETIMEOUT",
]);

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused by",
  ECONNRESET: "connection reset by",
  EPIPE: "connection closed by",
  ECONNABORTED: "connection aborted by",
  EPROTO: "no common language (TLS) with",
  ETIMEDOUT: "connection timed out to",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "no route to the network of",
  EHOSTDOWN: "host is down:",
  EAI_AGAIN: "name server does not answer about",
  ESERVFAIL: "name server cannot answer about",
  ETIMEOUT: "name server does not answer about",
  ENOTFOUND: "no such name:",
  EMFILE: "this witness is out of sockets, probing",
  ENFILE: "this machine is out of sockets, probing",
  EADDRNOTAVAIL: "this machine has no free local address to reach",
  ENOBUFS: "this machine is out of network buffers, probing",
  EACCES: "this machine's firewall forbids",
  EPERM: "this machine's firewall forbids",
  ENETDOWN: "this machine's network is down, probing",
};

/** How a probe of `where` (host and port, for people) ended that raised `error` after `rttMs`. */
export function classify(error: unknown, where: string, rttMs: number): ProbeResult {
  // Several addresses were tried: one that answered "no" outweighs the silent ones, and those our own trouble.
  if (error instanceof AggregateError && error.errors.length > 0) {
    const results = error.errors.map((inner) => classify(inner, where, rttMs));
    const found = (kind: ProbeResult["kind"]) => results.find((result) => result.kind === kind);
    return (
      found("definite") ??
      found("ambiguous") ??
      results[0] ?? { kind: "failed", text: `cannot reach ${where}` }
    );
  }
  const code = String((error as NodeJS.ErrnoException)?.code ?? "");
  const message = error instanceof Error ? error.message : String(error);
  const words = WORDS[code];
  const text =
    words === undefined ? `${oneLine(message)} (${code || "no code"}), ${where}` : `${words} ${where}`;
  if (DEFINITE.has(code) || isTlsCode(code) || code.startsWith("HPE_"))
    return { kind: "definite", rttMs, text };
  return { kind: AMBIGUOUS.has(code) ? "ambiguous" : "failed", text };
}

/** OpenSSL's words for certificates that do not hold (verify errors), and node's for handshakes that fail. */
export function isTlsCode(code: string): boolean {
  return /^ERR_SSL_|^ERR_TLS_CERT_|CERT|SELF_SIGNED|UNABLE_TO_|CRL|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH/.test(
    code,
  );
}

/** Foreign text as one harmless line: no control characters, at most `max` characters. */
export function oneLine(text: string, max = 200): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim();
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}

/** Host and port for people: `10.1.0.10:80`, `[2001:db8::1]:80`. */
export function whereOf(host: string, port: number | string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`;
}
