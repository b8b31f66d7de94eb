/**
 * What `rbee logs` is told, and how it writes lines, wherever they come from.
 *
 * @module
 */
import type { Keeper } from "./keeper.ts";
import { humanLine, type LogLine } from "./log_lines.ts";

/** The flags of `logs`, parsed. `worker` is a name that holds no path. */
export interface LogsOptions {
  readonly node?: string;
  readonly worker?: string;
  readonly program?: "queen" | "hive";
  readonly follow?: boolean;
  readonly lines?: number;
}

/** Writes lines of a log for a person, or with --json as they stand in the file. */
export async function printLog(keeper: Keeper, lines: readonly LogLine[]): Promise<void> {
  const now = new Date();
  const text = lines.map((line) => (keeper.render.json ? line.raw : humanLine(line, now)) + "\n").join("");
  await keeper.render.text(text);
}
