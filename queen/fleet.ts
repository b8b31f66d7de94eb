/**
 * What is out there: hives, workers, and workers on their way. It hears what hives say and what is not said in time,
 * and tells the scheduler which waits are over. Pure.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { HiveStatus, WorkerGone } from "../protocol/hive_status.ts";
import { limits } from "../protocol/limits.ts";
import type { Narration } from "../protocol/narration.ts";
import { localNodeName } from "../protocol/node.ts";
import type { Plan } from "../protocol/plan.ts";
import { FleetKnown } from "./fleet_known.ts";
import type { FleetListener } from "./fleet_listener.ts";
import { describeWait } from "./fleet_text.ts";
import { Hives } from "./hives.ts";
import type { Demand, NodeView, SpawnChoice } from "./known.ts";
import { ModelWork } from "./model_work.ts";
import type { Outbox } from "./outbox.ts";
import { takenBy } from "./placement_memory.ts";
import { usualJob } from "./placement_score.ts";
import { planFor, toldOf } from "./plan.ts";
import { Prefixes } from "./prefixes.ts";
import { afterHiveGone, afterWorkerGone, type Verdict } from "./retry.ts";
import type { WaitsFor } from "./scheduled_task.ts";
import type { TaskWish } from "./scheduler_messages.ts";
import { Spawns } from "./spawns.ts";
import { SpawnWork } from "./spawn_work.ts";
import { WorkerLoads } from "./worker_loads.ts";
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

/** Hives, workers and what is on its way, on all nodes. */
export class Fleet {
  readonly workers: Workers = new Workers((node) => this.known.touch(node), (record) => {
    const facts = this.known.facts(record.model_ref);
    return facts && takenBy(facts, record);
  });
  readonly models: ModelWork;
  /** What placement looks at. */
  readonly known: FleetKnown;
  readonly #prefixes = new Prefixes();
  readonly #hives: Hives;
  readonly #spawns: Spawns;
  readonly #out: Outbox;
  readonly #loads: WorkerLoads;
  readonly #listener: FleetListener;
  readonly #spawnWork: SpawnWork;

  constructor({ nodes, loadMs, spawnMs, random }: FleetOptions, out: Outbox, listener: FleetListener) {
    this.#out = out;
    this.#listener = listener;
    this.#hives = new Hives(nodes, out, random);
    this.#spawns = new Spawns(out, spawnMs);
    this.models = new ModelWork(out, listener, (node) => this.known.touch(node));
    const { book, fetches } = this.models;
    const [hives, workers, spawns, prefixes] = [this.#hives, this.workers, this.#spawns, this.#prefixes];
    const isWanted = listener.isWanted;
    const known = new FleetKnown({ hives, workers, spawns, fetches, book, prefixes, out, random, isWanted });
    this.known = known;
    const tell = (spawn: WaitsFor) => listener.onNarration(spawn, this.describe(spawn)!);
    const drop = (id: string, verdict: Verdict) => this.#dropWorker(id, verdict, 0);
    this.#loads = new WorkerLoads({ out, workers, listener, loadMs, drop });
    this.#spawnWork = new SpawnWork({ out, spawns, workers, hives, known, listener, tell });
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

  /** Returns what would become of a task, without doing it. Throws when there is no such machine, or none at all. */
  plan(demand: Demand, slots?: number): Plan {
    const model = this.models.book.canonical(demand.model, this.#out.now);
    const failure = this.models.book.failure(demand.model);
    const job = { ...usualJob, slots };
    const { rows, chosen, error } = planFor({ ...demand, model }, this.known, { job, modelError: failure });
    if (rows.length === 0) throw error;
    const facts = this.known.facts(model) ?? null;
    return { model: facts, model_error: facts || !failure ? null : toldOf(failure), chosen, rows };
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

  /** Asks for a worker for this task. Returns the spawn's id. */
  startWorker(choice: SpawnChoice, wish: TaskWish, demand: Demand): string {
    return this.#spawnWork.start(choice, wish, demand);
  }

  /** Ends what is on its way and nobody waits for. */
  dropUnwanted(isWaitedFor: (wait: WaitsFor) => boolean): void {
    this.models.stopUnwanted(isWaitedFor);
    this.#spawnWork.dropUnwanted(isWaitedFor);
  }

  /** How many workers are on their way. */
  get spawning(): number {
    return this.#spawns.count;
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
    this.#spawnWork.dropNode(node, verdict, elsewhere);
    // Streams go past the hive, so they may well go on without it: they get as long as a worker is given to drain.
    const graceMs = how === "unreachable" ? limits.lostWorkerGraceMs : limits.drainMs;
    for (const worker of this.workers.on(node)) this.#dropWorker(worker.id, { then: "retry", error }, graceMs);
    this.workers.freed.clear(node);
    this.known.touch(node);
  }

  /** A hive's whole picture. */
  onHiveStatus(node: string, status: HiveStatus): void {
    if (!this.#hives.isKnown(node)) return; // it was removed, and its hive is still ending
    const isFresh = this.#hives.connected(node, status);
    if (status.models) this.#hives.setModels(node, this.models.book.show(node, status.models));
    const changes = this.workers.applyStatus(node, status.workers, { now: this.#out.now, isFresh });
    this.#loads.take(changes);
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
    this.#spawnWork.noteGone(gone);
    this.#dropWorker(gone.worker_id, afterWorkerGone(gone), limits.lostWorkerGraceMs);
  }

  /** A hive answered a spawn: the worker listens and loads. */
  onSpawnAnswered(id: string, spawned: SpawnedWorker): void {
    const worker = this.#spawnWork.onAnswered(id, spawned);
    if (worker !== undefined) this.#loads.begin(worker);
  }

  /** A hive refused a spawn, or could not be asked. */
  onSpawnFailed(id: string, error: RbeeError): void {
    this.#spawnWork.onFailed(id, error);
  }

  #dropWorker(id: string, verdict: Verdict, graceMs: number): void {
    const node = this.workers.get(id)?.node;
    this.workers.remove(id);
    this.#prefixes.forget(id);
    for (const kind of ["load", "gone", "suspect", "refusal", "leave"]) this.#out.clearTimer(`${kind}:${id}`);
    this.#listener.onWaitOver({ kind: "worker", id }, verdict);
    this.#listener.onWorkerLost(id, { graceMs, error: verdict.then === "wait" ? undefined : verdict.error });
    if (node !== undefined) this.#spawnWork.madeRoom(node, id);
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
    } else if (kind === "spawn") this.#spawnWork.onUnanswered(id);
    else if (kind === "refusal") this.workers.mark(id, { refuses: false });
    else if (kind === "suspect") this.workers.mark(id, { suspect: false });
    else if (kind === "gone") this.onWorkerGone({ worker_id: id, reason: "gone" });
    else if (kind === "load") this.#loads.onTimeout(id);
    else if (kind === "leave") this.#spawnWork.onNotLeft(id);
    else if (kind === "lookup") this.models.onLookUpTimeout(id);
    else return false;
    return true;
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
