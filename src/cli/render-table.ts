/**
 * Aligned columns in which a cell may have a colour: widths are counted without the colour's bytes.
 */

/** Text of a cell, with the colour that goes around it after padding. */
export interface Cell {
  readonly text: string;
  readonly paint?: (text: string) => string;
}

/**
 * One line a row, columns two spaces apart, no trailing spaces. The last cell of a row is neither padded nor
 * does it widen its column: a row with fewer cells may end in a long remark.
 */
export function columns(rows: readonly (readonly (Cell | string)[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.slice(0, -1).forEach((cell, at) => {
      widths[at] = Math.max(widths[at] ?? 0, textOf(cell).length);
    });
  }
  return rows.map((row) => {
    const last = row.length - 1;
    const cells = row.map((cell, at) => {
      const text = textOf(cell);
      const padding = at === last ? "" : " ".repeat((widths[at] ?? 0) - text.length);
      return (typeof cell !== "string" && cell.paint ? cell.paint(text) : text) + padding;
    });
    return cells.join("  ").trimEnd();
  });
}

/** Each line with spaces before it. */
export function indent(lines: readonly string[], by: number): string[] {
  return lines.map((line) => (line === "" ? "" : " ".repeat(by) + line));
}

/** Text in lines of at most `width` characters, broken at spaces; a longer word stands alone. At least one line. */
export function wrap(text: string, width: number): string[] {
  if (text.length <= width) return [text];
  const margin = /^ */.exec(text)?.[0] ?? "";
  const lines: string[] = [];
  let line = margin;
  for (const word of text.trim().split(" ")) {
    if (line.trim() === "") line = margin + word;
    else if (line.length + 1 + word.length <= width) line += ` ${word}`;
    else {
      lines.push(line);
      line = margin + word;
    }
  }
  return [...lines, line];
}

function textOf(cell: Cell | string): string {
  return typeof cell === "string" ? cell : cell.text;
}
