/**
 * The announce step: tell everybody who is listed, side by side. Each is tried, whatever becomes of the others.
 *
 * A repeated attempt tells again those who were told already; the idempotency key lets them notice.
 */
import type { AnnounceConfig } from "../../core/model/config.js";
import type { StepOutcome } from "../../core/model/state.js";
import { postWebhook, showUrl } from "../notify/webhook.js";
import { runHook } from "./hook-step.js";
import { join, type Part } from "./outcome.js";
import { describeStep, type StepContext, type StepDescription } from "./step-context.js";

/** What a webhook receives: the facts, and how the plan went so far. */
export interface Announcement extends StepDescription {
  /** One sentence, under the name that chat services look for. */
  readonly text: string;
  readonly steps: readonly {
    readonly step: string;
    readonly status: string;
    readonly attempts: number;
    /** Null while it has not ended. */
    readonly tookMs: number | null;
    readonly code: string | null;
    readonly message: string | null;
  }[];
}

/** Announces the plan's end. Never rejects. */
export async function announceStep(context: StepContext): Promise<StepOutcome> {
  const parts = context.group.announce.map(async (to): Promise<Part> => {
    return { name: nameOf(to), outcome: await announceTo(to, context) };
  });
  return join(await Promise.all(parts));
}

function nameOf(to: AnnounceConfig): string {
  return to.kind === "webhook" ? `webhook ${showUrl(to.url)}` : `command ${to.hook.command[0] ?? ""}`;
}

function announceTo(to: AnnounceConfig, context: StepContext): Promise<StepOutcome> {
  if (to.kind === "exec") return runHook(to.hook, context);
  const announcement = announce(context);
  return postWebhook({
    url: to.url,
    body: announcement,
    idempotencyKey: announcement.idempotencyKey,
    timeoutMs: Math.min(to.timeoutMs, context.deadlineMs),
    signal: context.signal,
  });
}

function announce(context: StepContext): Announcement {
  const { plan } = context;
  const facts = describeStep(context);
  const from = plan.from === null ? "" : ` from ${plan.from}`;
  return {
    ...facts,
    text: `${facts.cluster}: group ${facts.group} moved${from} to ${plan.to} (${plan.kind}, epoch ${plan.epoch}): ${plan.reason}`,
    steps: plan.steps
      .filter(({ step }) => step !== "announce")
      .map(({ step, status, attempt, begunAtMs, finishedAtMs, outcome }) => ({
        step,
        status,
        attempts: attempt,
        tookMs: begunAtMs === null || finishedAtMs === null ? null : finishedAtMs - begunAtMs,
        code: outcome?.code ?? null,
        message: outcome?.message ?? null,
      })),
  };
}
