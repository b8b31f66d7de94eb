/**
 * Lines of log files: what they say, when, and how a person reads them. Pure.
 *
 * @module
 */

/** One line of a log file. */
export interface LogLine {
  /** As it stands in the file. */
  readonly raw: string;
  /** Milliseconds since 1970; that of the line before when it has none itself. */
  readonly atMs: number;
  /** The program that wrote it: `queen-rbee`, or a worker's id. */
  readonly source: string;
}

const levels: Readonly<Record<string, string>> = { debug: "DEBUG", info: "INFO ", warn: "WARN ", error: "ERROR" };
/** Shown in their own places, or by every line alike. */
const shownElsewhere: ReadonlySet<string> = new Set(["time", "level", "program", "message", "worker_id"]);

/** Returns the lines of a text, each with its time; `beforeMs` counts for those in front of the first one that has one. */
export function parseLog(text: string, source: string, beforeMs = 0): LogLine[] {
  let atMs = beforeMs;
  return text.split("\n").filter((raw) => raw.trim() !== "").map((raw) => {
    const time = Date.parse(String(fieldsOf(raw)?.time));
    if (Number.isFinite(time)) atMs = time;
    return { raw, atMs, source };
  });
}

function fieldsOf(raw: string): Record<string, unknown> | undefined {
  if (!raw.startsWith("{")) return undefined;
  try {
    return JSON.parse(raw);
  } catch {
    return undefined; // a library's own line, or one that was cut
  }
}

/** Returns the lines of several files in the order of their times, the last `count` of them. */
export function mergeLogs(files: readonly (readonly LogLine[])[], count: number): LogLine[] {
  if (count === 0) return [];
  return files.flat().sort((a, b) => a.atMs - b.atMs).slice(-count);
}

/** Returns a line for a person: time of day (with its date when it was not today), level, program, text, fields. */
export function humanLine(line: LogLine, now: Date): string {
  const fields = fieldsOf(line.raw);
  if (!fields || typeof fields.message !== "string") {
    return `${timeText(line.atMs, now)} ----- [${line.source}] ${line.raw}`;
  }
  const rest = Object.entries(fields).filter(([key]) => !shownElsewhere.has(key)).map(([key, value]) =>
    `${key}=${typeof value === "string" && /^\S+$/.test(value) ? value : JSON.stringify(value)}`
  );
  const level = levels[String(fields.level)] ?? String(fields.level ?? "-----");
  const text = `${timeText(line.atMs, now)} ${level} [${line.source}] ${fields.message}`;
  return rest.length > 0 ? `${text}  ${rest.join(" ")}` : text;
}

function timeText(atMs: number, now: Date): string {
  if (atMs === 0) return "--:--:--.---";
  const at = new Date(atMs);
  const two = (value: number, width = 2) => String(value).padStart(width, "0");
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${two(at.getMilliseconds(), 3)}`;
  const isToday = at.toDateString() === now.toDateString();
  return isToday ? time : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}
