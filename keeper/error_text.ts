/**
 * What a person reads when something failed: a headline, the facts, and what to do next. Pure.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import { durationText } from "./duration.ts";
import { ambiguous, gated } from "./error_text_models.ts";

/** What the keeper knows besides the error itself. */
export interface ErrorContext {
  /** The node that was asked for. */
  readonly node?: string;
  /** The configuration file in use, or the one to make. */
  readonly configFile?: string;
}

/** An error as it is shown: nothing of it has line ends. */
export interface ErrorText {
  readonly headline: string;
  /** Shown indented below the headline. */
  readonly facts: readonly string[];
  /** Shown after a blank line, at the margin. */
  readonly notes: readonly string[];
  /** `Suggestion: …`, or another sentence with a command below it. */
  readonly advice: readonly string[];
}

const indent = "    ";

/** Returns the text for an error. */
export function errorText(error: RbeeError, context: ErrorContext = {}): ErrorText {
  const form = forms[error.code]?.(error, context) ?? {};
  return {
    headline: `${form.headline ?? error.message} (${error.code})`,
    facts: form.facts ?? factsOf(error),
    notes: partialNotes(error),
    advice: form.advice ?? [`Suggestion: ${error.hint}`],
  };
}

/** Returns its lines, as they follow `[rbee-keeper] ❌ Error: `. */
export function errorLines(text: ErrorText): string[] {
  return [
    text.headline,
    ...text.facts.map((fact) => indent + fact),
    ...(text.notes.length > 0 ? ["", ...text.notes] : []),
    "",
    ...text.advice,
  ];
}

type Form = (error: RbeeError, context: ErrorContext) => Partial<Omit<ErrorText, "notes">>;

const memoryShort: Form = (error, context) => ({
  headline: `Insufficient ${error.code.endsWith("RAM") && !error.code.endsWith("VRAM") ? "RAM" : "VRAM"} on ${
    nodeOf(error, context)
  }`,
  facts: [
    ...named(error, "required", (n) => `Required: ${n} MB`),
    ...named(error, "available", (n) => `Available: ${n} MB`),
  ],
});

const authentication: Form = (error, context) => {
  const { node, address } = error.details;
  return {
    headline: "Authentication failed",
    facts: [...(typeof address === "string" ? [`Host: ${address}`] : []), error.message],
    advice: [
      // Between queen and hive it is another token, and her error tells where that one lies.
      ...(typeof node === "string" ? [`Suggestion: ${error.hint}`] : []),
      "Check the token in your configuration:",
      `${indent}${context.configFile ?? "~/.config/rbee/config.toml"}`,
      ...(typeof node === "string" ? [] : ["(RBEE_QUEEN_TOKEN in the environment wins over it)"]),
    ],
  };
};

const forms: Readonly<Record<string, Form>> = {
  VRAM_EXHAUSTED: memoryShort,
  INSUFFICIENT_VRAM: memoryShort,
  INSUFFICIENT_RAM: memoryShort,
  NODE_NOT_FOUND: (error, context) => {
    const name = nodeOf(error, context);
    return {
      facts: [],
      advice: [
        "Add it first (`rbee setup list-nodes` shows those that are there):",
        `${indent}rbee-keeper setup add-node --name ${name} --ssh-host ${name}.home.arpa --ssh-user me`,
      ],
    };
  },
  MISSING_API_KEY: authentication,
  INVALID_API_KEY: authentication,
  LOADING_TIMEOUT: (error, context) => {
    const seconds = error.details.timeout_s;
    return {
      headline: typeof seconds === "number"
        ? `Model loading timeout after ${durationText(seconds * 1_000)}`
        : error.message,
      facts: [`Worker state: ${loadingState(error)}`],
      advice: [
        `Suggestion: Check worker logs on ${nodeOf(error, context)}: rbee logs${nodeFlag(error)}${
          typeof error.details.worker_id === "string" ? ` --worker ${error.details.worker_id}` : ""
        }`,
      ],
    };
  },
  // Its message names each node's reason for whoever reads nothing else; below it they stand one by one.
  NO_NODE: (error) => factsOf(error).length > 0 ? { headline: error.message.replace(/ \(.*\)$/s, "") } : {},
  MODEL_AMBIGUOUS: ambiguous,
  ACCESS_DENIED: gated,
  VERSION_MISMATCH: (error) => {
    const versions = versionsOf(error);
    const facts = versions.map(([program, version]) => `${program}: v${version}`);
    if (versions.length !== 2) return { headline: "Version mismatch", facts: [...facts, error.message] };
    const [older, newer] = compareVersions(versions[0][1], versions[1][1]) <= 0 ? versions : versions.toReversed();
    return { headline: "Version mismatch", facts, advice: upgradeAdvice(error, older[0], newer[1]) };
  },
};

/** What brings the older program to the version of the newer one. */
function upgradeAdvice({ details: { node, address, hive } }: RbeeError, program: string, version: string): string[] {
  const build = `${indent}git checkout v${version} && npx -y deno@2.7.11 task compile`;
  if (typeof node !== "string") {
    return [
      `Please upgrade ${program} to v${version}, in its checkout:`,
      build,
      ...(program === "queen-rbee" ? ["A queen that still runs in the older version is ended by: rbee down"] : []),
    ];
  }
  if (program !== "rbee-hive") {
    return [`Please upgrade ${program} on this machine to v${version}, in its checkout:`, build];
  }
  // One that is called directly is its operator's: nothing installs there from here.
  if (typeof address === "string") {
    return [
      `Please upgrade ${program} at ${address} to v${version}, in its checkout there, and start it again:`,
      build,
    ];
  }
  return [
    `Please bring ${node} to v${version}:`,
    `${indent}rbee setup install --node ${node}`,
    // An operator's, which installing leaves alone.
    ...(hive === "running" ? ["and end the one that runs there:", `${indent}rbee hive stop --node ${node}`] : []),
  ];
}

const nodeOf = (error: RbeeError, context: ErrorContext) =>
  typeof error.details.node === "string" ? error.details.node : context.node ?? "local";

/** The flag that leads to another machine's logs. */
const nodeFlag = ({ details: { node } }: RbeeError) =>
  typeof node === "string" && node !== "local" ? ` --node ${node}` : "";

function named(error: RbeeError, key: string, print: (value: number) => string): string[] {
  const value = error.details[key];
  return typeof value === "number" ? [print(value)] : [];
}

function loadingState(error: RbeeError): string {
  const { state, layers_loaded: loaded, layers_total: total } = error.details;
  const word = typeof state === "string" ? state : "loading";
  return typeof loaded === "number" && typeof total === "number"
    ? `${word} (stuck at ${loaded}/${total} layers)`
    : word;
}

/** Program and version of each side, in the order in which they came. */
function versionsOf(error: RbeeError): [string, string][] {
  return Object.entries(error.details)
    .filter((entry): entry is [string, string] => /rbee/.test(entry[0]) && typeof entry[1] === "string");
}

/** Returns a negative number when `a` is the older of two versions such as `0.1.0`, a positive one when `b` is. */
export function compareVersions(a: string, b: string): number {
  const parts = (version: string) => version.split(/[-+]/)[0].split(".").map(Number);
  const [left, right] = [parts(a), parts(b)];
  for (let at = 0; at < 3; at++) {
    const difference = (left[at] || 0) - (right[at] || 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** S39: where the text so far was saved, and how much of it there is. */
function partialNotes(error: RbeeError): string[] {
  const { partial_path: path, tokens, max_tokens: max } = error.details;
  const notes: string[] = [];
  if (typeof path === "string") notes.push(`Partial result saved to: ${path}`);
  if (typeof tokens === "number" && typeof max === "number") notes.push(`Tokens generated: ${tokens} / ${max}`);
  return notes;
}

/** Facts that say more than the message does: each bad field, each node's reason, what there is instead. */
function factsOf(error: RbeeError): string[] {
  const { errors, nodes, available } = error.details;
  if (Array.isArray(errors)) return texts(errors, "message").filter((one) => !error.message.includes(one));
  if (Array.isArray(nodes)) return texts(nodes, "reason", "node");
  if (!Array.isArray(available) || available.length === 0) return [];
  const words = available.join(", ");
  return error.message.includes(words) ? [] : [`Available: ${words}`];
}

function texts(list: unknown[], key: string, before?: string): string[] {
  return list.flatMap((one) => {
    const record = one as Record<string, unknown>;
    const prefix = before !== undefined && typeof record?.[before] === "string" ? `${record[before]}: ` : "";
    return typeof record?.[key] === "string" ? [prefix + record[key]] : [];
  });
}
