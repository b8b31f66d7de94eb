/**
 * Workers on their way to life: room is made for them, their hive is asked, and answers or does not. It tells the
 * scheduler which waits are over. Pure.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { WorkerGone } from "../protocol/hive_status.ts";
import { limits } from "../protocol/limits.ts";
import type { FleetKnown } from "./fleet_known.ts";
import type { Elsewhere, FleetListener } from "./fleet_listener.ts";
import type { Hives } from "./hives.ts";
import type { Demand, SpawnChoice } from "./known.ts";
import type { Outbox } from "./outbox.ts";
import { isIdle } from "./placement_workers.ts";
import { afterWorkerGone, isOfMachine, type Verdict } from "./retry.ts";
import type { WaitsFor } from "./scheduled_task.ts";
import type { TaskWish } from "./scheduler_messages.ts";
import type { Spawn, Spawns } from "./spawns.ts";
import type { SpawnedWorker, Workers } from "./workers.ts";

/** What it works on. */
export interface SpawnWorkParts {
  readonly out: Outbox;
  readonly spawns: Spawns;
  readonly workers: Workers;
  readonly hives: Hives;
  readonly known: FleetKnown;
  readonly listener: FleetListener;
  /** Tells those who wait for a spawn what is done for it now. */
  readonly tell: (spawn: WaitsFor) => void;
}

const goneKept = 64;

/** A spawn that failed so may well succeed once more: the process died, or its hive did. */
const mayWorkAgain: ReadonlySet<string> = new Set(["CONNECTION_LOST", "WORKER_CRASHED", "WORKER_START_FAILED"]);

/** All workers that are on their way. */
export class SpawnWork {
  readonly #parts: SpawnWorkParts;
  /** Workers that went before their hive's answer to the spawn arrived. */
  readonly #goneEarly = new Map<string, WorkerGone>();

  constructor(parts: SpawnWorkParts) {
    this.#parts = parts;
  }

  /** Asks for a worker for this task; workers that make room for it must be gone before. Returns the spawn's id. */
  start(choice: SpawnChoice, wish: TaskWish, demand: Demand): string {
    const { out, spawns, workers, known } = this.#parts;
    const { node, evicts } = choice;
    const id = spawns.add(choice, wish, demand);
    for (const worker of evicts) {
      if (workers.get(worker)?.leaving) continue;
      workers.mark(worker, { leaving: true });
      out.emit({ type: "stopWorker", node, worker });
      out.setTimer(`leave:${worker}`, limits.evictMs);
    }
    if (evicts.length === 0) spawns.send(id);
    known.touch(node);
    return id;
  }

  /** Forgets those that nobody waits for; what a hive was asked for comes all the same. */
  dropUnwanted(isWaitedFor: (wait: WaitsFor) => boolean): void {
    for (const { id, sent } of this.#parts.spawns.all()) {
      if (!sent && !isWaitedFor({ kind: "spawn", id })) this.#take(id);
    }
  }

  #take(id: string): Spawn | undefined {
    const { spawns, known } = this.#parts;
    const spawn = spawns.remove(id);
    if (spawn) known.touch(spawn.node);
    if (spawns.count === 0) this.#goneEarly.clear();
    return spawn;
  }

  #end(id: string, verdict: Verdict, elsewhere?: Elsewhere): void {
    if (this.#take(id)) this.#parts.listener.onWaitOver({ kind: "spawn", id }, verdict, elsewhere);
  }

  /** A hive answered: the worker listens and loads. Returns its id when it is new. */
  onAnswered(id: string, spawned: SpawnedWorker): string | undefined {
    const gone = this.#goneEarly.get(spawned.worker_id);
    const spawn = this.#take(id);
    if (!spawn) return; // given up meanwhile: its hive's picture shows the worker, which serves whoever comes next
    if (gone) return void this.#parts.listener.onWaitOver({ kind: "spawn", id }, afterWorkerGone(gone));
    const isNew = this.#parts.workers.addSpawned(spawn.node, spawned, spawn, this.#parts.out.now);
    return isNew ? spawned.worker_id : undefined;
  }

  /** A hive refused, or could not be asked. Its own error tells why, and would be the same a second time. */
  onFailed(id: string, error: RbeeError): void {
    const spawn = this.#parts.spawns.get(id);
    if (!spawn) return;
    const { node } = spawn;
    if (mayWorkAgain.has(error.code)) return this.#end(id, { then: "retry", error });
    // It had less memory than it had shown: then idle workers may have to make room.
    if (error.code === "VRAM_EXHAUSTED" && spawn.takes && spawn.evictsAtFirst === 0 && this.#hasIdle(node)) {
      this.#parts.hives.correctMemory(node, error.details);
      return this.#end(id, { then: "wait" });
    }
    this.#end(id, { then: "fail", error, suspect: false }, isOfMachine(error) ? { node, error } : undefined);
  }

  #hasIdle(node: string): boolean {
    return this.#parts.workers.on(node).some((w) => isIdle(w) && w.memory !== undefined);
  }

  /** A hive never answered. */
  onUnanswered(id: string): void {
    const { spawns } = this.#parts;
    this.#end(id, { then: "fail", error: spawns.unanswered(spawns.get(id)?.node ?? ""), suspect: false });
  }

  /** A machine's hive is gone, and with it what it was asked for. */
  dropNode(node: string, verdict: Verdict, elsewhere?: Elsewhere): void {
    for (const { id } of this.#parts.spawns.on(node)) this.#end(id, verdict, elsewhere);
  }

  /** Notes why a worker is gone: its hive's answer to the spawn may come later. */
  noteGone(gone: WorkerGone): void {
    if (this.#parts.spawns.count === 0) return;
    this.#goneEarly.set(gone.worker_id, gone);
    if (this.#goneEarly.size > goneKept) this.#goneEarly.delete(this.#goneEarly.keys().next().value!);
  }

  /** A worker of a machine is gone; when all that make room for a spawn are, the hive is asked. */
  madeRoom(node: string, worker: string): void {
    const { spawns, hives, tell } = this.#parts;
    for (const { id, evicts } of spawns.on(node)) {
      if (!evicts.delete(worker) || evicts.size > 0 || !hives.isUp(node)) continue;
      if (spawns.send(id)) tell({ kind: "spawn", id });
    }
  }

  /** A worker that was to make room does not end. */
  onNotLeft(id: string): void {
    const { workers, spawns } = this.#parts;
    const worker = workers.get(id);
    if (!worker) return;
    workers.mark(id, { leaving: false });
    const { node } = worker;
    const error = new RbeeError("INSUFFICIENT_RESOURCES", {
      message: `Cannot start the worker: ${id} on ${node} does not make room`,
      details: { worker_id: id, node, timeout_ms: limits.evictMs },
    });
    for (const { id: spawn, evicts } of spawns.on(node)) {
      if (evicts.has(id)) this.#end(spawn, { then: "fail", error, suspect: false }, { node, error });
    }
  }
}
