/**
 * The log of a process: one JSON object a line, or readable lines on a terminal.
 *
 * A witness logs to standard output; what a command has to say to a person goes to standard error. Each line
 * carries the witness, whatever `context` adds (term), and the bindings of the part that speaks (group,
 * epoch, step). Redaction is redact.ts.
 *
 * A witness must not stop because its log does (sink.ts).
 */
import { isatty } from "node:tty";
import pino, { type DestinationStream, type Logger } from "pino";
import pretty from "pino-pretty";
import type { Epoch } from "../../core/base/ids.js";
import { protectedSecrets, sanitize, scrubLine } from "./redact.js";
import { LineSink } from "./sink.js";

export type Log = Logger;

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ["auto", "json", "pretty"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export interface LogOptions {
  /** Stands in each line; null for a command that is no witness. */
  readonly witness: string | null;
  readonly level: LogLevel;
  /** `auto`: pretty when the output is a terminal, else JSON. */
  readonly format: LogFormat;
  /** File descriptor 1 or 2, or a stream (which gets whole lines). */
  readonly output: 1 | 2 | DestinationStream;
  /** Fields that change with time, such as the term; asked for each line. */
  readonly context?: () => Readonly<Record<string, unknown>>;
}

/** A log. Never throws, whatever becomes of its output. */
export function createLog(options: LogOptions): Log {
  const { witness, level, output, context } = options;
  const isPretty =
    options.format === "pretty" ||
    (options.format === "auto" && typeof output === "number" && isatty(output));
  const secrets = protectedSecrets();
  const log = pino(
    {
      level,
      base: witness === null ? {} : { witness },
      timestamp: pino.stdTimeFunctions.isoTime,
      ...(context === undefined ? {} : { mixin: () => ({ ...context() }) }),
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => sanitize(fields) as Record<string, unknown>,
      },
      // Errors are made plain by sanitize; pino's own serializer would take the result for an error again.
      serializers: { err: (error: unknown) => error },
      hooks: { streamWrite: (line) => scrubLine(line, secrets) },
    },
    isPretty ? prettyStream(output) : jsonStream(output),
  );
  // Pino formats the bindings of the first logger only (10.4.0); children take this method over from it.
  const { child } = log;
  log.child = function (this: Log, bindings, options) {
    return child.call(this, sanitize(bindings) as typeof bindings, options);
  } as Log["child"];
  return log;
}

function jsonStream(output: LogOptions["output"]): DestinationStream {
  return typeof output === "number" ? new LineSink(output) : output;
}

function prettyStream(output: LogOptions["output"]): DestinationStream {
  const isTerminal = typeof output === "number" && isatty(output);
  return pretty({
    sync: true,
    destination: output as number | NodeJS.WritableStream,
    colorize: isTerminal && process.env["NO_COLOR"] === undefined,
    translateTime: "SYS:HH:MM:ss.l",
    ignore: "pid,hostname",
    singleLine: true,
  });
}

/** The fields by which every line of one step is found again. */
export function stepBindings(key: {
  readonly group: string;
  readonly epoch: Epoch | number;
  readonly step: string;
  readonly attempt: number;
}): Record<string, unknown> {
  return { group: key.group, epoch: key.epoch, step: key.step, attempt: key.attempt };
}
