/**
 * A whole worker around a scripted engine, on a port of its own, with everything that its log said.
 *
 * @module
 */
import type { ParsedEvent } from "../../protocol/sse.ts";
import { parseEvents } from "../../protocol/sse.ts";
import type { Log, LogFields } from "../../runtime/log.ts";
import type { WorkerFlags } from "../flags.ts";
import { runWorker, type WorkerOptions } from "../worker.ts";
import { type Script, ScriptedEngine } from "./scripted_engine.ts";

/** The key of every worker in tests. */
export const key = "k-for-tests";

/** How a worker in a test differs from the usual one. */
export interface RunOptions extends Script {
  flags?: Partial<WorkerFlags>;
  worker?: Partial<Pick<WorkerOptions, "tls" | "drainMs" | "failedLingerMs" | "slowClientMs">>;
  /** Return as soon as it listens; otherwise the model is loaded. */
  listeningOnly?: boolean;
}

/** A running worker. Disposing it sends what SIGTERM sends, and waits for its end. */
export class RunningWorker implements AsyncDisposable {
  readonly engine: ScriptedEngine;
  readonly lines: { message: string; fields: LogFields }[] = [];
  /** Its exit code, or the error that it ended with. */
  readonly ended: Promise<number | Error>;
  url = "";
  readonly #terminate = new AbortController();

  constructor(options: RunOptions = {}) {
    this.engine = new ScriptedEngine(options);
    this.ended = runWorker({
      flags: {
        workerId: "worker-test",
        model: "tiny.gguf",
        modelRef: "builtin:tiny",
        backend: "cpu",
        device: 0,
        port: 0,
        listen: "127.0.0.1",
        slots: 1,
        ...options.flags,
      },
      key,
      engine: this.engine,
      log: recording(this.lines),
      signal: this.#terminate.signal,
      onListening: (url) => this.url = url,
      failedLingerMs: 50,
      ...options.worker,
    }).catch((error) => error);
  }

  /** Sends what SIGTERM sends. */
  terminate(): void {
    this.#terminate.abort(new Error("received SIGTERM"));
  }

  /** Calls an endpoint with the right key. */
  request(what: string, options: { body?: unknown; signal?: AbortSignal; key?: string } = {}): Promise<Response> {
    const [method, path] = what.split(" ");
    return fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${options.key ?? key}` },
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
    });
  }

  /** Calls an endpoint and returns status and JSON. */
  async json(what: string, body?: unknown): Promise<{ status: number; json: Record<string, unknown> }> {
    const response = await this.request(what, { body });
    const text = await response.text();
    return { status: response.status, json: text === "" ? {} : JSON.parse(text) };
  }

  /** Returns all events of a stream that ends. */
  async events(what: string, body?: unknown): Promise<ParsedEvent[]> {
    return await Array.fromAsync(this.follow(await this.request(what, { body })));
  }

  /** Yields the events of an answer. */
  follow(response: Response): AsyncGenerator<ParsedEvent> {
    return parseEvents(response.body!);
  }

  /** Resolves when the worker is in that state. Throws after 5 s. */
  async reaches(state: string): Promise<void> {
    const deadline = performance.now() + 5_000;
    while (performance.now() < deadline) {
      const { json } = await this.json("GET /v1/health");
      if (json.state === state) return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`Cannot see the worker in state ${state}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.terminate();
    await this.ended;
  }
}

/** Starts a worker and waits until its model is loaded. */
export async function startWorker(options: RunOptions = {}): Promise<RunningWorker> {
  const worker = new RunningWorker(options);
  if (!options.listeningOnly) await worker.reaches("idle");
  return worker;
}

function recording(lines: { message: string; fields: LogFields }[], always: LogFields = {}): Log {
  const note = (message: string, fields: LogFields = {}) =>
    void lines.push({ message, fields: { ...always, ...fields } });
  return {
    debug: note,
    info: note,
    warn: note,
    error: note,
    with: (fields) => recording(lines, { ...always, ...fields }),
  };
}
