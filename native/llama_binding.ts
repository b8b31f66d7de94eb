/**
 * The part of node-llama-cpp's addon that the engine drives directly, as types of our own, and the one door to it.
 *
 * Why not the library's own sequences: they decode in the order of arrival, in batches that split and never merge
 * again, sample through four promises and two locks per token, cannot be stopped inside a prompt, and cannot suppress
 * end-of-generation tokens. Batches that are full and in slot order need the calls below. The library's version is
 * pinned, and `openBinding` refuses at load when a name is not there.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";

/** One llama.cpp context: the KV cache of all slots, and the batch that is being filled. */
export interface ContextBinding {
  /** Begins a batch of exactly `tokens` tokens. */
  initBatch(tokens: number): void;
  /** Adds tokens of one sequence; returns where in the batch the logits of the wanted ones will stand. */
  addToBatch(sequence: number, position: number, tokens: Uint32Array, wantLogits: Uint32Array): Uint32Array;
  /** Computes the batch on another thread. */
  decodeBatch(): Promise<void>;
  /** Chooses a token on another thread and tells the sampler; -1 when there is none. */
  sampleToken(logitIndex: number, sampler: SamplerBinding): Promise<number>;
  /** Forgets a whole sequence. */
  disposeSequence(sequence: number): void;
  /** Forgets positions from `start` to before `end`; false when this kind of memory cannot. */
  removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean;
  /** Returns the first position that is still there; above 0 only with sliding windows. */
  getSequenceKvCacheMinPosition(sequence: number): number;
  setThreads(threads: number): void;
}

/** One chain of samplers, with the state of one generation. */
export interface SamplerBinding {
  applyConfig(config: SamplerConfig): void;
  dispose(): void;
}

/** What is absent is not in the chain; without a temperature the chain is greedy. */
export interface SamplerConfig {
  temperature?: number;
  topP?: number;
  topK?: number;
  minP?: number;
  seed?: number;
  repeatPenalty?: number;
  repeatPenaltyMaxTokens?: number;
  repeatPenaltyTokens?: Uint32Array;
  tokenBiasKeys?: Uint32Array;
  tokenBiasValues?: Float32Array;
}

/** The vocabulary of a model. */
export interface ModelBinding {
  /** `controlTokens`: whether the text of a control token becomes that token. */
  tokenize(text: string, controlTokens: boolean): Uint32Array;
  detokenize(tokens: Uint32Array, controlTokens: boolean): string;
  /** Returns the text of the vocabulary, in its own alphabet. */
  getTokenString(token: number): string;
  /** Returns the bits of `llama_token_attr`. */
  getTokenAttributes(token: number): number;
  isEogToken(token: number): boolean;
}

/** Renders one template of llama.cpp's own Jinja. */
export interface TemplateBinding {
  render(variables: Record<string, unknown>): string;
}

/** Everything that the engine calls without the library between. */
export interface LlamaBinding {
  readonly context: ContextBinding;
  readonly model: ModelBinding;
  createSampler(): SamplerBinding;
  createTemplate(template: string): TemplateBinding;
}

/** The library's objects; what is wanted of them is not in their public types. */
export interface LlamaObjects {
  readonly llama: object;
  readonly model: object;
  readonly context: object;
}

interface Addon {
  AddonSampler: new (model: ModelBinding) => SamplerBinding;
  AddonJinjaRenderer: new (template: string) => TemplateBinding;
}

const contextCalls: readonly (keyof ContextBinding)[] = [
  "initBatch",
  "addToBatch",
  "decodeBatch",
  "sampleToken",
  "disposeSequence",
  "removeTokenCellsFromSequence",
  "getSequenceKvCacheMinPosition",
  "setThreads",
];
const modelCalls: readonly (keyof ModelBinding)[] = [
  "tokenize",
  "detokenize",
  "getTokenString",
  "getTokenAttributes",
  "isEogToken",
];

/** Returns the addon behind the library's objects. Throws `INTERNAL_ERROR` when another version of it is installed. */
export function openBinding({ llama, model, context }: LlamaObjects): LlamaBinding {
  const addon = inner<Addon>(llama, "_bindings", ["AddonSampler", "AddonJinjaRenderer"]);
  const modelBinding = inner<ModelBinding>(model, "_model", modelCalls);
  return {
    context: inner<ContextBinding>(context, "_ctx", contextCalls),
    model: modelBinding,
    createSampler: () => new addon.AddonSampler(modelBinding),
    createTemplate: (template) => new addon.AddonJinjaRenderer(template),
  };
}

function inner<T extends object>(outer: object, name: string, calls: readonly (keyof T)[]): T {
  const found: T | undefined = Reflect.get(outer, name);
  const missing = calls.filter((call) => typeof found?.[call] !== "function");
  if (found && missing.length === 0) return found;
  throw new RbeeError("INTERNAL_ERROR", {
    message: `Cannot drive this node-llama-cpp: ${name} lacks ${missing.join(", ")}`,
  });
}
