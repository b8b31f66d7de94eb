/**
 * How models are told of. Pure.
 *
 * @module
 */
import { type KnownModel, memoryNeed } from "../protocol/memory_need.ts";
import type { ModelRecord, ModelVariant } from "../protocol/model.ts";
import { tableLines } from "./table.ts";

/** A model of a machine, as the queen lists it. */
export type ListedModel = ModelRecord & { node: string; ref: string };

const megabyte = 1024 ** 2;

/** Returns a number of bytes for a person: `98.1 MB`, `4.1 GB`. */
export function sizeText(bytes: number): string {
  return bytes < 1024 * megabyte ? `${(bytes / megabyte).toFixed(1)} MB` : `${(bytes / 1024 ** 3).toFixed(1)} GB`;
}

/** Returns models as a table; `time` gives a time in words. */
export function modelLines(models: readonly ListedModel[], time: (unix: number) => string): string[] {
  return tableLines(
    ["NAME", "REFERENCE", "SIZE", "QUANT", "NODE", "LAST USED"],
    models.map((one) => [
      one.id,
      one.ref + (one.damaged ? " (damaged)" : ""),
      sizeText(one.size_bytes),
      one.quantization ?? "-",
      one.node,
      one.last_used_unix === null ? "never" : time(one.last_used_unix),
    ]),
  );
}

/** Contexts, in tokens, for which it is told what a model takes. */
const usualContexts = [4_096, 16_384, 65_536];

/** Returns what a worker with one slot on a CPU takes with usual contexts, and with the largest one. */
export function memoryText(model: KnownModel): string {
  const largest = model.shape?.context_length ?? 0;
  const contexts = largest > 0 ? [...usualContexts.filter((ctx) => ctx < largest), largest] : usualContexts.slice(0, 1);
  const need = (ctx: number) => sizeText(memoryNeed(model, { backend: "cpu", slots: 1, ctx }).totalBytes);
  return contexts.map((ctx) => `${need(ctx)} with ${ctx} tokens of context`).join(", ");
}

/** Returns everything of one model, a line for each fact; `known` is what its header tells. */
export function showLines(model: ListedModel, time: (unix: number) => string, known?: KnownModel): string[] {
  const facts: [string, string | null][] = [
    ["Reference", model.ref],
    ["Node", model.node],
    ["Size", `${sizeText(model.size_bytes)} (${model.size_bytes} bytes)`],
    ["Quantization", model.quantization],
    ["Architecture", model.architecture],
    ["Context", model.context_length === null ? null : `${model.context_length} tokens`],
    ...(known ? [["Memory", memoryText(known)] as [string, string]] : []),
    ["Digest", model.digest],
    ["Path", model.local_path],
    ["Came", time(model.downloaded_at_unix)],
    ["Last used", model.last_used_unix === null ? "never" : time(model.last_used_unix)],
    ["Used", model.use_count === 1 ? "once" : `${model.use_count} times`],
    ...(model.damaged ? [["State", "damaged: rbee models pull fetches it anew"] as [string, string]] : []),
  ];
  return [model.id, ...facts.map(([name, value]) => `  ${name}: ${value ?? "not known"}`)];
}

/** Returns the files of a repository that could be meant, as a table. */
export function variantLines(variants: readonly ModelVariant[]): string[] {
  const fits = ({ fits }: ModelVariant) => fits === null ? "-" : fits ? "yes" : "no";
  return tableLines(
    ["NAME", "QUANT", "SIZE", "FITS"],
    variants.map((one) => [one.name, one.quantization ?? "-", sizeText(one.size_bytes), fits(one)]),
  );
}

/** What most people take, and then what comes nearest to it. */
const favourites = ["Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0"];

/** Returns the variant that is proposed: one that fits, of a quantization that most people take. */
export function proposed(variants: readonly ModelVariant[]): ModelVariant | undefined {
  const fit = variants.filter(({ fits }) => fits !== false);
  const found = favourites.map((quant) => fit.find(({ quantization }) => quantization === quant)).find(Boolean);
  return found ?? fit.toSorted((a, b) => b.size_bytes - a.size_bytes)[0] ?? variants[0];
}
