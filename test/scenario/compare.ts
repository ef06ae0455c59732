/**
 * Judging whether two outputs of one step mean the same.
 *
 * What any correct Raft with these options must agree on is compared exactly: roles, terms, hard states,
 * entries and committed entries of each node, durable logs, refusals; and messages, with all their fields,
 * as a multiset. A leader's private bookkeeping (`status`), how work is batched into Readys, and MustSync
 * are compared too but reported apart. Prose for people (INFO, DEBUG, …) is ignored.
 */

export type Agreement =
  /** Equal line by line, prose apart. */
  | { readonly kind: "literal" }
  /** Equal in meaning; `notes` says what differs in form. */
  | { readonly kind: "semantic"; readonly notes: readonly string[] }
  | { readonly kind: "differs"; readonly what: readonly string[] };

const PROSE = /^(DEBUG|INFO|WARN|ERROR|FATAL) /;
const TITLES = ["Entries:", "CommittedEntries:", "Messages:", "Processing:", "Responses:"];

/**
 * Joins lines that belong together: an open bracket outside quotes goes on, and a snapshot belongs to the
 * message before it.
 */
function fold(output: string): readonly string[] {
  const lines: string[] = [];
  let depth = 0;
  for (const raw of output.split("\n")) {
    const line = raw.trim();
    if (line === "" || line === "ok" || line === "no messages" || PROSE.test(line)) continue;
    const last = lines.length - 1;
    if (depth > 0 || (line.startsWith("Snapshot: ") && last >= 0)) lines[last] += ` ${line}`;
    else lines.push(line);
    const bare = line.replace(/"(\\.|[^"\\])*"/g, "");
    depth += (bare.match(/\[/g)?.length ?? 0) - (bare.match(/\]/g)?.length ?? 0);
  }
  return lines;
}

/**
 * The parts of an output, each as a list of lines under a key; `ordered` parts compare as lists, `bags` as
 * multisets.
 */
interface Parts {
  readonly ordered: Map<string, string[]>;
  readonly bags: Map<string, string[]>;
  readonly form: Map<string, string[]>;
}

function add(map: Map<string, string[]>, key: string, line: string): void {
  map.set(key, [...(map.get(key) ?? []), line]);
}

function partsOf(lines: readonly string[]): Parts {
  const parts: Parts = { ordered: new Map(), bags: new Map(), form: new Map() };
  let node = "";
  let title = "";
  for (const line of lines) {
    const heading = /^> (\d+) (.*)$/.exec(line);
    if (heading !== null) {
      node = heading[1] ?? "";
      title = heading[2] ?? "";
      add(parts.form, "order of work", line);
    } else if (line.startsWith("Ready MustSync=") || line === "<empty Ready>") {
      title = "Ready";
      if (line !== "<empty Ready>") add(parts.form, `Readys of node ${node}`, line);
    } else if (TITLES.includes(line)) {
      title = line.slice(0, -1);
    } else classify(parts, line, node, title);
  }
  return parts;
}

function classify(parts: Parts, line: string, node: string, title: string): void {
  const at = node === "" ? "" : ` of node ${node}`;
  if (/^(dropped: )?([0-9a-f]+|None|AppendThread|ApplyThread)->/.test(line))
    add(parts.bags, `${title === "" ? "delivered" : title}${at}`, line);
  else if (line.startsWith("HardState ")) parts.ordered.set(`last HardState${at}`, [line]);
  else if (line.startsWith("Lead:")) parts.ordered.set(`last SoftState${at}`, [line]);
  else if (/^\d+\/\d+ Entry/.test(line)) add(parts.ordered, `${title === "" ? "log" : title}${at}`, line);
  else if (/^\d+: State(Probe|Replicate|Snapshot) /.test(line)) add(parts.form, "status", line);
  else add(parts.ordered, `output${at}`, line);
}

function differences(
  expected: ReadonlyMap<string, string[]>,
  got: ReadonlyMap<string, string[]>,
  bag: boolean,
): string[] {
  const keys = [...new Set([...expected.keys(), ...got.keys()])];
  const text = (lines: string[] | undefined) => {
    const list = [...(lines ?? [])];
    if (bag) list.sort();
    return list.join("\n");
  };
  return keys.filter((key) => text(expected.get(key)) !== text(got.get(key)));
}

/** Compares what a file expects with what a run printed. */
export function compare(expected: string, got: string): Agreement {
  const expectedLines = fold(expected);
  const gotLines = fold(got);
  if (expectedLines.join("\n") === gotLines.join("\n")) return { kind: "literal" };
  const a = partsOf(expectedLines);
  const b = partsOf(gotLines);
  const what = [...differences(a.ordered, b.ordered, false), ...differences(a.bags, b.bags, true)];
  if (what.length > 0) return { kind: "differs", what };
  const notes = differences(a.form, b.form, false);
  return { kind: "semantic", notes: notes.length > 0 ? notes : ["order of lines"] };
}
