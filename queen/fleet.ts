/**
 * What is out there: hives, workers, and workers on their way. It hears what hives say and what is not said in time,
 * and tells the scheduler which waits are over. Pure.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { Narration } from "../protocol/narration.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import type { HiveStatus, WorkerGone } from "../protocol/hive_routes.ts";
import { Hives } from "./hives.ts";
import { loadingTimeout } from "./loading_timeout.ts";
import type { Outbox } from "./outbox.ts";
import { type Known, type NodeView, whyNot } from "./placement.ts";
import { afterHiveGone, afterWorkerGone, type Verdict } from "./retry.ts";
import type { WaitsFor } from "./scheduled_task.ts";
import type { TaskWish } from "./scheduler_messages.ts";
import { Spawns } from "./spawns.ts";
import { type SpawnedWorker, Workers } from "./workers.ts";

/** Who wants to know: the scheduler. */
export interface FleetListener {
  /** What these tasks waited for will not come. */
  onWaitOver(waitsFor: WaitsFor, verdict: Verdict): void;
  /** A worker seems gone: its streams should end by themselves within that time. */
  onWorkerLost(worker: string, lost: { graceMs: number; error?: RbeeError }): void;
  /** These workers are there, also those that seemed gone. */
  onWorkersSeen(workers: ReadonlySet<string>): void;
  onNarration(waitsFor: WaitsFor, narration: Omit<Narration, "correlation_id">): void;
  onProgress(waitsFor: WaitsFor, progress: ProgressEvent): void;
}

/** What a fleet is made with. Times in milliseconds. */
export interface FleetOptions {
  readonly nodes: readonly string[];
  /** How long a model may take to load. */
  readonly loadMs: number;
  /** How long a hive may take to answer a spawn. */
  readonly spawnMs: number;
  /** Returns a number in [0, 1). */
  readonly random: () => number;
}

const goneKept = 64;

/** A spawn that failed so may well succeed once more: the process died, or its hive did. */
const mayWorkAgain: ReadonlySet<string> = new Set(["CONNECTION_LOST", "WORKER_CRASHED", "WORKER_START_FAILED"]);

/** Hives, workers and spawns of all nodes. */
export class Fleet {
  readonly workers: Workers = new Workers();
  readonly #hives: Hives;
  readonly #spawns: Spawns;
  readonly #out: Outbox;
  readonly #loadMs: number;
  readonly #listener: FleetListener;
  /** Workers that went before their hive's answer to the spawn arrived. */
  readonly #goneEarly = new Map<string, WorkerGone>();

  constructor(options: FleetOptions, out: Outbox, listener: FleetListener) {
    this.#out = out;
    this.#listener = listener;
    this.#loadMs = options.loadMs;
    this.#hives = new Hives(options.nodes, out, options.random);
    this.#spawns = new Spawns(out, options.spawnMs);
  }

  /** Returns what placement looks at. */
  known(): Known {
    return { nodes: this.#hives.views(), workers: this.workers.all(), spawns: this.#spawns.all() };
  }

  /** Returns every node. */
  nodes(): NodeView[] {
    return this.#hives.views();
  }

  /** Asks for a node's hive. */
  wantHive(node: string): void {
    this.#hives.want(node);
  }

  /** A machine was registered. */
  addNode(node: string): void {
    this.#hives.add(node);
  }

  /** A machine is no longer registered; what was on its way there fails with that error. */
  removeNode(node: string, error: RbeeError): void {
    this.onHiveGone(node, error, "failed");
    this.#hives.remove(node);
  }

  /** Asks for no hive any more, and so not for workers on those that are down. */
  stop(): void {
    this.#hives.stop();
    for (const spawn of this.#spawns.all()) if (!spawn.sent) this.#spawns.remove(spawn.id);
  }

  /** Asks for a worker for this task; its hive first when that is not up. Returns the spawn's id. */
  startWorker(node: string, wish: TaskWish): string {
    const id = this.#spawns.add(node, wish);
    this.#hives.want(node);
    if (this.#hives.isUp(node)) this.#spawns.send(id);
    return id;
  }

  /** Returns the line that tells a person what such a wait is about. */
  describe(waitsFor: WaitsFor): Omit<Narration, "correlation_id"> | undefined {
    const worker = waitsFor.kind === "worker" ? this.workers.get(waitsFor.id) : undefined;
    const say = (action: string, target: string, human: string) => ({ actor: "queen-rbee", action, target, human });
    if (worker) return say("model-load", worker.id, `🧠 ${worker.id} on ${worker.node} is loading the model`);
    const node = waitsFor.kind === "spawn" ? this.#spawns.get(waitsFor.id)?.node : undefined;
    if (node === undefined) return undefined;
    if (!this.#hives.isUp(node)) return say("hive-start", node, `🐝 Starting the hive on ${node}`);
    return say("worker-spawn", node, `🚀 Starting a worker on ${node}`);
  }

  /** A hive could not be had (`failed`), or is gone; with it whatever was on its way there. */
  onHiveGone(node: string, error: RbeeError, how: "failed" | "lost" | "unreachable"): void {
    this.#hives.gone(node, error);
    this.#dropNode(node, error, { verdict: afterHiveGone(error, how !== "failed"), how });
  }

  /** A hive was ended on purpose. */
  onHiveReleased(node: string, error: RbeeError): void {
    this.#hives.released(node);
    this.#dropNode(node, error, { verdict: { then: "fail", error, suspect: false }, how: "lost" });
  }

  #dropNode(
    node: string,
    error: RbeeError,
    { verdict, how }: { verdict: Verdict; how: "failed" | "lost" | "unreachable" },
  ): void {
    const hasOthers = this.#hives.views().length > 1;
    for (const spawn of this.#spawns.on(node)) {
      // Whoever named no machine may as well get another one.
      const elsewhere = hasOthers && spawn.demand.node === undefined;
      this.#endSpawn(spawn.id, elsewhere ? { then: "retry", error } : verdict);
    }
    // Streams go past the hive, so they may well go on without it: they get as long as a worker is given to drain.
    const graceMs = how === "unreachable" ? limits.lostWorkerGraceMs : limits.drainMs;
    for (const worker of this.workers.all()) {
      if (worker.node === node) this.#dropWorker(worker.id, { then: "retry", error }, graceMs);
    }
  }

  /** A hive's whole picture. */
  onHiveStatus(node: string, status: HiveStatus): void {
    if (!this.#hives.isKnown(node)) return; // it was removed, and its hive is still ending
    this.#hives.connected(node, status.machine);
    const changes = this.workers.applyStatus(node, status.workers);
    this.#sendSpawns(node);
    for (const id of changes.loading) {
      if (!this.#out.isArmed(`load:${id}`)) this.#out.setTimer(`load:${id}`, this.#loadMs);
    }
    for (const id of changes.progressed) this.#tellProgress(id);
    for (const id of changes.loaded) {
      this.#out.clearTimer(`load:${id}`);
      this.#listener.onProgress({ kind: "worker", id }, { stage: "ready" });
    }
    for (const { id } of status.workers) this.#out.clearTimer(`gone:${id}`);
    this.#listener.onWorkersSeen(new Set(status.workers.map((w) => w.id)));
    for (const id of changes.missing) {
      if (!this.#out.isArmed(`gone:${id}`)) this.#out.setTimer(`gone:${id}`, limits.lostWorkerGraceMs);
    }
    for (const id of changes.gone) this.onWorkerGone({ worker_id: id, reason: "stopped" });
  }

  /** Asks for the workers that waited for this hive. One that has shown a fitting worker already is not asked for another. */
  #sendSpawns(node: string): void {
    for (const { id, demand } of this.#spawns.on(node).filter(({ sent }) => !sent)) {
      if (this.workers.all().some((worker) => whyNot(demand, worker) === undefined)) {
        this.#endSpawn(id, { then: "wait" });
        continue;
      }
      this.#spawns.send(id);
      const waitsFor: WaitsFor = { kind: "spawn", id };
      this.#listener.onNarration(waitsFor, this.describe(waitsFor)!);
    }
  }

  /** A worker is gone, and why. */
  onWorkerGone(gone: WorkerGone): void {
    if (this.#spawns.all().length > 0) {
      this.#goneEarly.set(gone.worker_id, gone);
      if (this.#goneEarly.size > goneKept) this.#goneEarly.delete(this.#goneEarly.keys().next().value!);
    }
    this.#dropWorker(gone.worker_id, afterWorkerGone(gone), limits.lostWorkerGraceMs);
  }

  /** A hive answered a spawn: the worker listens and loads. */
  onSpawnAnswered(id: string, spawned: SpawnedWorker): void {
    const spawn = this.#spawns.remove(id);
    if (!spawn) return; // given up meanwhile: its hive's picture shows the worker, which serves whoever comes next
    const gone = this.#goneEarly.get(spawned.worker_id);
    if (this.#spawns.all().length === 0) this.#goneEarly.clear();
    if (gone) return this.#listener.onWaitOver({ kind: "spawn", id }, afterWorkerGone(gone));
    const isNew = this.workers.addSpawned(spawn.node, spawned, spawn);
    if (isNew) this.#out.setTimer(`load:${spawned.worker_id}`, this.#loadMs);
  }

  /** A hive refused a spawn, or could not be asked. Its own error tells why, and would be the same a second time. */
  onSpawnFailed(id: string, error: RbeeError): void {
    const again = mayWorkAgain.has(error.code);
    this.#endSpawn(id, again ? { then: "retry", error } : { then: "fail", error, suspect: false });
  }

  #endSpawn(id: string, verdict: Verdict): void {
    if (!this.#spawns.remove(id)) return;
    if (this.#spawns.all().length === 0) this.#goneEarly.clear();
    this.#listener.onWaitOver({ kind: "spawn", id }, verdict);
  }

  #dropWorker(id: string, verdict: Verdict, graceMs: number): void {
    this.workers.remove(id);
    for (const kind of ["load", "gone", "suspect", "refusal"]) this.#out.clearTimer(`${kind}:${id}`);
    this.#listener.onWaitOver({ kind: "worker", id }, verdict);
    this.#listener.onWorkerLost(id, { graceMs, error: verdict.then === "wait" ? undefined : verdict.error });
  }

  /** The worker has no room: asked again when it says so, a task of ours ends there, or a second has passed. */
  noteRefusal(worker: string): void {
    if (!this.workers.get(worker)) return;
    this.workers.setRefuses(worker, true);
    this.#out.setTimer(`refusal:${worker}`, limits.busyNarrationMs[0]);
  }

  /** The worker seems dead: its hive will say so in a moment; until then it is not to be chosen again. */
  noteSuspect(worker: string): void {
    if (!this.workers.get(worker)) return;
    this.workers.setSuspect(worker, true);
    this.#out.setTimer(`suspect:${worker}`, limits.lostWorkerGraceMs);
  }

  /** Returns whether the timer was one of the fleet's. */
  onTimer(kind: string, id: string): boolean {
    if (kind === "hive") {
      const error = this.#hives.timerFired(id);
      if (error) this.onHiveGone(id, error, "failed");
    } else if (kind === "spawn") {
      const node = this.#spawns.get(id)?.node ?? "";
      this.#endSpawn(id, { then: "fail", error: this.#spawns.unanswered(node), suspect: false });
    } else if (kind === "refusal") this.workers.setRefuses(id, false);
    else if (kind === "suspect") this.workers.setSuspect(id, false);
    else if (kind === "gone") this.onWorkerGone({ worker_id: id, reason: "gone" });
    else if (kind === "load") this.#onLoadTimeout(id);
    else return false;
    return true;
  }

  /** It loads too long: nobody waits for it any more, and its hive is asked to end it, so that the next task is not caught. */
  #onLoadTimeout(id: string): void {
    const worker = this.workers.get(id);
    if (!worker || worker.state !== "loading") return;
    this.#out.emit({ type: "stopWorker", node: worker.node, worker: id });
    const verdict: Verdict = { then: "fail", error: loadingTimeout(worker, this.#loadMs), suspect: false };
    this.#listener.onWaitOver({ kind: "worker", id }, verdict);
    if (worker.record) this.workers.setSuspect(id, true); // until its hive shows it no more
    else this.#dropWorker(id, verdict, 0);
  }

  #tellProgress(id: string): void {
    const record = this.workers.get(id)?.record;
    if (record?.layers_loaded === undefined || record.layers_total === undefined) return;
    const { layers_loaded, layers_total, vram_mb = 0 } = record;
    this.#listener.onProgress({ kind: "worker", id }, {
      stage: "loading_to_vram",
      layers_loaded,
      layers_total,
      vram_mb,
    });
  }

  /** A hive's own words about a worker, for whoever waits for that worker or for one on that node. */
  onHiveNarration(node: string, narration: Narration): void {
    const { actor, action, target, human } = narration;
    const line = { actor, action, target, human };
    this.#listener.onNarration({ kind: "worker", id: target }, line);
    if (this.workers.get(target)) return;
    for (const spawn of this.#spawns.on(node)) this.#listener.onNarration({ kind: "spawn", id: spawn.id }, line);
  }
}
