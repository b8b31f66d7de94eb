/**
 * What a daemon writes about itself: JSON lines in `$RBEE_HOME/logs/<program>.log`, and on stderr lines for a person
 * at a terminal or JSON lines for a supervisor. Secrets never get through.
 *
 * @module
 */
import { configureSync, getLogger, type Logger, type LogRecord } from "@logtape/logtape";
import { LogFile } from "./log_file.ts";
import { logLine } from "./log_line.ts";

/** How much is written. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Where a program's lines go. */
export interface LogOptions {
  program: string;
  level: LogLevel;
  /** The log file; none for a program that only talks to a person. */
  file?: string;
  /** False for a daemon that another program started: its stderr is kept for what happens before the log opens. */
  stderr: boolean;
}

/** What a log line may carry besides its text. */
export type LogFields = Record<string, unknown>;

/** A program's own log. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Returns a log whose lines all carry `fields`. */
  with(fields: LogFields): Log;
}

const secretFields = /token|key|authorization|password|secret|prompt|messages/i;
const secretTexts = /\b(Bearer\s+)[A-Za-z0-9._~+/=-]{8,}|\b[0-9a-f]{64}\b|(:\/\/[^/\s:@]+:)[^@\s]+(?=@)/gi;
/** Fields whose names look secret but are counts or names. */
const harmlessFields = /^(tokens_|prompt_tokens|total_tokens|token_name|max_tokens|tokens$)/;

/** Returns a text without bearer tokens, keys and URL passwords. */
export function redact(text: string): string {
  return text.replace(secretTexts, (_all, bearer?: string, url?: string) => `${bearer ?? url ?? ""}[REDACTED]`);
}

function plain(name: string, value: unknown): unknown {
  if (secretFields.test(name) && !harmlessFields.test(name)) return "[REDACTED]";
  if (value instanceof Error) return redact(`${value.name}: ${value.message}`);
  if (typeof value === "string") return redact(value);
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return value.map((one) => plain(name, one));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(key, one)]));
  }
  return value;
}

/** Opens the log and returns it. Lines written to the file survive a full disk by being dropped, never by failing. */
export function openLog(options: LogOptions): Log {
  const file = options.file === undefined ? undefined : new LogFile(options.file);
  const tty = options.stderr && Deno.stderr.isTerminal();
  const encoder = new TextEncoder();
  const sink = (record: LogRecord) => {
    const text = redact(record.message.map(String).join(""));
    const fields = plain("", record.properties) as LogFields;
    const line = logLine({
      time: new Date(record.timestamp).toISOString(),
      level: record.level === "warning" ? "warn" : record.level,
      program: options.program,
      message: text,
      ...fields,
    });
    file?.write(line);
    if (options.stderr) writeStderr(tty ? encoder.encode(`[${options.program}] ${human(text, fields)}\n`) : line);
  };
  configureSync({
    reset: true,
    sinks: { sink },
    loggers: [
      { category: "rbee", lowestLevel: options.level === "warn" ? "warning" : options.level, sinks: ["sink"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["sink"] },
    ],
  });
  return wrap(getLogger(["rbee", options.program]));
}

function human(text: string, fields: LogFields): string {
  const rest = Object.entries(fields).map(([key, value]) =>
    `${key}=${typeof value === "object" ? JSON.stringify(value) : value}`
  );
  return rest.length === 0 ? text : `${text}  ${rest.join(" ")}`;
}

function writeStderr(bytes: Uint8Array): void {
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
  } catch {
    // stderr is a closed pipe: a log line must never kill the program
  }
}

function wrap(logger: Logger): Log {
  // logtape reads {name} in a text as a placeholder; ours are finished sentences
  const text = (message: string) => message.replaceAll("{", "{{").replaceAll("}", "}}");
  return {
    debug: (message, fields = {}) => logger.debug(text(message), fields),
    info: (message, fields = {}) => logger.info(text(message), fields),
    warn: (message, fields = {}) => logger.warn(text(message), fields),
    error: (message, fields = {}) => logger.error(text(message), fields),
    with: (fields) => wrap(logger.with(fields)),
  };
}
