/**
 * An engine for tests: it says what the test wrote down, at the speed that the test wants. A token of a prompt is one
 * character. Behaves as `native/engine.ts` promises, so that what drives it is the worker's real code.
 *
 * @module
 */
import type {
  Calibration,
  Engine,
  Generated,
  GenerateOptions,
  GenerationEnd,
  LoadedModel,
  LoadOptions,
  Prompt,
  Tokens,
} from "../../native/engine.ts";
import { RbeeError } from "../../protocol/error.ts";
import { sleep } from "../../runtime/call.ts";

/** What the engine does. */
export interface Script {
  /** The pieces of every answer; `endless` repeats them. */
  pieces?: readonly string[];
  endless?: boolean;
  /** Before each token; 0 yields to the event loop and nothing more. */
  tokenMs?: number;
  prefillMs?: number;
  layers?: number;
  layerMs?: number;
  ctx?: number;
  /** What `load` throws. */
  loadError?: RbeeError;
  /** What `generate` throws after its pieces. */
  generateError?: Error;
  calibration?: Calibration;
  /** `prepare` refuses a longer prompt without counting its tokens, as an engine may. */
  promptCharsMax?: number;
  /** The model's template refuses conversations. */
  refusesMessages?: boolean;
}

/** An engine with a record of what it was asked. */
export class ScriptedEngine implements Engine {
  readonly script: Script;
  readonly loads: LoadOptions[] = [];
  readonly generations: GenerateOptions[] = [];
  /** How many generations run now. */
  running = 0;
  disposed = false;

  constructor(script: Script = {}) {
    this.script = script;
  }

  /** Loads layer by layer. */
  async load(options: LoadOptions): Promise<LoadedModel> {
    this.loads.push(options);
    const layersTotal = this.script.layers ?? 4;
    for (let layersLoaded = 0; layersLoaded <= layersTotal; layersLoaded++) {
      options.onProgress({ layersLoaded, layersTotal, vramMb: layersLoaded * 10 });
      await sleep(this.script.layerMs ?? 0, options.signal);
      if (this.script.loadError && layersLoaded >= layersTotal / 2) throw this.script.loadError;
    }
    return this.#model(options);
  }

  #model(options: LoadOptions): LoadedModel {
    return {
      facts: {
        variant: "QuantizedLlama",
        architecture: "llama",
        quantization: "Q8_0",
        vocabSize: 32_000,
        eosTokenId: 2,
        contextTokens: Math.min(this.script.ctx ?? 1_000, options.ctxTokensMax ?? Infinity),
        contextTokensTrained: 2_048,
        layersTotal: this.script.layers ?? 4,
        sizeBytes: 1_000_000,
        memoryBytes: 2 * 1024 * 1024,
        backend: options.backend,
        threads: options.threads ?? 1,
        calibration: this.script.calibration,
        hasChatTemplate: true,
      },
      prepare: (prompt) => this.#prepare(prompt),
      generate: (what) => this.#generate(what),
      [Symbol.asyncDispose]: () => {
        this.disposed = true;
        return Promise.resolve();
      },
    };
  }

  #prepare(prompt: Prompt): Tokens {
    if ("prompt" in prompt && prompt.prompt.length > (this.script.promptCharsMax ?? Infinity)) {
      throw new RbeeError("CONTEXT_EXCEEDED", {
        message: "Cannot take the prompt: it has at least 200 tokens",
        details: { prompt_tokens_min: 200 },
      });
    }
    if ("prompt" in prompt) return [...prompt.prompt].map((c) => c.codePointAt(0)!);
    if (this.script.refusesMessages) {
      throw new RbeeError("INVALID_REQUEST", { message: "Cannot use this conversation" });
    }
    return [...prompt.messages.map((m) => m.content).join("\n")].map((c) => c.codePointAt(0)!);
  }

  async *#generate(options: GenerateOptions): AsyncGenerator<Generated, GenerationEnd> {
    this.generations.push(options);
    this.running++;
    const startedMs = performance.now();
    const end = (reason: GenerationEnd["reason"]) => {
      const prefillMs = this.script.prefillMs ?? 0;
      return { reason, promptTokensCached: 0, prefillMs, decodeMs: performance.now() - startedMs - prefillMs };
    };
    const wait = (ms: number) => sleep(ms, options.signal).then(() => true, () => false);
    try {
      if (!await wait(this.script.prefillMs ?? 0)) return end("CANCELLED");
      let count = 0;
      for (;;) {
        for (const text of this.script.pieces ?? ["Once", " upon", " a", " time"]) {
          if (count === options.maxTokens) return end("MAX_TOKENS");
          if (!await wait(this.script.tokenMs ?? 0)) return end("CANCELLED");
          count++;
          yield { text };
        }
        if (this.script.generateError) throw this.script.generateError;
        if (!this.script.endless) return end("EOS");
      }
    } finally {
      this.running--;
    }
  }
}
