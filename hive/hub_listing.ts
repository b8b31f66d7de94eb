/**
 * Which model of a repository is meant. Pure: the list of its files and what a person wrote go in; one model's files, or
 * an error that lists what there is, comes out.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { ModelVariant } from "../protocol/model.ts";

/** A file as a hub lists it. */
export interface ListedFile {
  readonly path: string;
  readonly size: number;
  /** 64 hex digits; null where the hub does not tell. */
  readonly sha256: string | null;
}

/** One model of a repository: a file, or all files of a split one in order. */
export interface Candidate {
  /** What comes after the repository and a colon. */
  readonly name: string;
  readonly quantization: string | null;
  readonly sizeBytes: number;
  readonly files: readonly ListedFile[];
}

const quantLabel = /(?:^|[-_.])((?:UD-)?(?:I?Q\d+(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?))(?=[-.]|$)/gi;
const splitName = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;
/** Beside models lie projectors for images and data of quantisation: nothing that can be loaded by itself. */
const noModel = /(^|[/._-])(mmproj|imatrix)/i;

/** Returns the models among a repository's files. Throws `INVALID_RESPONSE` for names that lead out of a folder. */
export function candidatesOf(files: readonly ListedFile[]): Candidate[] {
  const usable = files.filter(({ path }) => /\.gguf$/i.test(path) && !noModel.test(path));
  for (const { path } of usable) checkFilePath(path);
  const groups = new Map<string, ListedFile[]>();
  for (const file of usable) {
    const split = file.path.match(splitName);
    const key = split ? `${split[1]}-of-${split[3]}` : file.path;
    groups.set(key, [...groups.get(key) ?? [], file]);
  }
  const whole = [...groups.values()].map(inOrder).filter((group) => group !== undefined);
  const labels = whole.map((group) => quantizationOf(group[0].path));
  return whole.map((group, at) => {
    const quantization = labels[at];
    const isUnique = quantization !== null && labels.filter((label) => label === quantization).length === 1;
    return {
      name: isUnique ? quantization : group[0].path,
      quantization,
      sizeBytes: group.reduce((sum, { size }) => sum + size, 0),
      files: group,
    };
  });
}

/** Returns the parts of a split model in order; undefined when one is missing or there are too many. */
function inOrder(group: ListedFile[]): ListedFile[] | undefined {
  const split = group[0].path.match(splitName);
  if (!split) return group;
  const count = Number(split[3]);
  const byNumber = new Map(group.map((file) => [Number(file.path.match(splitName)?.[2]), file]));
  if (count < 1 || count > limits.splitFilesMax) return undefined;
  const parts = Array.from({ length: count }, (_none, at) => byNumber.get(at + 1));
  return parts.every((part) => part !== undefined) ? parts : undefined;
}

/** Returns the name of a quantisation in a file's name, or else in that of its folder: `Q4_K_M`. */
export function quantizationOf(path: string): string | null {
  const [name = "", folder = ""] = path.replace(splitName, "$1.gguf").replace(/\.gguf$/i, "").split("/").reverse();
  for (const text of [name, folder]) {
    const label = [...text.matchAll(quantLabel)].at(-1)?.[1];
    if (label) return label.toUpperCase();
  }
  return null;
}

/** Returns nothing for a path that stays inside its folder. Throws `INVALID_RESPONSE` otherwise. */
export function checkFilePath(path: string): void {
  const bytes = (text: string) => new TextEncoder().encode(text).length;
  // deno-lint-ignore no-control-regex -- control characters are what it looks for
  const isOdd = /[\u0000-\u001f\u007f\\]/.test(path) || !path.isWellFormed() || path.length > limits.filePathCharsMax;
  const parts = path.split("/");
  const isFine = (part: string) =>
    part !== "" && part !== "." && part !== ".." && bytes(part) <= limits.fileNameBytesMax;
  if (!isOdd && parts.every(isFine)) return;
  // deno-lint-ignore no-control-regex -- as above
  const shown = path.slice(0, 80).replace(/[\u0000-\u001f\u007f]/g, "?");
  throw new RbeeError("INVALID_RESPONSE", {
    message: `Cannot use the repository: it has a file with a name that is not safe: ${JSON.stringify(shown)}`,
    hint: "Use another repository",
  });
}

/** Where a choice is made. */
export interface Choice {
  /** `hf:org/repo`, for hints. */
  readonly repo: string;
  readonly revision?: string;
  readonly variant?: string;
  /** The largest memory that a model could be loaded into; undefined when nobody knows. */
  readonly memoryBytes?: number;
}

/**
 * Returns the one model that is meant. Throws `MODEL_AMBIGUOUS` or `MODEL_NOT_FOUND`, both with what there is in
 * `details.variants`.
 */
export function choose(candidates: readonly Candidate[], choice: Choice): Candidate {
  const { repo, variant } = choice;
  if (candidates.length === 0) {
    throw new RbeeError("MODEL_NOT_FOUND", {
      message: `Cannot find a model: ${repo} has no GGUF file`,
      details: { repository: repo, variants: [] },
      hint: "Look for a repository whose name ends in -GGUF",
    });
  }
  const meant = variant === undefined ? candidates : matching(candidates, variant);
  if (meant.length === 1) return meant[0];
  const listed = (meant.length === 0 ? candidates : meant).map((one) => variantOf(one, choice.memoryBytes));
  const best = proposal(listed);
  const at = choice.revision === undefined ? "" : `@${choice.revision}`;
  const hint = `Name one of them, for example ${repo}:${best.name}${at}${
    best.fits === false ? " (none of them fits into this machine's memory)" : ""
  }`;
  const details = { repository: `${repo}${at}`, variants: listed };
  if (meant.length === 0) {
    const message = `Cannot find ${variant} in ${repo}: it has ${names(listed)}`;
    throw new RbeeError("MODEL_NOT_FOUND", { message, details, hint });
  }
  const message = variant === undefined
    ? `Cannot tell which file of ${repo} is meant: it has ${names(listed)}`
    : `Cannot tell which file of ${repo} is meant by ${variant}: it has ${names(listed)}`;
  throw new RbeeError("MODEL_AMBIGUOUS", { message, details, hint });
}

const namesShown = 12;

function names(variants: readonly ModelVariant[]): string {
  const shown = variants.slice(0, namesShown).map(({ name }) => name).join(", ");
  return variants.length > namesShown ? `${shown} and ${variants.length - namesShown} more` : shown;
}

/** By whole path, then file name, then quantisation, then folder, then a piece of the name; the first that finds some. */
function matching(candidates: readonly Candidate[], variant: string): Candidate[] {
  const wanted = variant.toLowerCase().replace(/\.gguf$/, "");
  const paths = ({ files }: Candidate) => {
    const path = files[0].path.toLowerCase().replace(/\.gguf$/, "");
    return [path, path.replace(/-\d{5}-of-\d{5}$/, "")];
  };
  const last = (path: string) => path.split("/").at(-1) ?? path;
  const inPieces = (path: string) => `.${path}.`.replace(/[/_-]/g, ".").includes(`.${wanted.replace(/[/_-]/g, ".")}.`);
  const rules: ((one: Candidate) => boolean)[] = [
    (one) => one.files.some(({ path }) => path === variant),
    (one) => paths(one).includes(wanted),
    (one) => paths(one).map(last).includes(wanted),
    (one) => one.quantization?.toLowerCase() === wanted,
    (one) => paths(one)[0].split("/").slice(0, -1).join("/") === wanted,
    (one) => paths(one).some(inPieces),
  ];
  for (const rule of rules) {
    const found = candidates.filter(rule);
    if (found.length > 0) return found;
  }
  return [];
}

function variantOf(one: Candidate, memoryBytes: number | undefined): ModelVariant {
  const fits = memoryBytes ? one.sizeBytes * limits.memoryFactor <= memoryBytes : null;
  return { name: one.name, quantization: one.quantization, size_bytes: one.sizeBytes, fits };
}

/** Q4_K_M is what most people want; else the largest that fits, and when none does the smallest. */
function proposal(variants: readonly ModelVariant[]): ModelVariant {
  const bySize = [...variants].sort((a, b) => b.size_bytes - a.size_bytes);
  const usual = variants.find(({ quantization, fits }) => quantization === "Q4_K_M" && fits !== false);
  return usual ?? bySize.find(({ fits }) => fits !== false) ?? bySize[bySize.length - 1];
}
