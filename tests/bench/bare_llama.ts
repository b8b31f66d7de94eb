/**
 * node-llama-cpp as its own documentation uses it, with nothing of ours between: the measure for our engine.
 *
 * @module
 */

/** The little of node-llama-cpp that is used here; only `native/llama.ts` may import the library by name. */
interface Library {
  getLlama(options: Record<string, unknown>): Promise<{
    loadModel(options: { modelPath: string }): Promise<Model>;
    dispose(): Promise<void>;
  }>;
}

interface Model {
  tokenize(text: string, specialTokens?: boolean): number[];
  detokenize(tokens: number[], specialTokens?: boolean, lastTokens?: number[]): string;
  createContext(options: Record<string, unknown>): Promise<{ getSequence(): Sequence }>;
}

interface Sequence {
  evaluate(tokens: number[], options: Record<string, unknown>): AsyncGenerator<number>;
  clearHistory(): Promise<void>;
}

const library = new URL("../../native/node_modules/node-llama-cpp/dist/index.js", import.meta.url).href;

/** How to load. */
export interface BareOptions {
  modelPath: string;
  slots: number;
  threads: number;
  ctxTokens: number;
}

/** A model in the bare library. */
export class Bare implements AsyncDisposable {
  readonly #model: Model;
  readonly #sequences: Sequence[];
  readonly #dispose: () => Promise<void>;

  private constructor(model: Model, sequences: Sequence[], dispose: () => Promise<void>) {
    this.#model = model;
    this.#sequences = sequences;
    this.#dispose = dispose;
  }

  /** Loads a model with one sequence for each slot. */
  static async load(options: BareOptions): Promise<Bare> {
    const { getLlama } = await import(library) as Library;
    const quiet = { gpu: false, build: "never", skipDownload: true, progressLogs: false, logger() {} };
    const llama = await getLlama(quiet);
    const model = await llama.loadModel({ modelPath: options.modelPath });
    const context = await model.createContext({
      sequences: options.slots,
      contextSize: options.ctxTokens,
      threads: { ideal: options.threads, min: options.threads },
    });
    const sequences = Array.from({ length: options.slots }, () => context.getSequence());
    return new Bare(model, sequences, () => llama.dispose());
  }

  /** Generates greedily in all slots at once and returns tokens per second of all together. */
  async generate(prompt: string, maxTokens: number): Promise<number> {
    for (const sequence of this.#sequences) await sequence.clearHistory();
    const startedMs = performance.now();
    const counts = await Promise.all(this.#sequences.map((sequence) => this.#one(sequence, prompt, maxTokens)));
    return counts.reduce((sum, count) => sum + count) / (performance.now() - startedMs) * 1_000;
  }

  async #one(sequence: Sequence, prompt: string, maxTokens: number): Promise<number> {
    const last: number[] = [];
    let count = 0;
    let characters = 0;
    // `evaluate` knows no end of its own but the context's
    for await (
      const token of sequence.evaluate(this.#model.tokenize(prompt), { temperature: 0, yieldEogToken: true })
    ) {
      characters += this.#model.detokenize([token], false, last.slice(-3)).length;
      last.push(token);
      if (++count === maxTokens) break;
    }
    if (characters === 0) throw new Error("Cannot measure: no text came");
    return count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }
}
