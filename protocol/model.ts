/**
 * Model references: how a person names a model, and what a catalog knows of one.
 *
 * @module
 */
import * as z from "zod";
import { RbeeError } from "./error.ts";

/** A parsed reference. */
export type ModelRef =
  | { provider: "builtin"; name: "tiny" }
  | { provider: "file"; path: string }
  | { provider: "http"; url: string }
  | { provider: "hf"; org: string; repo: string; variant?: string; revision?: string };

/** The forms that are understood, for messages and help. */
export const modelRefForms: readonly string[] = Object.freeze([
  "builtin:tiny",
  "file:/absolute/path.gguf",
  "hf:<org>/<repo>[:<quant or file>][@<revision>]",
  "https://host/path.gguf",
  "an alias of [models.aliases] in config.toml",
]);

/** Names that everybody may use without having configured them. */
export const builtinAliases: Readonly<Record<string, string>> = Object.freeze({
  tiny: "builtin:tiny",
  smollm2: "hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M",
  tinyllama: "hf:TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF:Q4_K_M",
});

const referenceCharsMax = 4_096;
const name = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/**
 * Returns the parsed reference. A bare name is looked up in `aliases` first.
 * Throws `INVALID_MODEL_REF` that lists the forms.
 */
export function parseModelRef(text: string, aliases: Readonly<Record<string, string>> = {}): ModelRef {
  const known = Object.hasOwn(aliases, text)
    ? aliases[text]
    : Object.hasOwn(builtinAliases, text)
    ? builtinAliases[text]
    : text;
  // deno-lint-ignore no-control-regex -- control characters are what it looks for
  if (known.length > referenceCharsMax || /[\u0000-\u001f\u007f]/.test(known)) {
    throw invalid("it has control characters or is too long");
  }
  if (known === "builtin:tiny") return { provider: "builtin", name: "tiny" };
  if (known.startsWith("file:")) return parseFile(known.slice("file:".length));
  if (/^https?:\/\//.test(known)) return parseUrl(known);
  if (known.startsWith("hf:")) return parseHub(known.slice("hf:".length));
  throw invalid(/^[\w.-]+$/.test(known) ? `"${known}" is no alias and has no provider` : "its form is unknown");
}

function invalid(why: string): RbeeError {
  return new RbeeError("INVALID_MODEL_REF", {
    message: `Cannot read the model reference: ${why}`,
    details: { accepted: modelRefForms },
  });
}

function parseFile(rest: string): ModelRef {
  const path = rest.startsWith("//") ? rest.slice(2) : rest;
  if (!path.startsWith("/")) throw invalid("the path after file: must be absolute");
  return { provider: "file", path };
}

function parseUrl(text: string): ModelRef {
  if (!URL.canParse(text)) throw invalid("the address cannot be parsed");
  const url = new URL(text);
  if (!url.pathname.endsWith(".gguf")) throw invalid("the address must end in .gguf");
  if (url.username || url.password) throw invalid("the address must not hold a password");
  return { provider: "http", url: url.href };
}

function parseHub(rest: string): ModelRef {
  const match = rest.match(/^([^/:@]+)\/([^/:@]+)(?::([^@]+))?(?:@([^@]+))?$/);
  if (!match || !name.test(match[1]) || !name.test(match[2])) throw invalid("after hf: comes <org>/<repo>");
  const [, org, repo, variant, revision] = match;
  for (const part of [variant, revision]) {
    if (part !== undefined && !/^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(part)) {
      throw invalid("its variant or revision has odd characters");
    }
    if (part?.split("/").includes("..")) throw invalid("its variant or revision leaves the repository");
  }
  return { provider: "hf", org, repo, ...(variant && { variant }), ...(revision && { revision }) };
}

/** Returns the canonical text of a reference: what two ways of writing the same model have in common. */
export function printModelRef(ref: ModelRef): string {
  switch (ref.provider) {
    case "builtin":
      return `builtin:${ref.name}`;
    case "file":
      return `file:${ref.path}`;
    case "http":
      return ref.url;
    case "hf":
      return `hf:${ref.org}/${ref.repo}${ref.variant ? `:${ref.variant}` : ""}${
        ref.revision ? `@${ref.revision}` : ""
      }`;
  }
}

/** Schema of a catalog row: the columns of S18. */
export const modelRecord = z.object({
  id: z.string(),
  provider: z.string(),
  reference: z.string(),
  local_path: z.string(),
  size_bytes: z.number().int().min(0),
  downloaded_at_unix: z.number().int(),
});

/** A model that a hive has on disk. */
export type ModelRecord = z.infer<typeof modelRecord>;
