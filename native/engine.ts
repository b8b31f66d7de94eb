/**
 * The port that the worker drives: load one model, turn a prompt into tokens, generate in one of its slots.
 * Nothing of any library's shape passes through it, so that a second engine (llama.cpp by FFI) can stand behind it.
 *
 * @module
 */
import type { ChatMessage } from "../protocol/inference.ts";
import type { Backend } from "../protocol/node.ts";

export type { ChatMessage } from "../protocol/inference.ts";
export type { Backend } from "../protocol/node.ts";

/** How to load a model. */
export interface LoadOptions {
  /** A GGUF file. */
  readonly modelPath: string;
  readonly backend: Backend;
  /** Number of the device within its backend; the hive narrows what is visible, so this is 0 in most cases. */
  readonly device: number;
  /** How many generations can run at once, each with a context of its own. At least 1. */
  readonly slots: number;
  /** Caps the context of each slot; the model's trained context otherwise. */
  readonly ctxTokensMax?: number;
  /** Layers that go to the GPU, the output counting as one more; absent: all that fit. Of no meaning on a CPU. */
  readonly gpuLayers?: number;
  /** Absent: measured at load. */
  readonly threads?: number;
  /** Ends the load; `load` then throws the signal's reason. */
  readonly signal: AbortSignal;
  /** Called first with 0 layers, last with all of them, and at most 20 times a second between. */
  readonly onProgress: (progress: LoadProgress) => void;
  /** Called with each warning and error line of the engine's own log, during the load and after. */
  readonly onLog?: (line: string) => void;
}

/** How far a load has come. */
export interface LoadProgress {
  readonly layersLoaded: number;
  readonly layersTotal: number;
  /** Megabytes (1024 × 1024) of weights loaded so far, wherever the backend keeps them. */
  readonly vramMb: number;
}

/** What the load measured to choose its threads. */
export interface Calibration {
  /** The number that was chosen. */
  readonly threads: number;
  /** Decoded tokens per second for each number of threads that was tried; the keys are decimal numbers. */
  readonly tokensPerSecond: Readonly<Record<string, number>>;
}

/** What is true of a loaded model. */
export interface ModelFacts {
  /** How the file is loaded; `QuantizedLlama` for a GGUF file (S19). */
  readonly variant: string;
  /** The file's own word: `llama`, `qwen2`, … */
  readonly architecture: string;
  /** `Q8_0`, `Q4_K_M`, `F16`, … */
  readonly quantization: string;
  readonly vocabSize: number;
  readonly eosTokenId: number;
  /** Per slot, in force: prompt and answer together. */
  readonly contextTokens: number;
  readonly contextTokensTrained: number;
  readonly layersTotal: number;
  /** Size of the file. */
  readonly sizeBytes: number;
  /** Weights and KV cache of all slots. */
  readonly memoryBytes: number;
  readonly backend: Backend;
  readonly gpuName?: string;
  readonly threads: number;
  /** Only when this load measured. */
  readonly calibration?: Calibration;
  readonly hasChatTemplate: boolean;
}

/**
 * What to answer: a text, or a conversation. `raw: false` makes the text one user message in the model's own chat
 * template; a model without a template takes it as it is.
 */
export type Prompt = { readonly prompt: string; readonly raw: boolean } | { readonly messages: readonly ChatMessage[] };

/** A prompt or text as the model's own numbers. */
export type Tokens = readonly number[];

/** How the next token is chosen. */
export interface Sampling {
  /** 0 means greedy. */
  readonly temperature: number;
  /** 1 means off. */
  readonly topP: number;
  /** 0 means off. */
  readonly topK: number;
  /** 0 means off. */
  readonly minP: number;
  /** 1 means off, and so does 0. */
  readonly repetitionPenalty: number;
  /** The same seed, model, prompt and sampling give the same text. Any non-negative safe integer. */
  readonly seed: number;
}

/** One generation. */
export interface GenerateOptions {
  /** From 0; a slot runs one generation at a time. */
  readonly slot: number;
  /** What `prepare` returned. */
  readonly tokens: Tokens;
  readonly sampling: Sampling;
  readonly maxTokens: number;
  /** End-of-generation tokens are never chosen; only `maxTokens` or the context ends the text. */
  readonly ignoreEos: boolean;
  /** Stops within one decode step; the generation then returns with reason `CANCELLED` and does not throw. */
  readonly signal: AbortSignal;
  /**
   * Of what the slot still holds, only use what a fresh computation of the prompt would give bit for bit. Then the
   * same seed gives the same text whatever the slot did before, but an answer that comes back inside of the next
   * prompt is computed again: one token at a time rounds differently than many at once. Default true; `false` suits a
   * conversation without a seed.
   */
  readonly reproducible?: boolean;
}

/** What one generated token adds to the text. */
export interface Generated {
  /**
   * Empty while a character is not yet whole, and for control tokens. Joined, the texts are the answer; no UTF-8
   * character is ever cut, and bytes still pending at the end come as U+FFFD with the last token.
   */
  readonly text: string;
}

/** How a generation ended. */
export interface GenerationEnd {
  /** `MAX_TOKENS` also when the slot's context is full. */
  readonly reason: "EOS" | "MAX_TOKENS" | "CANCELLED";
  /** How many of the prompt's tokens the slot still held and were not computed again. */
  readonly promptTokensCached: number;
  /** From the start to the first token chosen, milliseconds. */
  readonly prefillMs: number;
  /** From the first token to the end, milliseconds. */
  readonly decodeMs: number;
}

/** A model in memory. Disposing it ends all generations and frees what it held. */
export interface LoadedModel extends AsyncDisposable {
  readonly facts: ModelFacts;
  /**
   * Returns the tokens of a prompt. Text of users never becomes a control token, only the template's own marks do.
   * Throws `INVALID_REQUEST` when the model's template refuses the conversation.
   */
  prepare(prompt: Prompt): Tokens;
  /**
   * Yields once per generated token, then returns how it ended; a token that ends in the middle of a character comes
   * together with the next one. Runs at most a few tokens ahead of its reader. Throws `CONTEXT_EXCEEDED` when the
   * prompt leaves no room for an answer, `INFERENCE_FAILED` when llama.cpp fails, and `INTERNAL_ERROR` when the slot is
   * busy or does not exist. The slot is free again when the generator has returned or thrown.
   */
  generate(options: GenerateOptions): AsyncGenerator<Generated, GenerationEnd>;
}

/** Loads models. */
export interface Engine {
  /**
   * Returns the model in memory, ready to generate. Throws `MODEL_NOT_FOUND`, `MODEL_LOAD_FAILED` (details.llama has
   * the engine's own lines), `MODEL_INCOMPATIBLE`, `INSUFFICIENT_RAM`, `INSUFFICIENT_VRAM` or `BACKEND_UNAVAILABLE`, or
   * the signal's reason.
   */
  load(options: LoadOptions): Promise<LoadedModel>;
}
