/**
 * The one owner of this machine's workers: starts them, knows them, ends them. Nobody else holds a worker's process.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { hiveRoutes } from "../protocol/hive_routes.ts";
import type { AnswerOf } from "../protocol/routes.ts";
import type { SpawnWorker, WorkerReady, WorkerRecord, WorkerStatus } from "../protocol/worker.ts";
import { sameSecret, workerKey } from "../runtime/auth.ts";
import { within } from "../runtime/process.ts";
import { wasPortTaken, whyNotListening } from "./failed_start.ts";
import { isHealthy } from "./health.ts";
import { countSpawned } from "./measures.ts";
import type { PoolOptions } from "./pool_options.ts";
import { PromisedMemory, whereText } from "./promised_memory.ts";
import type { Reservation } from "./reservations.ts";
import type { SpawnPlan } from "./spawn_plan.ts";
import { stopWorker } from "./stop_ladder.ts";
import type { Ending, Worker } from "./worker.ts";
import { newWorker, nowUnix, type WorkerEntry } from "./worker_entry.ts";
import { tellGone } from "./worker_gone.ts";
import { startWorkerProcess } from "./worker_process.ts";
import { followStatus } from "./worker_status.ts";

/** The workers of this hive. */
export class Pool {
  readonly #options: PoolOptions;
  readonly #entries = new Map<string, WorkerEntry>();
  readonly #memory = new PromisedMemory(() => this.#entries.values());
  #ending = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** The memory that looks free and is spoken for. */
  reserved(): Reservation[] {
    return this.#memory.reserved();
  }

  /** The workers that have called back, in the order in which they were started. */
  workers(): Worker[] {
    return [...this.#entries.values()].map((entry) => entry.worker).filter((worker) => worker.isListening);
  }

  /** Those workers as they stand in lists. */
  list(): WorkerRecord[] {
    return this.workers().map((worker) => worker.record());
  }

  /** Whether a token is the key of one of our workers. */
  isWorkerKey(token: string): boolean {
    return [...this.#entries.values()].some((entry) => sameSecret(entry.key, token));
  }

  /**
   * Starts a worker and returns it once it listens; its model is loaded after that. Throws what planning throws, and
   * `WORKER_START_FAILED`, `WORKER_BINARY_NOT_FOUND`, `INSUFFICIENT_RESOURCES`, `SHUTTING_DOWN`.
   */
  async spawn(wish: SpawnWorker, correlationId?: string): Promise<AnswerOf<typeof hiveRoutes.spawnWorker>> {
    this.#checkOpen();
    const plan = await this.#options.plan(wish, this.#memory.promise);
    try {
      return await this.#startUntilListening(plan, correlationId);
    } finally {
      this.#memory.keep(plan.placement);
    }
  }

  async #startUntilListening(plan: SpawnPlan, correlationId?: string) {
    const id = `worker-${crypto.randomUUID().slice(0, 8)}`;
    this.#narrate(
      "worker-spawn",
      id,
      `🐝 Starting a worker for ${plan.model.ref} on ${whereText(plan)}`,
      correlationId,
    );
    const tried = new Set<number>();
    while (true) {
      this.#checkOpen();
      const entry = this.#start({ plan, id, correlationId }, tried);
      this.#memory.keep(plan.placement); // it is the process that holds it from here on
      const failure = await this.#untilListening(entry);
      const { url, port } = entry.worker.facts;
      if (failure === undefined) return { worker_id: id, url, state: entry.worker.state };
      tried.add(port);
      const again = wasPortTaken(entry.process.child.tail()) && tried.size < limits.workerPortTries;
      this.#options.log.warn("worker did not start", { worker_id: id, port, error: failure, again });
      if (!again) throw failure;
    }
  }

  #checkOpen(): void {
    if (this.#ending) throw new RbeeError("SHUTTING_DOWN");
    if (this.#entries.size < limits.workersPerHiveMax) return;
    throw new RbeeError("INSUFFICIENT_RESOURCES", {
      message: `Cannot start a worker: this hive has ${this.#entries.size} already`,
      details: { workers: this.#entries.size, workers_max: limits.workersPerHiveMax },
      hint: "Stop one first: `rbee workers list`",
    });
  }

  #start(
    { plan, id, correlationId }: { plan: SpawnPlan; id: string; correlationId?: string },
    tried: ReadonlySet<number>,
  ): WorkerEntry {
    const options = this.#options;
    const port = options.ports.take(tried);
    const worker = newWorker(plan, { id, host: options.workerHost, port, tls: options.tls !== undefined });
    const key = workerKey(options.token, id);
    try {
      const process = startWorkerProcess({
        facts: worker.facts,
        command: options.command(plan.placement.backend),
        key,
        callbackUrl: options.callbackUrl(),
        modelFiles: plan.model.files,
        folders: options.folders,
        log: `${options.logs}/${id}.log`,
        listen: options.listen,
        tls: options.tls,
        ctx: plan.ctx,
        gpuLayers: plan.placement.gpuLayers,
        threads: plan.threads,
      });
      worker.pid = process.child.pid;
      const { client } = options.tls ?? {};
      const peer = { program: "llm-worker-rbee", base: worker.facts.url, token: key, client, caller: "rbee-hive" };
      return this.#keep({ worker, plan, process, peer, key, correlationId });
    } catch (error) {
      options.ports.release(port);
      throw error;
    }
  }

  #keep(parts: Pick<WorkerEntry, "worker" | "plan" | "process" | "peer" | "key" | "correlationId">): WorkerEntry {
    const entry: WorkerEntry = {
      ...parts,
      listening: Promise.withResolvers<void>(),
      oomKillsBefore: this.#options.oomKills(),
      startedAt: performance.now(),
      followed: Promise.resolve(),
      gone: Promise.resolve(),
    };
    const { id, port, modelRef, backend, device } = parts.worker.facts;
    this.#entries.set(id, entry);
    entry.gone = this.#whenEnded(entry);
    countSpawned();
    const { correlationId, process: { child: { pid } } } = parts;
    const facts = { worker_id: id, pid, port, model_ref: modelRef, backend, device, correlation_id: correlationId };
    this.#options.log.info("worker started", facts);
    return entry;
  }

  /** Returns why it does not listen; undefined when it does. */
  async #untilListening(entry: WorkerEntry): Promise<RbeeError | undefined> {
    const { listening, process, worker } = entry;
    const settled = Promise.race([listening.promise, process.ended]);
    const inTime = await within(settled, this.#options.readyMs);
    if (worker.isListening) return undefined;
    if (!inTime && worker.beginEnd({ reason: "timeout" })) process.child.kill(); // a callback from now on is too late
    const ended = await process.ended;
    await entry.gone;
    if (this.#ending) return new RbeeError("SHUTTING_DOWN");
    return whyNotListening({ id: worker.facts.id, ended, tail: process.child.tail(), inTime, ...this.#options });
  }

  /**
   * Takes the ready callback (S28) of who sent that worker's own key, or the hive's: another worker may not speak for it. Throws
   * `WORKER_NOT_FOUND`, `INVALID_API_KEY`, `INVALID_REQUEST`, `WORKER_ALREADY_REGISTERED`.
   */
  ready(body: WorkerReady, sent: (key: string) => boolean): string {
    const entry = this.#entries.get(body.worker_id);
    if (!entry) throw new RbeeError("WORKER_NOT_FOUND", { details: { worker_id: body.worker_id } });
    if (!sent(entry.key) && !sent(this.#options.token)) throw new RbeeError("INVALID_API_KEY");
    if (!entry.worker.acceptReady(body, performance.now())) return "already registered";
    entry.followed = followStatus(entry.peer, {
      ended: entry.process.ended,
      onStatus: (status) => this.#onStatus(entry, status),
    });
    entry.listening.resolve();
    this.#options.log.info("worker listens", { worker_id: body.worker_id, url: body.url });
    this.#options.events.changed();
    return "registered";
  }

  #onStatus(entry: WorkerEntry, status: WorkerStatus): void {
    const { worker, plan } = entry;
    const wasLoading = worker.isLoading;
    if (status.work) this.#options.onWork(plan, { before: worker.status?.work, after: status.work });
    if (!worker.takeStatus(status, { now: performance.now(), nowUnix: nowUnix() })) return;
    if (wasLoading && (status.state === "idle" || status.state === "busy")) {
      const seconds = ((performance.now() - entry.startedAt) / 1_000).toFixed(1);
      this.#options.log.info("worker has loaded", { worker_id: worker.facts.id, seconds: Number(seconds) });
      this.#narrate(
        "worker-ready",
        worker.facts.id,
        `✅ ${plan.model.ref} is in memory after ${seconds} s`,
        entry.correlationId,
      );
      if (status.calibration) this.#options.onCalibration(plan.calibrationName, status.calibration.threads);
    }
    this.#options.events.changed();
  }

  /** Returns whether a worker answers as a healthy one within that time. Never rejects. */
  async isHealthy(id: string, deadlineMs: number): Promise<boolean> {
    const entry = this.#entries.get(id);
    return entry !== undefined && await isHealthy(entry.peer, deadlineMs);
  }

  /** Notes the result of a health check. */
  checked(id: string, good: boolean): void {
    const worker = this.#entries.get(id)?.worker;
    worker?.checked(good, nowUnix());
    if (worker && !good) {
      this.#options.log.warn("worker does not answer", { worker_id: id, failed: worker.failedChecks });
    }
    this.#options.events.changed();
  }

  /**
   * Ends a worker by the ladder. Resolves when it is gone; asking twice is harmless. Throws `WORKER_NOT_FOUND`.
   */
  async stop(id: string, reason: "stopped" | "idle"): Promise<void> {
    const entry = this.#entries.get(id);
    if (!entry?.worker.isListening) throw new RbeeError("WORKER_NOT_FOUND", { details: { worker_id: id } });
    await this.#stopEntry(entry, { reason, drain: true });
  }

  /** Ends a worker that does not do what it should: without asking, since it may not hear. */
  async fail(id: string, ending: Ending): Promise<void> {
    const entry = this.#entries.get(id);
    if (!entry?.worker.beginEnd(ending)) return;
    this.#options.log.error("worker is killed", { worker_id: id, reason: ending.reason, code: ending.error?.code });
    this.#options.events.changed();
    await entry.process.child.kill();
    await entry.gone;
  }

  async #stopEntry(entry: WorkerEntry, how: { reason: "stopped" | "idle"; drain: boolean }): Promise<void> {
    const { isLoading } = entry.worker;
    if (entry.worker.beginEnd({ reason: how.reason })) {
      this.#options.log.info("worker is stopped", { worker_id: entry.worker.facts.id, reason: how.reason });
      this.#options.events.changed();
      const { drainMs, termGraceMs } = this.#options;
      // One that loads has nothing to finish, and may be stuck: all rungs together would hold a keeper up for 15 s.
      if (isLoading) await entry.process.child.kill();
      else await stopWorker(entry.process.child, entry.peer, { drain: how.drain, drainMs, termGraceMs });
    }
    await entry.gone;
  }

  /** Ends all workers at once and takes no new ones. Resolves when they are gone; never rejects. */
  async stopAll(options: { drain: boolean }): Promise<void> {
    this.#ending = true;
    const all = [...this.#entries.values()];
    let gone = 0;
    await Promise.all(all.map(async (entry) => {
      if (entry.worker.isListening) await this.#stopEntry(entry, { reason: "stopped", drain: options.drain });
      else if (entry.worker.beginEnd({ reason: "stopped" })) await entry.process.child.kill();
      const { id } = entry.worker.facts;
      this.#narrate("worker-stop", id, `🛑 Worker ${id} has ended (${++gone}/${all.length})`);
    }));
  }

  async #whenEnded(entry: WorkerEntry): Promise<void> {
    const { worker } = entry;
    const { id, port } = worker.facts;
    const ended = await entry.process.ended;
    worker.processEnded(); // before the wait: it stood there as idle meanwhile, and was sent tasks
    if (worker.isListening) this.#options.events.changed();
    await within(entry.followed, limits.workerLastStatusMs); // its last words may still be on their way
    this.#entries.delete(id);
    this.#options.ports.release(port);
    if (worker.isListening) tellGone(entry, ended, this.#options);
  }

  #narrate(action: string, target: string, human: string, correlationId?: string): void {
    const correlation = correlationId === undefined ? {} : { correlation_id: correlationId };
    this.#options.events.narrate({ actor: "rbee-hive", action, target, human, ...correlation });
  }
}
