/**
 * One worker's life: bind, tell the hive, load, serve, drain. The engine is handed in, so that tests bring their own.
 *
 * @module
 */
import type { Engine, LoadedModel } from "../native/engine.ts";
import { type RbeeError, toRbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { call, sleep } from "../runtime/call.ts";
import type { Log } from "../runtime/log.ts";
import { within } from "../runtime/process.ts";
import { serve, type Server, type TlsFiles } from "../runtime/serve.ts";
import { clientTrusting } from "../runtime/trust.ts";
import { VERSION } from "../runtime/version.ts";
import type { WorkerFlags } from "./flags.ts";
import { Lifecycle } from "./lifecycle.ts";
import { Measures } from "./measures.ts";
import { Requests } from "./requests.ts";
import { workerEndpoints } from "./server.ts";
import { Slots } from "./slots.ts";

/** The program's name, as people and logs know it. */
export const program = "llm-worker-rbee";

/** What a worker is made of. */
export interface WorkerOptions {
  readonly flags: WorkerFlags;
  /** What to speak TLS with; absent: plain HTTP. */
  readonly tls?: TlsFiles;
  /** The bearer token that every request must carry, and that we carry to the hive. */
  readonly key: string;
  readonly engine: Engine;
  readonly log: Log;
  /** Aborted by SIGTERM and its like. */
  readonly signal: AbortSignal;
  /** Called with the address when the port is bound. */
  readonly onListening?: (url: string) => void;
  readonly drainMs?: number;
  readonly failedLingerMs?: number;
  readonly slowClientMs?: number;
}

/** Runs a worker to its end. Returns 0, or 1 when the model could not be loaded. Throws when it cannot begin. */
export async function runWorker(options: WorkerOptions): Promise<number> {
  const worker = new Worker(options);
  try {
    return await worker.run();
  } finally {
    await worker.end();
  }
}

class Worker {
  readonly #options: WorkerOptions;
  readonly #lifecycle: Lifecycle;
  readonly #requests = new Requests();
  readonly #measures = new Measures();
  /** Aborted by the shutdown route. Separate from the program's signal: SIGTERM while draining means "hurry". */
  readonly #shutDown = new AbortController();
  /** Either of the two. */
  readonly #ending: AbortSignal;
  readonly #server: Server;
  /**
   * Keeps timers alive. Once an addon's asynchronous call has completed, Deno 2.7.11 never fires a timer that was set in
   * a microtask after another one's callback, unless something else wakes the event loop: a failed load lingered for ever.
   */
  #pulse?: number;
  #model?: LoadedModel;

  constructor(options: WorkerOptions) {
    const { flags, key, log, tls } = options;
    this.#options = options;
    this.#lifecycle = new Lifecycle({
      workerId: flags.workerId,
      slotsTotal: flags.slots,
      work: () => this.#measures.work,
    });
    this.#ending = AbortSignal.any([options.signal, this.#shutDown.signal]);
    log.info("starting", {
      version: VERSION,
      worker_id: flags.workerId,
      model_ref: flags.modelRef,
      slots: flags.slots,
    });
    this.#server = serve({
      program,
      endpoints: this.#endpoints(),
      auth: { token: key, openNeedsToken: true },
      log,
      hostname: flags.listen,
      port: flags.port,
      tls,
    });
    log.info("listening", { url: this.#server.url, port: this.#server.port });
    options.onListening?.(this.#server.url);
  }

  async run(): Promise<number> {
    this.#pulse = setInterval(() => {}, limits.workerPulseMs);
    try {
      await this.#tellHive();
    } catch (error) {
      if (this.#ending.aborted) return 0;
      throw error;
    }
    const failed = await this.#load();
    if (failed) {
      // whoever follows the events must get the reason before the connection closes
      await sleep(this.#options.failedLingerMs ?? limits.failedLingerMs, this.#ending).catch(() => {});
      return 1;
    }
    if (!this.#ending.aborted) {
      await new Promise<void>((resolve) => this.#ending.addEventListener("abort", () => resolve(), { once: true }));
    }
    await this.#drain();
    return 0;
  }

  async end(): Promise<void> {
    this.#lifecycle.drain();
    this.#lifecycle.close();
    await Promise.all([this.#server.stop(limits.shutdownAckMs), this.#model?.[Symbol.asyncDispose]()]);
    clearInterval(this.#pulse);
    this.#options.log.info("ended");
  }

  #endpoints() {
    const { flags, log, slowClientMs } = this.#options;
    return workerEndpoints({
      lifecycle: this.#lifecycle,
      slots: new Slots(this.#lifecycle),
      requests: this.#requests,
      measures: this.#measures,
      log,
      slowClientMs,
      modelRef: flags.modelRef,
      model: () => this.#model,
      url: () => this.#server.url,
      shutDown: () => this.#beginShutdown("asked by request"),
      onEventsLeft: () => {
        // on Linux the kernel ends us with our hive; elsewhere the end of its stream says that it is gone
        if (flags.callbackUrl && Deno.build.os !== "linux") this.#beginShutdown("the hive left");
      },
    });
  }

  #beginShutdown(why: string): void {
    if (!this.#ending.aborted) this.#options.log.info("shutting down", { why });
    this.#lifecycle.drain();
    this.#shutDown.abort(new Error(why));
  }

  async #tellHive(): Promise<void> {
    const { flags, key, log, tls } = this.#options;
    if (!flags.callbackUrl) return;
    // Our hive shows the certificate that it gave us.
    using client = tls && clientTrusting(tls.cert);
    const hive = { program: "rbee-hive", base: flags.callbackUrl, token: key, client, caller: program };
    await call(hive, hiveRoutes.workerReady, {
      body: {
        worker_id: flags.workerId,
        url: this.#server.url,
        model_ref: flags.modelRef,
        backend: flags.backend,
        device: flags.device,
        slots_total: flags.slots,
      },
      signal: this.#ending,
    });
    log.info("told the hive", { url: flags.callbackUrl });
  }

  /** Returns the error when the model cannot be loaded; nothing when it is, or the worker was told to end meanwhile. */
  async #load(): Promise<RbeeError | undefined> {
    const { flags, engine, log } = this.#options;
    const beganMs = performance.now();
    const seconds = () => Math.round(performance.now() - beganMs) / 1_000;
    log.info("loading began", { model: flags.model, backend: flags.backend, device: flags.device });
    try {
      this.#model = await engine.load({
        modelPath: flags.model,
        backend: flags.backend,
        device: flags.device,
        slots: flags.slots,
        ctxTokensMax: flags.ctx,
        gpuLayers: flags.gpuLayers,
        threads: flags.threads,
        signal: this.#ending,
        onProgress: (progress) => this.#lifecycle.loadProgressed(progress),
        onLog: (line) => log.warn("the engine says", { line }),
      });
    } catch (thrown) {
      if (this.#ending.aborted) return undefined;
      const error = toRbeeError(thrown);
      log.error("loading failed", { code: error.code, error: thrown, seconds: seconds() });
      this.#lifecycle.loadFailed(error);
      return error;
    }
    this.#lifecycle.loaded(this.#model.facts);
    const { quantization, contextTokens, threads, memoryBytes } = this.#model.facts;
    log.info("loading ended", {
      seconds: seconds(),
      quantization,
      ctx: contextTokens,
      threads,
      memory_bytes: memoryBytes,
    });
    return undefined;
  }

  /** Lets running requests end, then ends them. A SIGTERM that comes meanwhile cuts the wait short. */
  async #drain(): Promise<void> {
    const { signal, log } = this.#options;
    this.#lifecycle.drain();
    if (this.#requests.count === 0) return;
    log.info("draining", { requests: this.#requests.count });
    const ms = this.#options.drainMs ?? (signal.aborted ? limits.termDrainMs : limits.drainMs);
    const hurry = new Promise<void>((resolve) => {
      if (!signal.aborted) signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await within(Promise.race([this.#requests.whenNone(), hurry]), ms);
    this.#requests.endAll("shutdown");
    await within(this.#requests.whenNone(), limits.shutdownAckMs);
  }
}
