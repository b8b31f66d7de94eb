/**
 * What benchmarks print: medians, ratios, and the machine they were taken on.
 *
 * @module
 */
import { cpus } from "node:os";

/** Returns the value that this part of the values (0 to 1) does not exceed; NaN of none. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}

/** Returns the middle value; of an even number the mean of the middle two; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Prints one line. */
export function say(line: string): void {
  console.log(line);
}

/** Prints which machine this is; figures without it say nothing. */
export function sayMachine(): void {
  const processors = cpus();
  const name = processors[0]?.model.trim() || "an unnamed CPU";
  say(
    `machine: ${processors.length} cores of ${name}, ${Deno.build.os} ${Deno.osRelease()}, Deno ${Deno.version.deno}`,
  );
}

/** Prints rows as a table, every column as wide as its longest cell. */
export function sayTable(rows: readonly (readonly (string | number)[])[]): void {
  const cells = rows.map((row) => row.map((cell) => typeof cell === "number" ? shown(cell) : cell));
  const widths = cells[0].map((_cell, at) => Math.max(...cells.map((row) => row[at].length)));
  for (const row of cells) {
    say("  " + row.map((cell, at) => at === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[at])).join("  "));
  }
}

function shown(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(3);
}
