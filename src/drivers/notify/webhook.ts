/**
 * One announcement by HTTP: POST JSON, once, within one budget.
 *
 * No redirects (the body would go where nobody configured it), TLS verified, no proxy, a connection of its
 * own. What the answer's status says counts, not its body, of which the first kilobyte is kept for people. A
 * webhook that accepts and stays silent ends at its timeout, as unknown: it may have been delivered. Chat
 * services put a secret into the path of the URL, so messages show scheme and host only.
 */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import type { StepOutcome } from "../../core/model/state.js";
import { isTlsCode } from "../probe/classify.js";

export interface WebhookRequest {
  /** `http:` or `https:`. */
  readonly url: string;
  /** Sent as JSON. */
  readonly body: unknown;
  /** Sent as the header Idempotency-Key. */
  readonly idempotencyKey: string;
  /** Budget for connecting, sending and the answer's status. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** So much of the answer is kept. Unit: bytes. */
const ANSWER_BYTES_MAX = 1024;
/** The status says all that counts; the body gets so long. Unit: ms. */
const ANSWER_PATIENCE_MS = 500;
const HEADER_BYTES_MAX = 16 * 1024;

/** Scheme and host of a URL, for messages. */
export function showUrl(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : "(no URL)";
}

/**
 * Posts it. Never rejects. Codes: `ok`, `webhook_<status>`, `webhook_timeout`, `webhook_unreachable`,
 * `webhook_tls`, `webhook_broken`, `cancelled`.
 */
export function postWebhook(webhook: WebhookRequest): Promise<StepOutcome> {
  return new Promise((resolve) => {
    const name = `webhook ${showUrl(webhook.url)}`;
    const outcome = (
      kind: StepOutcome["kind"],
      code: string,
      message: string,
      retriable: boolean,
      detail = "",
    ): void => {
      clearTimeout(timer);
      webhook.signal?.removeEventListener("abort", onAbort);
      resolve({ kind, code, message: `${name} ${message}`, retriable, detail });
      request?.destroy();
    };
    let request: ReturnType<typeof httpRequest> | null = null;
    let isConnected = false;
    let hasStatus = false;
    // Before the connection stands nothing was delivered; after that, who knows.
    const unsure = (): "failed" | "unknown" => (isConnected ? "unknown" : "failed");
    const timer = setTimeout(() => {
      if (hasStatus) return;
      const what = isConnected ? "gave no answer" : "could not be reached";
      outcome(unsure(), "webhook_timeout", `${what} within ${webhook.timeoutMs} ms`, true);
    }, webhook.timeoutMs);
    const onAbort = (): void =>
      outcome(unsure(), "cancelled", "was not waited for: the step was stopped", true);
    if (webhook.signal?.aborted) return onAbort();
    webhook.signal?.addEventListener("abort", onAbort, { once: true });

    const payload = Buffer.from(JSON.stringify(webhook.body));
    const options: RequestOptions = {
      method: "POST",
      agent: false,
      maxHeaderSize: HEADER_BYTES_MAX,
      headers: {
        "content-type": "application/json; charset=utf-8",
        "content-length": payload.length,
        "idempotency-key": webhook.idempotencyKey,
        "user-agent": "pointsman",
        accept: "*/*",
        connection: "close",
      },
    };
    try {
      const url = new URL(webhook.url);
      request = url.protocol === "https:" ? httpsRequest(url, options) : httpRequest(url, options);
    } catch {
      return outcome("failed", "webhook_unreachable", "has a URL that cannot be used", false);
    }
    request.on("socket", (socket) => {
      socket.once(webhook.url.startsWith("https:") ? "secureConnect" : "connect", () => {
        isConnected = true;
      });
    });
    request.on("response", (response) => {
      hasStatus = true;
      void readStart(response).then((start) => judge(response.statusCode ?? 0, start, outcome));
    });
    request.on("error", (error: NodeJS.ErrnoException) => {
      // After the status, an error is the end of the body, which nobody needs.
      if (hasStatus) return;
      const code = error.code ?? "unknown error";
      if (isTlsCode(code))
        return outcome("failed", "webhook_tls", `has no valid certificate (${code})`, false);
      if (!isConnected)
        return outcome("failed", "webhook_unreachable", `could not be reached (${code})`, true);
      outcome("unknown", "webhook_broken", `broke off without a valid answer (${code})`, true);
    });
    request.end(payload);
  });
}

type Conclude = (
  kind: StepOutcome["kind"],
  code: string,
  message: string,
  retriable: boolean,
  detail: string,
) => void;

function judge(status: number, start: string, conclude: Conclude): void {
  const code = `webhook_${status}`;
  if (status >= 200 && status < 300) return conclude("done", "ok", `answered ${status}`, false, start);
  if (status >= 300 && status < 400) {
    return conclude(
      "failed",
      code,
      `answered ${status}: redirects are not followed, write the final URL`,
      false,
      start,
    );
  }
  // 408 and 429 ask for another try; a server's own trouble may pass, too.
  const retriable = status === 408 || status === 429 || status >= 500;
  conclude("failed", code, `answered ${status}`, retriable, start);
}

/** The first kilobyte of the answer, or what came of it in half a second. */
function readStart(response: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const end = (): void => {
      clearTimeout(timer);
      const text = Buffer.concat(chunks).subarray(0, ANSWER_BYTES_MAX).toString("utf8");
      // One line of printable text: it goes into the audit record.
      resolve(text.replace(/[\p{Cc}\s]+/gu, " ").trim());
    };
    const timer = setTimeout(end, ANSWER_PATIENCE_MS);
    response.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= ANSWER_BYTES_MAX) end();
    });
    for (const event of ["end", "error", "close"]) response.once(event, end);
  });
}
