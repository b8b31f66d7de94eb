/**
 * One line of a log file: JSON that stays JSON however much a program has to say.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";

/** What a line always carries; its fields stand beside them. */
export interface LogEntry {
  readonly time: string;
  readonly level: string;
  readonly program: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

const encoder = new TextEncoder();
const keptFields: ReadonlySet<string> = new Set(["time", "level", "program"]);
/** Below this a value tells nothing any more; then there are too many fields, and they are left out. */
const valueCharsMin = 16;

/**
 * Returns the entry as one line of JSON, its end included, of at most `bytesMax` bytes. Values that are too long are
 * shortened. A line was once cut wherever its bound fell: no reader could parse it, and an error's
 * stack is just what makes a line long.
 */
export function logLine(entry: LogEntry, bytesMax: number = limits.logLineBytesMax): Uint8Array {
  let line = encode(entry);
  for (let chars = bytesMax; line.length > bytesMax && chars >= valueCharsMin; chars = Math.floor(chars / 2)) {
    line = encode(shortened(entry, chars));
  }
  if (line.length <= bytesMax) return line;
  const { time, level, program, message, ...fields } = entry;
  const short = shorten(message, valueCharsMin) as string;
  return encode({ time, level, program, message: short, fields_left_out: Object.keys(fields).length });
}

const encode = (entry: LogEntry) => encoder.encode(JSON.stringify(entry) + "\n");

function shortened(entry: LogEntry, chars: number): LogEntry {
  const pairs = Object.entries(entry).map(([key, value]) => [key, keptFields.has(key) ? value : shorten(value, chars)]);
  return Object.fromEntries(pairs);
}

/** Returns a value whose text has at most `chars` characters, and one that tells of what is missing. */
function shorten(value: unknown, chars: number): unknown {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "";
  return text.length <= chars ? value : `${text.slice(0, chars)}…`;
}
