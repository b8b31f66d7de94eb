/**
 * What is out there: hives, workers, and workers on their way. It hears what hives say and what is not said in time,
 * and tells the scheduler which waits are over. Pure.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { HiveStatus, WorkerGone } from "../protocol/hive_routes.ts";
import { limits } from "../protocol/limits.ts";
import type { Narration } from "../protocol/narration.ts";
import { localNodeName } from "../protocol/node.ts";
import { FleetKnown } from "./fleet_known.ts";
import type { FleetListener } from "./fleet_listener.ts";
import { describeWait } from "./fleet_text.ts";
import { Hives } from "./hives.ts";
import type { Demand, NodeView, SpawnChoice } from "./known.ts";
import { loadingTimeout } from "./loading_timeout.ts";
import { ModelWork } from "./model_work.ts";
import type { Outbox } from "./outbox.ts";
import { Prefixes } from "./prefixes.ts";
import { afterHiveGone, afterWorkerGone, isOfMachine, type Verdict } from "./retry.ts";
import type { WaitsFor } from "./scheduled_task.ts";
import type { TaskWish } from "./scheduler_messages.ts";
import { type Spawn, Spawns } from "./spawns.ts";
import { type SpawnedWorker, Workers } from "./workers.ts";

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

/** Hives, workers and what is on its way, on all nodes. */
export class Fleet {
  readonly workers: Workers = new Workers((node) => this.known.touch(node));
  readonly models: ModelWork;
  /** What placement looks at. */
  readonly known: FleetKnown;
  readonly #prefixes = new Prefixes();
  readonly #hives: Hives;
  readonly #spawns: Spawns;
  readonly #out: Outbox;
  readonly #loadMs: number;
  readonly #listener: FleetListener;
  /** Workers that went before their hive's answer to the spawn arrived. */
  readonly #goneEarly = new Map<string, WorkerGone>();

  constructor({ nodes, loadMs, spawnMs, random }: FleetOptions, out: Outbox, listener: FleetListener) {
    this.#out = out;
    this.#listener = listener;
    this.#loadMs = loadMs;
    this.#hives = new Hives(nodes, out, random);
    this.#spawns = new Spawns(out, spawnMs);
    this.models = new ModelWork(out, listener, (node) => this.known.touch(node));
    const { book, fetches } = this.models;
    const [hives, workers, spawns, prefixes] = [this.#hives, this.workers, this.#spawns, this.#prefixes];
    const isWanted = listener.isWanted;
    this.known = new FleetKnown({ hives, workers, spawns, fetches, book, prefixes, out, random, isWanted });
  }

  /** Returns every node. */
  nodes(): NodeView[] {
    return [...this.#hives.views()];
  }

  /** Asks for a node's hive. */
  wantHive(node: string): void {
    this.#hives.want(node);
  }

  /** Asks what a model is, unless that is known: on that node, else on this machine, else on any that is up. */
  wantModel(model: string, node?: string): void {
    if (this.known.facts(model)) return;
    const up = this.#hives.views().filter((n) => n.hive === "up" && (node === undefined || n.name === node));
    const asked = up.find((n) => n.name === localNodeName) ?? up[0];
    if (asked) this.models.lookUp(asked.name, model);
  }

  /** A machine was registered. */
  addNode(node: string): void {
    this.#hives.add(node);
  }

  /** A machine is no longer registered; what was on its way there fails with that error. */
  removeNode(node: string, error: RbeeError): void {
    this.onHiveGone(node, error, "failed");
    this.#hives.remove(node);
    this.models.book.forget(node);
  }

  /** Asks for no hive any more. */
  stop(): void {
    this.#hives.stop();
  }

  /** Asks for a worker for this task; workers that make room for it must be gone before. Returns the spawn's id. */
  startWorker(choice: SpawnChoice, wish: TaskWish, demand: Demand): string {
    const { node, evicts } = choice;
    const id = this.#spawns.add(choice, wish, demand);
    for (const worker of evicts) {
      if (this.workers.get(worker)?.leaving) continue;
      this.workers.mark(worker, { leaving: true });
      this.#out.emit({ type: "stopWorker", node, worker });
      this.#out.setTimer(`leave:${worker}`, limits.evictMs);
    }
    if (evicts.length === 0) this.#spawns.send(id);
    this.known.touch(node);
    return id;
  }

  /** Ends what is on its way and nobody waits for; what a hive was asked for comes all the same. */
  dropUnwanted(isWaitedFor: (wait: WaitsFor) => boolean): void {
    this.models.stopUnwanted(isWaitedFor);
    for (const { id, node, sent } of this.#spawns.all()) {
      if (sent || isWaitedFor({ kind: "spawn", id })) continue;
      this.#spawns.remove(id);
      this.known.touch(node);
    }
  }

  /** How many workers are on their way. */
  get spawning(): number {
    return this.#spawns.all().length;
  }

  /** Returns the line that tells a person what such a wait is about. */
  describe(waitsFor: WaitsFor): Omit<Narration, "correlation_id"> | undefined {
    const { workers } = this;
    return describeWait(waitsFor, { workers, spawns: this.#spawns, fetches: this.models.fetches });
  }

  /** Takes a slot for a task's attempt. */
  hold(worker: string, attempt: string, { blocks, runsMs }: { blocks?: readonly number[]; runsMs: number }): void {
    const { now } = this.#out;
    this.workers.hold(worker, attempt, { now, until: now + runsMs });
    if (blocks) this.#prefixes.note(worker, blocks, this.workers.get(worker)?.slotsTotal ?? 1);
  }

  /** Gives it back. Safe to repeat. */
  release(attempt: string): void {
    this.workers.release(attempt, this.#out.now);
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
    const elsewhere = { node, error };
    this.#listener.onWaitOver({ kind: "hive", id: node }, verdict, elsewhere);
    this.models.dropNode(node, verdict, error);
    for (const spawn of this.#spawns.on(node)) this.#endSpawn(spawn.id, verdict, elsewhere);
    // Streams go past the hive, so they may well go on without it: they get as long as a worker is given to drain.
    const graceMs = how === "unreachable" ? limits.lostWorkerGraceMs : limits.drainMs;
    for (const worker of this.workers.on(node)) this.#dropWorker(worker.id, { then: "retry", error }, graceMs);
    this.workers.freed.clear(node);
  }

  /** A hive's whole picture. */
  onHiveStatus(node: string, status: HiveStatus): void {
    if (!this.#hives.isKnown(node)) return; // it was removed, and its hive is still ending
    const isFresh = this.#hives.connected(node, status);
    if (status.models) this.#hives.setModels(node, this.models.book.show(node, status.models));
    const changes = this.workers.applyStatus(node, status.workers, { now: this.#out.now, isFresh });
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

  /** A model has come to a machine's disk, before its hive shows it. */
  onModelArrived(node: string): void {
    this.#hives.setModels(node, this.models.book.on(node));
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
    const isNew = this.workers.addSpawned(spawn.node, spawned, spawn, this.#out.now);
    if (isNew) this.#out.setTimer(`load:${spawned.worker_id}`, this.#loadMs);
  }

  /** A hive refused a spawn, or could not be asked. Its own error tells why, and would be the same a second time. */
  onSpawnFailed(id: string, error: RbeeError): void {
    const node = this.#spawns.get(id)?.node;
    if (mayWorkAgain.has(error.code)) return this.#endSpawn(id, { then: "retry", error });
    const elsewhere = node !== undefined && isOfMachine(error) ? { node, error } : undefined;
    this.#endSpawn(id, { then: "fail", error, suspect: false }, elsewhere);
  }

  #endSpawn(id: string, verdict: Verdict, elsewhere?: { node: string; error: RbeeError }): void {
    const spawn = this.#spawns.remove(id);
    if (!spawn) return;
    this.known.touch(spawn.node);
    if (this.#spawns.all().length === 0) this.#goneEarly.clear();
    this.#listener.onWaitOver({ kind: "spawn", id }, verdict, elsewhere);
  }

  #dropWorker(id: string, verdict: Verdict, graceMs: number): void {
    const node = this.workers.get(id)?.node;
    this.workers.remove(id);
    this.#prefixes.forget(id);
    for (const kind of ["load", "gone", "suspect", "refusal", "leave"]) this.#out.clearTimer(`${kind}:${id}`);
    this.#listener.onWaitOver({ kind: "worker", id }, verdict);
    this.#listener.onWorkerLost(id, { graceMs, error: verdict.then === "wait" ? undefined : verdict.error });
    if (node !== undefined) { for (const spawn of this.#spawns.on(node)) this.#madeRoom(spawn, id); }
  }

  /** One of the workers that made room is gone; when all are, the hive is asked. */
  #madeRoom(spawn: Spawn, worker: string): void {
    if (!spawn.evicts.delete(worker) || spawn.evicts.size > 0 || !this.#hives.isUp(spawn.node)) return;
    if (!this.#spawns.send(spawn.id)) return;
    const waitsFor: WaitsFor = { kind: "spawn", id: spawn.id };
    this.#listener.onNarration(waitsFor, this.describe(waitsFor)!);
  }

  /** A worker that was to make room does not end. */
  #onNotLeft(id: string): void {
    const worker = this.workers.get(id);
    if (!worker) return;
    this.workers.mark(id, { leaving: false });
    const error = new RbeeError("INSUFFICIENT_RESOURCES", {
      message: `Cannot start the worker: ${id} on ${worker.node} does not make room`,
      details: { worker_id: id, node: worker.node, timeout_ms: limits.evictMs },
    });
    for (const spawn of this.#spawns.on(worker.node)) {
      const elsewhere = { node: worker.node, error };
      if (spawn.evicts.has(id)) this.#endSpawn(spawn.id, { then: "fail", error, suspect: false }, elsewhere);
    }
  }

  /** The worker has no room: asked again when it says so, a task of ours ends there, or a second has passed. */
  noteRefusal(worker: string): void {
    if (!this.workers.get(worker)) return;
    this.workers.mark(worker, { refuses: true });
    this.#out.setTimer(`refusal:${worker}`, limits.busyNarrationMs[0]);
  }

  /** The worker seems dead: its hive will say so in a moment; until then it is not to be chosen again. */
  noteSuspect(worker: string): void {
    if (!this.workers.get(worker)) return;
    this.workers.mark(worker, { suspect: true });
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
    } else if (kind === "refusal") this.workers.mark(id, { refuses: false });
    else if (kind === "suspect") this.workers.mark(id, { suspect: false });
    else if (kind === "gone") this.onWorkerGone({ worker_id: id, reason: "gone" });
    else if (kind === "load") this.#onLoadTimeout(id);
    else if (kind === "leave") this.#onNotLeft(id);
    else if (kind === "lookup") this.models.onLookUpTimeout(id);
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
    if (worker.record) this.workers.mark(id, { suspect: true }); // until its hive shows it no more
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
    this.#listener.onNarration({ kind: "hive", id: node }, line);
    for (const spawn of this.#spawns.on(node)) this.#listener.onNarration({ kind: "spawn", id: spawn.id }, line);
  }
}
