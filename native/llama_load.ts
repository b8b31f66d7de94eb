/**
 * The small parts of a load that need no library: what it says while it goes on, and what it says when it fails.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { Backend, LoadOptions } from "./engine.ts";
import type { GgufHeader } from "./gguf.ts";

const megabyte = 1024 * 1024;

/** Turns a fraction into layers, not more often than a person can read. */
export class LayerProgress {
  readonly #onProgress: LoadOptions["onProgress"];
  readonly #layers: number;
  readonly #bytes: number;
  #fraction = 0;
  #lastMs = -Infinity;

  constructor(onProgress: LoadOptions["onProgress"], { layers, bytes }: { layers: number; bytes: number }) {
    this.#onProgress = onProgress;
    this.#layers = layers;
    this.#bytes = bytes;
    this.#say();
  }

  /** Reports a fraction from 0 to 1. All layers are said by `end` alone. */
  at(fraction: number): void {
    this.#fraction = Math.max(this.#fraction, Math.min(fraction, 1));
    if (this.#fraction < 1 && performance.now() - this.#lastMs >= 1000 / limits.loadEventsPerSecondMax) this.#say();
  }

  /** Reports that all is loaded. */
  end(): void {
    this.#fraction = 1;
    this.#say();
  }

  #say(): void {
    this.#lastMs = performance.now();
    this.#onProgress({
      layersLoaded: Math.floor(this.#fraction * this.#layers),
      layersTotal: this.#layers,
      vramMb: Math.round(this.#fraction * this.#bytes / megabyte * 10) / 10,
    });
  }
}

/** ggml's types Q4_0, Q2_K, Q4_K and IQ4_NL. */
const laidOutAnew: ReadonlySet<number> = new Set([2, 10, 12, 20]);

/**
 * Returns whether llama.cpp copies most of these weights into another order for a CPU. A file that is mapped would then
 * lie in memory beside its copy.
 */
export function isLaidOutAnew({ tensors }: Pick<GgufHeader, "tensors">): boolean {
  let [anew, all] = [0, 0];
  for (const { type, bytes } of tensors) {
    all += bytes;
    if (laidOutAnew.has(type)) anew += bytes;
  }
  return anew > all / 2;
}

const linesMax = 20;
const lineCharsMax = 500;

/** The last things that llama.cpp and its library complained about. */
export class LogTail {
  readonly #lines: string[] = [];
  readonly #onLog?: (line: string) => void;

  constructor(onLog?: (line: string) => void) {
    this.#onLog = onLog;
  }

  /** The lines, oldest first. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Keeps a line and hands it on. */
  add(text: string): void {
    const line = text.trim().slice(0, lineCharsMax);
    if (!line) return;
    this.#lines.push(line);
    if (this.#lines.length > linesMax) this.#lines.shift();
    this.#onLog?.(line);
  }
}

/**
 * Runs `work` while everything that is written to the console goes to `tail`. node-llama-cpp writes there what its
 * logger never sees: that its self-test cannot run inside a bundle, which is as it should be and is dropped, and why a
 * library cannot be opened, which is the only reason that a person will get. Returns what `work` returns.
 */
export async function withConsoleTo<T>(tail: LogTail, work: () => Promise<T>): Promise<T> {
  const target: Pick<Console, "warn" | "error"> = Reflect.get(globalThis, "console");
  const { warn, error } = target;
  const keep = (...values: unknown[]) => {
    const text = values.map((value) => value instanceof Error ? `${value.name}: ${value.message}` : String(value));
    const line = text.join(" ").replace(/^\[node-llama-cpp\] /, "");
    if (!line.includes("testBindingBinary")) tail.add(line);
  };
  target.warn = target.error = keep;
  try {
    return await work();
  } finally {
    target.warn = warn;
    target.error = error;
  }
}

/** Returns the error of a failed load with llama.cpp's own words in its details. */
export function loadError(cause: unknown, tail: LogTail): RbeeError {
  if (cause instanceof RbeeError) return cause;
  const reasons = tail.lines.map((line) => /error loading model: (.+)/.exec(line)?.[1]);
  const state = reasons.find((reason) => reason) ?? (cause instanceof Error ? cause.message : String(cause));
  return new RbeeError("MODEL_LOAD_FAILED", {
    message: `Cannot load the model: ${state}`,
    details: { llama: [...tail.lines] },
    cause,
  });
}

/** What a context needs, and what there is. */
export interface MemoryNeeds {
  /** Tokens per slot. */
  readonly contextSize: number;
  readonly requiredBytes: number;
  readonly availableBytes: number;
}

/** Returns the error for memory that is short: for the context, or without `needs` for the model itself. */
export function memoryError(backend: Backend, needs?: MemoryNeeds, cause?: unknown): RbeeError {
  const what = needs ? `the context of ${needs.contextSize} tokens per slot` : "the model";
  return new RbeeError(backend === "cpu" ? "INSUFFICIENT_RAM" : "INSUFFICIENT_VRAM", {
    message: `Cannot load the model: memory is short for ${what}`,
    details: needs
      ? {
        context_tokens: needs.contextSize,
        required_bytes: Math.ceil(needs.requiredBytes),
        available_bytes: needs.availableBytes,
      }
      : {},
    cause,
  });
}
