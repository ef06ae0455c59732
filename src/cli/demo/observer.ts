/**
 * Follows what the cluster does, through any witness that answers, and keeps every audit record once.
 *
 * A watch is resumed at the next witness from the last record seen, so killing the one that is watched loses nothing.
 */
import type { AuditRecord } from "../../core/model/state.js";
import { type AdminConnection, connectAdmin } from "../../drivers/server/admin-client.js";

const CONNECT_MS = 500;
const RETRY_MS = 100;

type Listener = (record: AuditRecord) => void;

export class Observer {
  private readonly addresses: readonly string[];
  private readonly stopped = new AbortController();
  private readonly listeners = new Set<Listener>();
  private done: Promise<void> = Promise.resolve();
  readonly records: AuditRecord[] = [];

  constructor(addresses: readonly string[]) {
    this.addresses = addresses;
  }

  start(): void {
    this.done = this.follow();
  }

  async stop(): Promise<void> {
    this.stopped.abort();
    await this.done;
  }

  onRecord(listener: Listener): void {
    this.listeners.add(listener);
  }

  /**
   * Resolves with the first record, from position `from` of `records` on, that `matches`; rejects when
   * `timeoutMs` have passed, saying `what` did not happen. Does not keep the process alive: the processes
   * that are observed do.
   */
  expect(
    what: string,
    timeoutMs: number,
    from: number,
    matches: (record: AuditRecord) => boolean,
  ): Promise<AuditRecord> {
    const known = this.records.slice(from).find(matches);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve, reject) => {
      const listener = (record: AuditRecord): void => {
        if (!matches(record)) return;
        clearTimeout(timer);
        this.listeners.delete(listener);
        resolve(record);
      };
      const timer = setTimeout(() => {
        this.listeners.delete(listener);
        reject(new Error(`within ${timeoutMs / 1000} s it did not happen: ${what}`));
      }, timeoutMs).unref();
      this.listeners.add(listener);
    });
  }

  private async follow(): Promise<void> {
    for (let next = 0; !this.stopped.signal.aborted; next++) {
      const address = this.addresses[next % this.addresses.length] ?? "";
      let connection: AdminConnection | null = null;
      try {
        connection = await connectAdmin(address, CONNECT_MS);
        await this.watch(connection);
      } catch {
        // The next witness is asked; that one of them is down is what the demo is about.
      } finally {
        connection?.close();
      }
      if (!this.stopped.signal.aborted) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  private async watch(connection: AdminConnection): Promise<void> {
    const last = this.records.at(-1);
    const since = last === undefined ? { index: 0, seq: null } : { index: last.index, seq: last.seq };
    for await (const message of connection.watch({ group: null, since }, this.stopped.signal)) {
      if (message.kind === "audit") this.take(message.record);
    }
  }

  private take(record: AuditRecord): void {
    const last = this.records.at(-1);
    if (
      last !== undefined &&
      (record.index < last.index || (record.index === last.index && record.seq <= last.seq))
    )
      return;
    this.records.push(record);
    for (const listener of [...this.listeners]) listener(record);
  }
}
