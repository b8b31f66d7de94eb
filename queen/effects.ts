/**
 * Carries out what the scheduler wants, over the network and with real timers, and reports back as events. Holds no
 * rules: nothing here decides.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import type { BodyInput } from "../protocol/routes.ts";
import { doneText, encodeJsonEvent } from "../protocol/sse.ts";
import { call } from "../runtime/call.ts";
import type { Log } from "../runtime/log.ts";
import type { HiveControl } from "./hive_control.ts";
import { ModelEffects } from "./model_effects.ts";
import { ModelFetches } from "./model_fetches.ts";
import { onNode } from "./node_error.ts";
import { Relay } from "./relay.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Effect, SchedulerEvent } from "./scheduler_messages.ts";
import type { Tasks } from "./tasks.ts";

/** Finds the hive of a node; undefined when no such node is known. */
export type HivesByNode = Pick<ReadonlyMap<string, HiveControl>, "get">;

/** Whom the effects reach. */
export interface EffectsOptions {
  readonly scheduler: Scheduler;
  readonly tasks: Tasks;
  readonly hives: HivesByNode;
  readonly log: Log;
  /** How long a hive may take to answer a spawn. */
  readonly spawnMs: number;
}

type EffectOf<T extends Effect["type"]> = Extract<Effect, { type: T }>;

/** The hands of the scheduler. */
export class Effects {
  readonly #options: EffectsOptions;
  readonly #timers = new Map<string, number>();
  /** By `task#attempt`. */
  readonly #relays = new Map<string, Relay>();
  /** What brings models to nodes; for whoever wants one without a task, too. */
  readonly fetches: ModelFetches;
  readonly #models: ModelEffects;
  readonly #events: SchedulerEvent[] = [];
  #isBusy = false;

  constructor(options: EffectsOptions) {
    this.#options = options;
    this.fetches = new ModelFetches(options);
    this.#models = new ModelEffects(this.fetches, (event) => this.dispatch(event));
  }

  /**
   * Hands an event to the scheduler and carries out what follows, before it returns. An event that arises meanwhile
   * waits its turn: the scheduler sees one at a time, and effects happen in their order.
   */
  dispatch(event: SchedulerEvent): void {
    this.#events.push(event);
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) {
        for (const effect of this.#options.scheduler.handle(next, performance.now())) this.#attempt(effect);
      }
    } finally {
      this.#isBusy = false;
    }
  }

  /** One that cannot be carried out must not take those after it along: they concern other tasks. */
  #attempt(effect: Effect): void {
    const failed = (error: unknown) =>
      this.#options.log.error("an effect could not be carried out", { effect: effect.type, error });
    try {
      this.#carryOut(effect)?.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  #carryOut(effect: Effect): Promise<void> | void {
    const { tasks, hives } = this.#options;
    switch (effect.type) {
      case "setTimer":
        return this.#setTimer(effect.timer, effect.ms);
      case "clearTimer":
        clearTimeout(this.#timers.get(effect.timer));
        this.#timers.delete(effect.timer);
        return;
      case "ensureHive":
        return hives.get(effect.node)?.ensure();
      case "spawnWorker":
        return this.#spawnWorker(effect);
      case "stopWorker":
        return this.#stopWorker(effect);
      case "startTask":
        return this.#startTask(effect);
      case "stopTask":
        return this.#relays.get(`${effect.task}#${effect.attempt}`)?.stop(effect.how, effect.error);
      case "narrate":
        return tasks.get(effect.task)?.narrate(effect.narration);
      case "progress":
        return tasks.get(effect.task)?.progress(effect.progress);
      case "taskEnded":
        return this.#endTask(effect);
      case "lookUpModel":
        return this.#models.lookUp(effect);
      case "fetchModel":
        return this.#models.bring(effect);
      case "stopFetch":
        return this.#models.stop(effect.fetch);
    }
  }

  #setTimer(timer: string, ms: number): void {
    clearTimeout(this.#timers.get(timer));
    const handle = setTimeout(() => {
      this.#timers.delete(timer);
      this.dispatch({ type: "timerFired", timer });
    }, ms);
    this.#timers.set(timer, handle);
  }

  async #spawnWorker(effect: EffectOf<"spawnWorker">): Promise<void> {
    const { spawn, node, demand, slots, correlationId } = effect;
    const hive = this.#options.hives.get(node);
    const body: BodyInput<typeof hiveRoutes.spawnWorker> = {
      model_ref: demand.model,
      backend: demand.backend,
      device: demand.device,
      ctx: demand.ctx,
      keep_s: demand.keepS,
      slots,
    };
    try {
      if (!hive?.peer) throw new RbeeError("CONNECTION_LOST", { details: { node } });
      const options = { body, correlationId, deadlineMs: this.#options.spawnMs, attempts: 1 };
      const worker = await call(hive.peer, hiveRoutes.spawnWorker, options);
      this.dispatch({ type: "spawnAnswered", spawn, worker });
    } catch (thrown) {
      const error = toRbeeError(thrown);
      this.#options.log.warn("worker not started", { node, code: error.code, error: error.message });
      // If the hive itself is gone or going, that is what the scheduler must hear first: it starts another one then.
      if (error.code.startsWith("CONNECTION_")) await hive?.check();
      if (error.code === "SHUTTING_DOWN") await hive?.untilGone();
      this.dispatch({ type: "spawnFailed", spawn, error: onNode(error, node) });
    }
  }

  async #stopWorker({ node, worker }: EffectOf<"stopWorker">): Promise<void> {
    try {
      const peer = this.#options.hives.get(node)?.peer;
      if (!peer) return;
      await call(peer, hiveRoutes.shutdownWorker, { params: { id: worker }, deadlineMs: limits.shutdownAckMs });
    } catch (error) {
      // Its hive has the same time-out and a ladder of its own.
      this.#options.log.warn("worker not stopped", { node, worker, error });
    }
  }

  async #startTask({ task: id, attempt, worker }: EffectOf<"startTask">): Promise<void> {
    const task = this.#options.tasks.get(id);
    const hive = this.#options.hives.get(worker.node);
    if (!task?.request || !hive) {
      const error = new RbeeError("INTERNAL_ERROR");
      return this.dispatch({ type: "streamEnded", task: id, attempt, end: { kind: "refused", error } });
    }
    const relay = new Relay({
      peer: hive.workerPeer(worker.id, worker.url),
      worker: worker.id,
      request: task.request as ConstructorParameters<typeof Relay>[0]["request"],
      sink: task,
      correlationId: task.correlationId,
      deadlineMs: task.deadlineMs,
      whyGone: () => hive.whyGone(),
    });
    this.#relays.set(`${id}#${attempt}`, relay);
    const end = await relay.run();
    this.#relays.delete(`${id}#${attempt}`);
    this.dispatch({ type: "streamEnded", task: id, attempt, end });
  }

  #endTask({ task: id, end, error, worker }: EffectOf<"taskEnded">): void {
    const { tasks, scheduler, log } = this.#options;
    const known = worker === undefined ? undefined : scheduler.workers().find((w) => w.id === worker);
    const last = known?.record &&
      encodeJsonEvent({ ...known.record, worker_id: known.id, node: known.node }) + doneText;
    const fields = { task: id, end, ...(error && { code: error.code, error: error.message }) };
    if (end === "failed") log.warn("task ended", fields);
    else log.info("task ended", fields);
    tasks.finish(id, { end, error, worker }, last);
  }

  /** Stops all timers and fetches: nothing happens by itself any more. */
  stop(): void {
    for (const handle of this.#timers.values()) clearTimeout(handle);
    this.#timers.clear();
    this.#models.stopAll();
  }
}
