/**
 * A hive and its workers in one process, for tests of the queen: real routes on real sockets, scripted behaviour.
 *
 * @module
 */
import { rbeeDialect } from "../../protocol/dialects/rbee.ts";
import { RbeeError } from "../../protocol/error.ts";
import type { InferenceEnd, InferenceRequest } from "../../protocol/inference.ts";
import { hiveRoutes } from "../../protocol/hive_routes.ts";
import type { HiveStatus } from "../../protocol/hive_status.ts";
import { workerRoutes } from "../../protocol/worker_routes.ts";
import { encodeJsonEvent } from "../../protocol/sse.ts";
import type { SpawnWorker, WorkerRecord } from "../../protocol/worker.ts";
import { homeId, workerKey } from "../../runtime/auth.ts";
import type { StreamWriter } from "../../runtime/event_stream.ts";
import type { Log } from "../../runtime/log.ts";
import { endpoint, serve, type Server } from "../../runtime/serve.ts";
import { VERSION } from "../../runtime/version.ts";
import type { StandInModels } from "./stand_in_models.ts";

/** A log that nobody reads. */
export const noLog: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => noLog };

/** What a worker does with a request. */
export type Script = (request: InferenceRequest, out: StreamWriter) => Promise<void>;

/** What the hive does differently. */
export interface StandInOptions {
  readonly script?: Script;
  /** Makes the lease belong to somebody else. */
  readonly leasedTo?: string;
  readonly version?: string;
  /** Shows another home than its token's: a stranger on a port that was once our hive's. */
  readonly homeId?: string;
  readonly slots?: number;
  readonly models?: StandInModels;
}

/** Returns the terminal event of so many tokens. */
export function endOf(tokens: number, stop_reason: InferenceEnd["stop_reason"] = "MAX_TOKENS"): InferenceEnd {
  return {
    done: true,
    total_tokens: tokens,
    prompt_tokens: 1,
    prompt_tokens_cached: 0,
    duration_ms: 1,
    prefill_ms: 1,
    decode_ms: 1,
    tokens_per_second: 1,
    stop_reason,
    seed: 1,
  };
}

/** Sends as many tokens as are asked for, and the end. */
export async function wholeAnswer(request: InferenceRequest, out: StreamWriter): Promise<void> {
  for (let index = 0; index < request.max_tokens; index++) await out.write(rbeeDialect.token("x", index));
  await out.write(rbeeDialect.end(endOf(request.max_tokens)));
}

/** The stand-in. Close it with `await using`. */
export class StandInHive implements AsyncDisposable {
  readonly token = "a".repeat(64);
  readonly server: Server;
  readonly worker: Server;
  readonly workers: WorkerRecord[] = [];
  readonly spawned: SpawnWorker[] = [];
  readonly cancelled: string[] = [];
  readonly logQueries: unknown[] = [];
  /** What its log gives. */
  log: (out: StreamWriter) => Promise<void> = () => Promise.resolve();
  leases = 0;
  busy = 0;
  refusesToEnd = false;
  readonly #options: StandInOptions;
  #ending?: Promise<void>;
  readonly #readers = new Set<StreamWriter>();
  script: Script;

  constructor(options: StandInOptions = {}) {
    this.#options = options;
    this.script = options.script ?? wholeAnswer;
    const common = { log: noLog, hostname: "127.0.0.1", port: 0 };
    this.server = serve({
      ...common,
      program: "rbee-hive",
      endpoints: [...this.#hiveEndpoints(), ...options.models?.endpoints() ?? []],
      auth: { token: this.token, openNeedsToken: true },
    });
    this.worker = serve({
      ...common,
      program: "llm-worker-rbee",
      endpoints: this.#workerEndpoints(),
      auth: { token: workerKey(this.token, "worker-1"), openNeedsToken: true },
    });
  }

  #hiveEndpoints() {
    const { leasedTo, version } = this.#options;
    const home_id = this.#options.homeId ?? homeId(this.token);
    return [
      endpoint(
        hiveRoutes.health,
        () => ({ status: "alive" as const, version: version ?? VERSION, api_version: "v1" as const, home_id }),
      ),
      endpoint(hiveRoutes.lease, () => {
        if (leasedTo) throw new RbeeError("HIVE_LEASED", { details: { host: leasedTo } });
        this.leases++;
        return { lease_ms: 15_000, leased: true };
      }),
      endpoint(hiveRoutes.shutdown, () => {
        if (this.refusesToEnd) throw new RbeeError("TIMEOUT");
        setTimeout(() => void this.end(), 0); // the answer first
        return { status: "shutting_down" as const };
      }),
      endpoint(hiveRoutes.logs, ({ query, context }) => {
        this.logQueries.push(query);
        const plain = { contentType: "text/plain; charset=utf-8", keepAlive: false };
        return context.stream((out) => this.log(out), plain);
      }),
      endpoint(hiveRoutes.events, ({ context }) => context.stream((out) => this.#readEvents(out))),
      endpoint(hiveRoutes.spawnWorker, ({ body }) => this.#spawn(body)),
      endpoint(hiveRoutes.shutdownWorker, ({ params }) => {
        this.workers.splice(this.workers.findIndex((w) => w.id === params.id), 1);
        this.changed();
        return { status: "shutting_down" as const };
      }),
    ];
  }

  #workerEndpoints() {
    return [
      endpoint(workerRoutes.inference, ({ body, context }) => {
        if (this.busy >= (this.#options.slots ?? 1)) {
          throw new RbeeError("ALL_SLOTS_BUSY", { details: { slots_total: 1, slots_busy: 1 } });
        }
        if (!body.stream) return { ...endOf(body.max_tokens), text: "x", request_id: body.request_id };
        return context.stream((out) => this.#infer(body, out));
      }),
      endpoint(workerRoutes.cancel, ({ params }) => {
        this.cancelled.push(params.id);
        return new Response(null, { status: 204 });
      }),
    ];
  }

  async #infer(request: InferenceRequest, out: StreamWriter): Promise<void> {
    this.busy++;
    try {
      await this.script(request, out);
    } finally {
      this.busy--;
      this.changed();
    }
  }

  async #readEvents(out: StreamWriter): Promise<void> {
    this.#readers.add(out);
    await out.write(this.#status());
    await new Promise<void>((resolve) => out.signal.addEventListener("abort", () => resolve(), { once: true }));
    this.#readers.delete(out);
  }

  #spawn(wish: SpawnWorker) {
    this.spawned.push(wish);
    this.workers.push({
      id: "worker-1",
      url: this.worker.url,
      port: this.worker.port,
      model_ref: wish.model_ref,
      backend: wish.backend ?? "cpu",
      device: wish.device ?? 0,
      state: "idle",
      slots_total: this.#options.slots ?? 1,
      slots_available: this.#options.slots ?? 1,
      last_activity_unix: 0,
      failed_health_checks: 0,
      pid: null,
      keep_s: wish.keep_s,
    });
    setTimeout(() => this.changed(), 10);
    return { worker_id: "worker-1", url: this.worker.url, state: "loading" as const };
  }

  /** Tells every reader the whole picture. */
  changed(): void {
    for (const out of this.#readers) out.write(this.#status()).catch(() => {});
  }

  #status(): string {
    const machine: HiveStatus["machine"] = {
      hostname: "stand-in",
      platform: "linux-x64",
      cpu_cores: 2,
      memory_total_bytes: 1,
      memory_available_bytes: 1,
      gpus: [],
    };
    return encodeJsonEvent({ version: VERSION, machine, workers: this.workers }, "status");
  }

  /** Ends the hive, as its own shutdown does. */
  end(): Promise<void> {
    this.#ending ??= this.server.stop(10);
    return this.#ending;
  }

  /** Whether it was told to end. */
  get ended(): boolean {
    return this.#ending !== undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.end(), this.worker.stop(10)]);
  }
}
