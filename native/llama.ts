/**
 * The engine over llama.cpp through node-llama-cpp: its binaries, its loading, its estimate of memory. Decoding is ours
 * (`llama_batching.ts`). This is the only file that imports the library, and statically: a bundler that has to follow a
 * dynamic import of it waits for ever.
 *
 * @module
 */
import {
  getLlama,
  InsufficientMemoryError,
  type Llama,
  type LlamaContext,
  LlamaLogLevel,
  type LlamaModel as LibraryModel,
  NoBinaryFoundError,
} from "node-llama-cpp";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { Backend, Calibration, Engine, LoadedModel, LoadOptions, ModelFacts } from "./engine.ts";
import { cpuFacts } from "./cpu.ts";
import { type GgufHeader, readGgufHeader } from "./gguf.ts";
import { Batching } from "./llama_batching.ts";
import { type LlamaBinding, openBinding } from "./llama_binding.ts";
import { isLaidOutAnew, LayerProgress, loadError, LogTail, memoryError, withConsoleTo } from "./llama_load.ts";
import { LlamaModel } from "./llama_model.ts";
import { alphabetOf, Pieces } from "./llama_pieces.ts";
import { PromptReader } from "./llama_prompt.ts";
import { releaseSignals } from "./llama_signals.ts";
import { calibrateThreads } from "./llama_threads.ts";
import { machineMemory } from "./memory.ts";

/** The library's objects of one model. */
interface Loaded {
  readonly llama: Llama;
  readonly model: LibraryModel;
  readonly context: LlamaContext;
}

/** Below this a context is not halved any more to make it fit: it would be of little use. */
const contextTokensWanted = 4096;
/** How much of the free memory a context may take: when somebody asked for its size, and when nobody did. */
const memoryShare = { asked: 0.9, unasked: 0.5 } as const;
/**
 * What llama.cpp notes of each position besides keys and values. The library's newer estimate tries a context out and
 * allocates these for it: a context of 500 million tokens, asked for by mistake, took all memory of the machine. So the
 * arithmetic decides first.
 */
const bytesPerCell = 64;
/** How long to wait for llama.cpp's lines after a failure: they come through the event loop. */
const lastLinesMs = 20;
/** A core reads about this many bytes of weights per second: a first guess, until a prompt was measured. */
const weightBytesPerSecond = 5e9;

// Importing the library took the signals; they are given back before anybody can send one.
releaseSignals();

/** Loads models into this process with llama.cpp. */
export class LlamaEngine implements Engine {
  /** Returns the model in memory; see `Engine.load`. */
  async load(options: LoadOptions): Promise<LoadedModel> {
    const { signal } = options;
    signal.throwIfAborted();
    const header = await readGgufHeader(options.modelPath);
    const tail = new LogTail(options.onLog);
    await using cleanup = new AsyncDisposableStack();
    try {
      const llama = await openLlama(options.backend, tail);
      cleanup.defer(() => llama.dispose());
      signal.throwIfAborted();
      checkArchitecture(llama, header);
      const model = await loadWeights(llama, header, options);
      cleanup.defer(() => model.dispose());
      const context = await createContext({ llama, model }, options);
      cleanup.defer(() => context.dispose());
      const loaded = await assemble({ llama, model, context }, header, options);
      const parts = cleanup.move();
      return new LlamaModel({ ...loaded, free: () => parts.disposeAsync() });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      await new Promise((resolve) => setTimeout(resolve, lastLinesMs));
      throw loadError(error, tail);
    }
  }
}

async function openLlama(backend: Backend, tail: LogTail): Promise<Llama> {
  const unavailable = (cause?: unknown) =>
    new RbeeError("BACKEND_UNAVAILABLE", {
      message: `Cannot use the backend ${backend}: this worker has no library or no device for it`,
      details: { backend, llama: [...tail.lines] },
      cause,
    });
  if (backend === "rocm") throw unavailable();
  const gpu = backend === "cpu" ? false : backend;
  const logger = (_level: LlamaLogLevel, message: string) => tail.add(message);
  const settings = { gpu, build: "never", skipDownload: true, progressLogs: false } as const;
  let llama: Llama;
  try {
    llama = await withConsoleTo(tail, () => getLlama({ ...settings, logger, logLevel: LlamaLogLevel.warn }));
  } catch (cause) {
    if (cause instanceof NoBinaryFoundError) throw unavailable(cause);
    throw cause;
  }
  if (llama.gpu === gpu) return llama;
  await llama.dispose();
  throw unavailable();
}

function checkArchitecture(llama: Llama, { architecture }: GgufHeader): void {
  const addon: { getIsArchSupported?: (name: string) => boolean } | undefined = Reflect.get(llama, "_bindings");
  if (addon?.getIsArchSupported?.(architecture) !== false) return;
  throw new RbeeError("MODEL_INCOMPATIBLE", {
    message: `Cannot use this model: llama.cpp ${llama.llamaCppRelease.release} does not know ${architecture}`,
    details: { architecture },
  });
}

async function loadWeights(llama: Llama, header: GgufHeader, options: LoadOptions): Promise<LibraryModel> {
  const progress = new LayerProgress(options.onProgress, { layers: header.layers, bytes: header.sizeBytes });
  const model = await memoryGuarded(options.backend, () =>
    llama.loadModel({
      modelPath: options.modelPath,
      gpuLayers: options.backend === "cpu" ? undefined : options.gpuLayers,
      ...(options.backend === "cpu" && isLaidOutAnew(header) && { useMmap: false }),
      loadSignal: options.signal,
      onLoadProgress: (fraction) => progress.at(fraction),
    }));
  progress.end();
  return model;
}

async function createContext(loaded: Omit<Loaded, "context">, options: LoadOptions): Promise<LlamaContext> {
  const isCpu = options.backend === "cpu";
  const settings = {
    sequences: options.slots,
    batchSize: Math.max(batchTokens(options.backend), options.slots),
    // On a CPU its rounding depends on the number of threads, of other slots and of tokens in a batch, so the same seed
    // would not give the same text; and with small heads it is three to five times slower once a text has grown.
    flashAttention: isCpu ? false : "auto" as const,
    swaFullCache: false,
  };
  const contextSize = await fittingContext(loaded, options, { ...settings, flashAttention: !isCpu });
  return await memoryGuarded(options.backend, () =>
    loaded.model.createContext({
      ...settings,
      contextSize,
      threads: options.threads ?? 1,
      createSignal: options.signal,
      failedCreationRemedy: false,
    }));
}

/**
 * Returns the tokens per slot: what was asked for, or else what the model was trained for, halved until it fits. Throws
 * when memory is short for it.
 */
async function fittingContext(
  { llama, model }: Omit<Loaded, "context">,
  { backend, ctxTokensMax = Infinity }: LoadOptions,
  settings: { sequences: number; batchSize: number; flashAttention: boolean; swaFullCache: boolean },
): Promise<number> {
  const isCpu = backend === "cpu";
  const isAsked = ctxTokensMax !== Infinity;
  const free = isCpu ? machineMemory().availableBytes : (await llama.getVramState()).free;
  const availableBytes = Math.floor(free * (isAsked ? memoryShare.asked : memoryShare.unasked));
  let contextSize = Math.min(model.trainContextSize, ctxTokensMax);
  while (true) {
    const { gpuLayers } = model;
    const estimate = { ...settings, contextSize, modelGpuLayers: gpuLayers };
    const { cpuRam, gpuVram } = model.fileInsights.estimateContextResourceRequirements(estimate);
    const requiredBytes = isCpu ? cpuRam + contextSize * settings.sequences * bytesPerCell : gpuVram;
    if (requiredBytes <= availableBytes) return contextSize;
    if (isAsked || contextSize / 2 < contextTokensWanted) {
      throw memoryError(backend, { contextSize, requiredBytes, availableBytes });
    }
    contextSize = Math.ceil(contextSize / 2);
  }
}

function batchTokens(backend: Backend): number {
  return backend === "cpu" ? limits.cpuBatchTokensMax : limits.batchTokensMax;
}

async function memoryGuarded<T>(backend: Backend, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof InsufficientMemoryError) throw memoryError(backend, undefined, error);
    throw error;
  }
}

async function assemble(loaded: Loaded, header: GgufHeader, options: LoadOptions) {
  const { model, context } = loaded;
  const binding = openBinding(loaded);
  const vocabSize = vocabularySize(model);
  const endTokens = new Set<number>();
  for (let token = 0; token < vocabSize; token++) if (binding.model.isEogToken(token)) endTokens.add(token);
  const calibration = await chooseThreads(loaded, binding, options);
  const contextTokens = Math.min(context.contextSize, options.ctxTokensMax ?? Infinity, model.trainContextSize);
  const measured = Math.max(0, ...Object.values(calibration?.tokensPerSecond ?? {}));
  const batching = new Batching({
    context: binding.context,
    slots: options.slots,
    contextTokens,
    isEnd: (token) => endTokens.has(token),
    batchTokens: batchTokens(options.backend),
    fixedPieces: options.backend !== "cpu",
    windowTokens: model.fileInsights.swaSize || undefined,
    tokensPerSecond: measured || weightBytesPerSecond / header.sizeBytes,
  });
  const template = chatTemplate(model, binding);
  const { bos, bosString, eosString, shouldPrependBosToken } = model.tokens;
  const prompts = new PromptReader({
    model: binding.model,
    template,
    vocabSize,
    firstToken: shouldPrependBosToken ? bos ?? undefined : undefined,
    bosText: bosString ?? "",
    eosText: eosString ?? "",
    contextTokens,
  });
  const pieces = new Pieces(binding.model, alphabetOf(binding.model, model.vocabularyType));
  const hasChatTemplate = template !== undefined;
  const threads = calibration?.threads ?? options.threads ?? 1;
  const measures = { threads, vocabSize, contextTokens, calibration, hasChatTemplate };
  const facts: ModelFacts = { ...await librarySays(loaded, header, options), ...measures };
  return { facts, binding, batching, pieces, prompts, endTokens };
}

type Measures = "threads" | "vocabSize" | "contextTokens" | "calibration" | "hasChatTemplate";

async function librarySays(
  { llama, model, context }: Loaded,
  header: GgufHeader,
  { backend }: LoadOptions,
): Promise<Omit<ModelFacts, Measures>> {
  return {
    variant: "QuantizedLlama",
    architecture: header.architecture,
    quantization: header.quantization,
    eosTokenId: model.tokens.eos ?? -1,
    contextTokensTrained: model.trainContextSize,
    layersTotal: header.layers,
    sizeBytes: header.sizeBytes,
    memoryBytes: sum(model.memoryUsage) + sum(context.memoryUsage),
    backend,
    gpuName: backend === "cpu" ? undefined : (await llama.getGpuDeviceNames())[0],
  };
}

/** Sets the threads; returns what was measured, or nothing when the caller said how many. */
async function chooseThreads({ model }: Loaded, { context }: LlamaBinding, options: LoadOptions) {
  let calibration: Calibration | undefined;
  if (options.threads === undefined) {
    const { physicalCores, quotaCores = Infinity } = cpuFacts();
    const cores = Math.max(1, Math.floor(Math.min(physicalCores, quotaCores)));
    const token = model.tokens.eos ?? 0;
    calibration = await calibrateThreads({ context, cores, modelBytes: model.size, token, signal: options.signal });
  }
  context.setThreads(calibration?.threads ?? options.threads ?? 1);
  return calibration;
}

function vocabularySize(model: LibraryModel): number {
  const tokens: unknown = model.fileInfo.metadata?.tokenizer?.ggml?.tokens;
  if (Array.isArray(tokens) && tokens.length > 0) return tokens.length;
  throw new RbeeError("MODEL_INCOMPATIBLE", { message: "Cannot use this model: it has no vocabulary" });
}

/** A template that llama.cpp cannot parse is as good as none: prompts go in as they are, and `facts` says so. */
function chatTemplate(model: LibraryModel, binding: LlamaBinding) {
  const template: unknown = model.fileInfo.metadata?.tokenizer?.chat_template;
  if (typeof template !== "string" || template === "") return undefined;
  try {
    return binding.createTemplate(template);
  } catch {
    return undefined;
  }
}

function sum({ ram, vram }: { ram: number; vram: number }): number {
  return ram + vram;
}
