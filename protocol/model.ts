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
  | { provider: "hf"; org: string; repo: string; variant?: string; revision?: string }
  | { provider: "import"; name: string; variant?: string };

/** The forms that are understood, for messages and help. */
export const modelRefForms: readonly string[] = Object.freeze([
  "builtin:tiny",
  "file:/absolute/path.gguf",
  "hf:<org>/<repo>[:<quant or file>][@<revision>]",
  "https://host/path.gguf",
  "import:<name>[:<tag>], as `rbee models list` shows it",
  "an alias of [models.aliases] in config.toml",
]);

/** Names that everybody may use without having configured them. */
export const builtinAliases: Readonly<Record<string, string>> = Object.freeze({
  tiny: "builtin:tiny",
  smollm2: "hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M",
  tinyllama: "hf:TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF:Q4_K_M",
});

const referenceCharsMax = 4_096;
/** `ollama/<host>/<namespace>/<name>`, and some more. */
const importPartsMax = 8;
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
  if (known.startsWith("import:")) return parseImport(known.slice("import:".length));
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

/** Parts of a name become folders of the models folder: none of them begins with a dot. */
function parseImport(rest: string): ModelRef {
  const [path, variant, ...more] = rest.split(":");
  const parts = path.split("/");
  const isGood = more.length === 0 && parts.length <= importPartsMax && parts.every((part) => name.test(part)) &&
    (variant === undefined || name.test(variant));
  if (!isGood) throw invalid("after import: comes the name that it was given, and maybe :<tag>");
  return { provider: "import", name: path, ...(variant && { variant }) };
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
    case "import":
      return `import:${ref.name}${ref.variant ? `:${ref.variant}` : ""}`;
  }
}

/** Returns the canonical reference of a catalog row. */
export function refOfRecord({ provider, reference, variant }: ModelName): string {
  if (provider === "http") return reference;
  const text = variant ?? "";
  return `${provider}:${reference}${text === "" || text.startsWith("@") ? text : `:${text}`}`;
}

/** What a catalog row is unique by. */
export type ModelName = Pick<z.input<typeof modelRecord>, "provider" | "reference" | "variant">;

/**
 * Schema of what a model file's header tells of its size in memory: all that `memoryNeed` wants to know. Bytes are those
 * of the file.
 */
export const modelShape = z.object({
  architecture: z.string(),
  layers: z.number().int().min(0),
  /** What it was trained for, in tokens; 0 when the file does not say. */
  context_length: z.number().int().min(0),
  vocab_size: z.number().int().min(0),
  embedding_length: z.number().int().min(0),
  feed_forward_length: z.number().int().min(0),
  /** Of the layer with the most attention heads; 0 when the file does not say. */
  head_count: z.number().int().min(0),
  /** Keys and values of one token in all layers together, in elements (not bytes). */
  kv_elements_per_token: z.number().min(0),
  /** Weights of the repeated layers (`blk.*`), and all others: embeddings, output. */
  layer_bytes: z.number().min(0),
  other_bytes: z.number().min(0),
});

/** What a model's header tells of its size in memory. */
export type ModelShape = z.infer<typeof modelShape>;

/** Schema of what is known of a model before it is loaded, on disk or at a hub. */
export const modelFacts = z.object({
  /** Canonical reference. */
  ref: z.string(),
  /** All files of the weights together. */
  size_bytes: z.number().int().min(0),
  /** `sha256:<hex>`; of a split model the digest of its files' digests, one a line. Null when nobody told. */
  digest: z.string().nullable(),
  quantization: z.string().nullable(),
  /** Null when the header could not be read before the download. */
  shape: modelShape.nullable(),
});

/** What is known of a model before it is loaded. */
export type ModelFacts = z.infer<typeof modelFacts>;

/** Schema of a catalog row: the columns of S18, and what the header and the hub told. */
export const modelRecord = z.object({
  id: z.string(),
  /** `hf`, `http`, `file`, `import` or `builtin`. */
  provider: z.string(),
  /** Without provider and variant: `TheBloke/TinyLlama-1.1B-Chat-v1.0-GGUF`. */
  reference: z.string(),
  /** The first file of a split model. */
  local_path: z.string(),
  size_bytes: z.number().int().min(0),
  downloaded_at_unix: z.number().int(),
  /** Quant or file name, and `@revision`, as in the canonical reference; empty when it has none. */
  variant: z.string().default(""),
  digest: z.string().nullable().default(null),
  quantization: z.string().nullable().default(null),
  architecture: z.string().nullable().default(null),
  context_length: z.number().int().nullable().default(null),
  last_used_unix: z.number().int().nullable().default(null),
  use_count: z.number().int().default(0),
  /** Its bytes were found to be others than those that the hub or the import told: it is not used. */
  damaged: z.boolean().default(false),
  /** In their order; `path` is that in the hub's repository, else a name. What another machine is told to fetch it. */
  files: z.array(z.object({
    path: z.string(),
    size_bytes: z.number().int().min(0),
    digest: z.string().nullable(),
  })).optional(),
});

/** A model that a hive has on disk. */
export type ModelRecord = z.infer<typeof modelRecord>;

/** Schema of one file (or set of split files) of a repository that could be meant. */
export const modelVariant = z.object({
  /** What comes after the repository's name and a colon. */
  name: z.string(),
  quantization: z.string().nullable(),
  size_bytes: z.number().int().min(0),
  /** Whether the machine that was asked could load it by the rule of S23; null when nobody can say. */
  fits: z.boolean().nullable(),
});

/** One file of a repository that could be meant. */
export type ModelVariant = z.infer<typeof modelVariant>;
