/**
 * HTTP probe: one request on a connection of its own, one budget over lookup, connect, TLS, headers and body.
 *
 * Redirects are judged by their status and not followed: the probe is about this target. Certificates are
 * verified unless the operator says otherwise; a bad one is the target's word and definite. A body that stops
 * midway is silence if the connection stays (loss can do that), and definite if the target hung up.
 */
import { readFile } from "node:fs/promises";
import * as http from "node:http";
import * as https from "node:https";
import { createSecureContext, type SecureContext } from "node:tls";
import type { HttpProbe } from "../../core/model/config.js";
import type { ProbeResult } from "../../core/model/observation.js";
import { type Attempt, attempt } from "./attempt.js";
import { classify, whereOf } from "./classify.js";
import type { NameCache } from "./name-cache.js";
import { BODY_MAX, isExpectedStatus, judgeBody, wrongStatus } from "./response.js";

/** A CA file is read again so often, so that a new one takes effect without a restart. */
const CONTEXT_MS = 60_000;

export class HttpProber {
  readonly #names: NameCache;
  /** Making a context parses every root certificate, some ten milliseconds; by CA file, "" for the system's. */
  readonly #contexts = new Map<
    string,
    { readonly madeAt: number; readonly context: Promise<SecureContext> }
  >();

  constructor(names: NameCache) {
    this.#names = names;
  }

  /** Sends one request. Never rejects. */
  run(spec: HttpProbe, timeoutMs: number, signal: AbortSignal): Promise<ProbeResult> {
    let url: URL;
    try {
      url = new URL(spec.url);
    } catch {
      return Promise.resolve({ kind: "failed", text: "the url of the probe is not one" });
    }
    const isTls = url.protocol === "https:";
    const where = whereOf(url.hostname, url.port || (isTls ? 443 : 80));
    const progress = { stage: `no connection to ${where}` };
    const stage = () => progress.stage;
    return attempt(timeoutMs, signal, stage, (self) => {
      if (!isTls) {
        exchange(self, spec, http.request(this.#options(spec, url)), where, progress);
        return;
      }
      this.#context(spec.tls.caFile).then(
        (secureContext) => {
          if (self.ended) return;
          const options = { ...this.#options(spec, url), ...tlsOptions(spec, url), secureContext };
          try {
            exchange(self, spec, https.request(options), where, progress);
          } catch (error) {
            self.end({ kind: "failed", text: (error as Error).message });
          }
        },
        (error: Error) => self.end({ kind: "failed", text: `cannot use the CA file: ${error.message}` }),
      );
    });
  }

  #options(spec: HttpProbe, url: URL): http.RequestOptions {
    const headers: Record<string, string[]> = { "user-agent": ["pointsman"], accept: ["*/*"] };
    const own: Record<string, string[]> = {};
    // node refuses names and values with line breaks when the request is made: no header can smuggle in another.
    for (const [name, value] of spec.headers) {
      const key = name.toLowerCase();
      own[key] = [...(own[key] ?? []), value];
    }
    return {
      agent: false,
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port,
      path: `${url.pathname}${url.search}`,
      method: spec.method,
      headers: joinSingles({ ...headers, ...own }),
      lookup: this.#names.lookup,
    };
  }

  #context(caFile: string | null): Promise<SecureContext> {
    const key = caFile ?? "";
    const known = this.#contexts.get(key);
    if (known !== undefined && performance.now() - known.madeAt < CONTEXT_MS) return known.context;
    const context = (caFile === null ? Promise.resolve(undefined) : readFile(caFile)).then((ca) =>
      createSecureContext(ca === undefined ? {} : { ca }),
    );
    this.#contexts.set(key, { madeAt: performance.now(), context });
    // A file that could not be read is tried again by the next probe.
    context.catch(() => this.#contexts.delete(key));
    return context;
  }
}

function tlsOptions(spec: HttpProbe, url: URL): https.RequestOptions {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const name = spec.tls.serverName ?? host;
  // Without a name of its own an address is checked against the certificate's addresses; SNI carries names only.
  return { rejectUnauthorized: spec.tls.verify, ...(isAddress(name) ? {} : { servername: name }) };
}

function isAddress(host: string): boolean {
  return host.includes(":") || /^[\d.]+$/.test(host);
}

/** One value as such: node joins lists for most names, but would send `host` twice. */
function joinSingles(headers: Readonly<Record<string, string[]>>): http.OutgoingHttpHeaders {
  const entries = Object.entries(headers).map(([name, values]) => [
    name,
    values.length === 1 ? values[0] : values,
  ]);
  return Object.fromEntries(entries) as http.OutgoingHttpHeaders;
}

function exchange(
  self: Attempt,
  spec: HttpProbe,
  request: http.ClientRequest,
  where: string,
  progress: { stage: string },
): void {
  self.onEnd(() => request.destroy());
  request.on("error", (error) => self.end(classify(error, where, self.elapsedMs())));
  request.on("socket", (socket) => {
    socket.on("connect", () => {
      progress.stage = `connected to ${where}, but no ${spec.url.startsWith("https") ? "TLS or HTTP " : ""}answer`;
    });
    socket.on("secureConnect", () => {
      progress.stage = `TLS with ${where} stands, but no HTTP answer`;
    });
  });
  request.on("upgrade", (response, socket) => {
    // The connection is no longer HTTP and has no body to wait for.
    socket.destroy();
    const status = response.statusCode ?? 0;
    const rttMs = self.elapsedMs();
    self.end(
      isExpectedStatus(spec, status)
        ? { kind: "ok", rttMs, text: `HTTP ${status} from ${where}` }
        : wrongStatus(spec, status, where, rttMs),
    );
  });
  request.on("response", (response) => onResponse(self, spec, response, where, progress));
  request.end();
}

function onResponse(
  self: Attempt,
  spec: HttpProbe,
  response: http.IncomingMessage,
  where: string,
  progress: { stage: string },
): void {
  const status = response.statusCode ?? 0;
  if (!isExpectedStatus(spec, status)) {
    self.end(wrongStatus(spec, status, where, self.elapsedMs()));
    return;
  }
  progress.stage = `HTTP ${status} from ${where}, but its body did not end`;
  const chunks: Buffer[] = [];
  let length = 0;
  const judge = (cut: boolean): void => {
    const body = Buffer.concat(chunks).subarray(0, BODY_MAX).toString("utf8");
    self.end(judgeBody(spec, { status, body, cut, rttMs: self.elapsedMs(), where }));
  };
  response.on("data", (chunk: Buffer) => {
    if (self.ended) return;
    chunks.push(chunk);
    length += chunk.length;
    if (length > BODY_MAX) judge(true);
  });
  response.on("end", () => judge(false));
  response.on("error", (error) => self.end(classify(error, where, self.elapsedMs())));
}
