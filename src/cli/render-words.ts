/**
 * Numbers and times in the words of the command line: short, with units, the same everywhere.
 *
 * Ages are differences of cluster times. Instants are wall times of the leader that wrote them, shown in UTC,
 * because the engineer compares them with logs of machines in other time zones.
 */

/** "450 ms", "1.4 s", "2 m 05 s", "3 h 20 m", "4 d 2 h". Negative spans count as 0. */
export function span(ms: number): string {
  const whole = Math.max(0, ms);
  if (whole < 1_000) return `${Math.round(whole)} ms`;
  if (whole < 10_000) return `${(Math.floor(whole / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(whole / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${String(seconds % 60).padStart(2, "0")} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} m`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** "2026-07-02 03:04:05Z". */
export function instant(wallMs: number): string {
  const date = new Date(wallMs);
  if (Number.isNaN(date.getTime())) return "(no time)";
  return `${date.toISOString().slice(0, 19).replace("T", " ")}Z`;
}

/** "1 witness", "2 witnesses". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** "a", "a and b", "a, b and c". */
export function listed(words: readonly string[]): string {
  if (words.length < 2) return words[0] ?? "";
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
