/**
 * Every table and key of `config.toml`, with its default. One schema for all programs, so that each of them finds a
 * misspelt key, also in a table that it does not use itself.
 *
 * @module
 */
import * as z from "zod";
import { limits, ports } from "../protocol/limits.ts";
import { RbeeError } from "../protocol/error.ts";

const port = z.number().int().min(ports.min).max(ports.max);
const seconds = (ms: number) => z.number().min(0.001).max(365 * 86_400).default(ms / 1_000);
const text = z.string().min(1);

/** Schema of the whole file. Seconds may have fractions. */
export const configSchema = z.strictObject({
  queen: z.strictObject({
    port: port.default(ports.queen),
    listen: text.default("127.0.0.1"),
    /** Whether this machine computes as well. */
    use_local: z.boolean().default(true),
    /** A file with a token that every request must carry, on loopback as well. */
    token_file: text.optional(),
    /** How long a task waits for a free slot, when `--wait` does not say. */
    wait_s: seconds(limits.waitForSlotMs),
    /** How long running tasks may go on when the queen is told to end. */
    drain_s: seconds(limits.drainMs),
    /** How long a model may take to load, as the queen sees it. */
    load_timeout_s: seconds(limits.workerLoadMs),
  }).prefault({}),
  hive: z.strictObject({
    port: port.default(ports.hive),
    listen: text.default("127.0.0.1"),
    token_file: text.optional(),
    /** A certificate of the person's own, for when it listens on the network, and its key: PEM files. */
    tls_cert: text.optional(),
    tls_key: text.optional(),
    idle_timeout_s: seconds(limits.workerIdleMs),
    health_interval_s: seconds(limits.healthIntervalMs),
    ready_timeout_s: seconds(limits.workerReadyMs),
    load_timeout_s: seconds(limits.workerLoadMs),
    drain_s: seconds(limits.drainMs),
    /**
     * A command (program and arguments, no shell) whose JSON output replaces detected devices and free memory, for
     * machines that detect wrongly. Keys: those of `protocol/node.ts` `machine`, each optional.
     */
    probe: z.array(text).min(1).optional(),
  }).prefault({}).refine((h) => (h.tls_cert === undefined) === (h.tls_key === undefined), {
    message: "tls_cert and tls_key belong together",
    path: ["tls_cert"],
  }),
  workers: z.strictObject({
    port_start: port.default(ports.workerStart),
    port_end: port.default(ports.workerEnd),
    slots: z.number().int().min(1).max(limits.slotsMax).default(1),
    /** Upper bound of a slot's context in tokens; absent: what the model was trained for. */
    ctx: z.number().int().min(limits.ctxTokensMin).max(limits.ctxTokensMax).optional(),
    engine: z.enum(["node-llama-cpp"]).default("node-llama-cpp"),
    /** Absent: measured. */
    threads: z.number().int().min(1).max(limits.threadsMax).optional(),
  }).prefault({}).refine((w) => w.port_start <= w.port_end, {
    message: "port_start must not be above port_end",
    path: ["port_start"],
  }),
  infer: z.strictObject({
    model: text.default("builtin:tiny"),
    max_tokens: z.number().int().min(1).max(limits.maxTokensMax).default(limits.maxTokensDefault),
    temperature: z.number().min(0).max(2).default(limits.temperatureDefault),
  }).prefault({}),
  models: z.strictObject({
    dir: text.optional(),
    /** A mirror of the hub; `HF_ENDPOINT` in the environment wins over it. */
    hf_endpoint: z.url({ protocol: /^https?$/ }).optional(),
    /** A download to which no byte comes for so long is begun again from what is here. */
    stall_timeout_s: seconds(limits.downloadStallMs),
    aliases: z.record(z.string().regex(/^[\w.-]{1,64}$/), text).default({}),
  }).prefault({}),
  remote: z.strictObject({
    /** The hive's executable on every node; absent: `current/rbee-hive` below the node's install path. */
    binary_path: text.optional(),
    /** The folder of git commands on every node; absent: the node's install path. */
    git_repo_dir: text.optional(),
    /** For one attempt to connect by SSH; three are made. */
    connect_timeout_s: seconds(limits.sshConnectTimeoutMs),
  }).prefault({}),
  log: z.strictObject({ level: z.enum(["debug", "info", "warn", "error"]).default("info") }).prefault({}),
});

/** The whole configuration, every default filled in. */
export type Config = z.output<typeof configSchema>;

/** Raw tables as a file, the environment or flags give them. */
export type ConfigTables = Record<string, Record<string, unknown>>;

/** Returns a raw text (an environment variable) as the kind of value that the key's schema wants. */
export function valueFromText(raw: string): unknown {
  if (/^-?\d+(\.\d+)?$/.test(raw)) return Number(raw);
  if (raw === "true" || raw === "false") return raw === "true";
  return raw;
}

/** One thing that is wrong with a configuration. `path` is `[table, key]`. */
export interface ConfigProblem {
  path: string[];
  message: string;
}

/** Returns the configuration, or everything that is wrong with it. */
export function checkConfig(raw: ConfigTables): { config: Config } | { problems: ConfigProblem[] } {
  const result = configSchema.safeParse(raw);
  if (result.success) return { config: result.data };
  return {
    problems: result.error.issues.flatMap((issue) => {
      const path = issue.path.map(String);
      if (issue.code !== "unrecognized_keys") return [{ path, message: issue.message.replace(/^Invalid input: /, "") }];
      return issue.keys.map((key) => ({
        path: [...path, key],
        message: path.length === 0 ? "this table is unknown" : "this key is unknown",
      }));
    }),
  };
}

/** Throws `CONFIG_INVALID` for a problem whose place is named. Never returns. */
export function refuse(problem: ConfigProblem, where: string, details: Record<string, unknown>): never {
  const key = problem.path.length > 1
    ? `[${problem.path[0]}] ${problem.path.slice(1).join(".")}`
    : `[${problem.path[0] ?? ""}]`;
  throw new RbeeError("CONFIG_INVALID", {
    message: `Cannot use ${key} in ${where}: ${problem.message}`,
    details: { key: problem.path.join("."), ...details },
    hint: "Correct that line; `rbee config show` prints every key with its value",
  });
}
