/**
 * A loaded model behind the port: prompts to tokens, tokens to text, one generation per slot.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type {
  Generated,
  GenerateOptions,
  GenerationEnd,
  LoadedModel,
  ModelFacts,
  Prompt,
  Sampling,
  Tokens,
} from "./engine.ts";
import type { Batching } from "./llama_batching.ts";
import type { LlamaBinding, SamplerConfig } from "./llama_binding.ts";
import { type Pieces, TextStream } from "./llama_pieces.ts";
import type { PromptReader } from "./llama_prompt.ts";

/** The parts that `llama.ts` put together. */
export interface LlamaModelParts {
  readonly facts: ModelFacts;
  readonly binding: LlamaBinding;
  readonly batching: Batching;
  readonly pieces: Pieces;
  readonly prompts: PromptReader;
  /** End-of-generation tokens. */
  readonly endTokens: ReadonlySet<number>;
  /** Frees context, model and library, in that order. */
  readonly free: () => Promise<void>;
}

/** How many of the last tokens the repetition penalty looks at, the prompt's among them; llama.cpp's own default. */
const penaltyTokens = 64;

/** A model of llama.cpp. */
export class LlamaModel implements LoadedModel {
  readonly #parts: LlamaModelParts;
  readonly #banEnd: Pick<SamplerConfig, "tokenBiasKeys" | "tokenBiasValues">;
  #disposing?: Promise<void>;

  constructor(parts: LlamaModelParts) {
    this.#parts = parts;
    const tokenBiasKeys = Uint32Array.from(parts.endTokens);
    this.#banEnd = { tokenBiasKeys, tokenBiasValues: new Float32Array(tokenBiasKeys.length).fill(-Infinity) };
  }

  /** What is true of this model. */
  get facts(): ModelFacts {
    return this.#parts.facts;
  }

  /** Returns the tokens of a prompt; see `LoadedModel.prepare`. */
  prepare(prompt: Prompt): Tokens {
    return this.#parts.prompts.read(prompt);
  }

  /** Yields once per token and returns how it ended; see `LoadedModel.generate`. */
  async *generate(options: GenerateOptions): AsyncGenerator<Generated, GenerationEnd> {
    const { batching, pieces } = this.#parts;
    this.#check(options);
    const { slot, tokens, maxTokens, signal, reproducible = true } = options;
    const job = batching.start(slot, { tokens, maxTokens, signal, reproducible, sampler: this.#sampler(options) });
    try {
      const stream = new TextStream(pieces);
      // A token that ends inside of a character waits for the next one: only then is it known whether it is the last.
      let held: string | undefined;
      while (true) {
        const taken = await job.take();
        if (typeof taken !== "number") {
          if (held !== undefined && taken.reason !== "CANCELLED") yield { text: held + stream.end() };
          return taken;
        }
        if (held !== undefined) yield { text: held };
        const text = stream.next(taken);
        held = stream.isWhole ? undefined : text;
        if (held === undefined) yield { text };
      }
    } finally {
      await job.leave();
    }
  }

  /** Ends all generations and frees everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await (this.#disposing ??= this.#dispose());
  }

  async #dispose(): Promise<void> {
    await this.#parts.batching.close();
    await this.#parts.free();
  }

  #check({ tokens, maxTokens }: GenerateOptions): void {
    const { contextTokens } = this.facts;
    if (tokens.length >= contextTokens) {
      throw new RbeeError("CONTEXT_EXCEEDED", {
        message: `Cannot take the prompt: it has ${tokens.length} tokens, the context holds ${contextTokens}`,
        details: { prompt_tokens: tokens.length, context_tokens: contextTokens },
      });
    }
    if (tokens.length === 0) {
      throw new RbeeError("INVALID_REQUEST", { message: "Cannot generate: the prompt has no tokens" });
    }
    if (!(maxTokens >= 1)) throw new RangeError(`Cannot generate ${maxTokens} tokens: at least 1`);
  }

  #sampler({ sampling, tokens, ignoreEos }: GenerateOptions) {
    const sampler = this.#parts.binding.createSampler();
    sampler.applyConfig({ ...samplerConfig(sampling, tokens), ...(ignoreEos ? this.#banEnd : {}) });
    return sampler;
  }
}

/** Returns the addon's words for a sampling; what is off stays out of the chain and costs nothing per token. */
export function samplerConfig(sampling: Sampling, tokens: Tokens): SamplerConfig {
  const { temperature, topP, topK, minP, repetitionPenalty, seed } = sampling;
  const config: SamplerConfig = { seed: samplerSeed(seed) };
  if (temperature > 0) {
    config.temperature = temperature;
    if (topP < 1) config.topP = topP;
    if (topK > 0) config.topK = topK;
    if (minP > 0) config.minP = minP;
  }
  if (repetitionPenalty !== 1 && repetitionPenalty > 0) {
    config.repeatPenalty = repetitionPenalty;
    config.repeatPenaltyMaxTokens = penaltyTokens;
    config.repeatPenaltyTokens = Uint32Array.from(tokens.slice(-penaltyTokens));
  }
  return config;
}

/**
 * Returns the 32 bits that llama.cpp takes for a seed of up to 53 bits; a seed below 2^32 stays itself. The largest
 * value means "a random one" to llama.cpp, so it becomes its neighbour.
 */
export function samplerSeed(seed: number): number {
  const high = Math.floor(seed / 2 ** 32);
  const folded = (seed ^ Math.imul(high, 0x9e3779b1)) >>> 0;
  return folded === 0xffff_ffff ? 0xffff_fffe : folded;
}
