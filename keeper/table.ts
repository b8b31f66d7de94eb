/**
 * Tables of plain text: columns as wide as their widest cell, two spaces between them, no trailing spaces.
 *
 * @module
 */

/** Returns the lines of a table, its heading first. */
export function tableLines(heading: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [heading, ...rows];
  const widths = heading.map((_cell, column) => Math.max(...all.map((row) => [...(row[column] ?? "")].length)));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => cell + " ".repeat(widths[column] - [...cell].length)).join("  ").trimEnd();
  return all.map(line);
}
