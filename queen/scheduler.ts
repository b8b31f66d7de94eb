/**
 * The queen's decisions in time: who waits, who starts, what is tried again, what ends. A pure state machine: `handle`
 * takes one event and the time, and returns the effects that somebody else carries out and reports back as events.
 * Where a task goes is asked of `placement.ts`, what a failed attempt means of `retry.ts`, what is out there of
 * `fleet.ts`.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { Plan } from "../protocol/plan.ts";
import { Fleet, type FleetOptions } from "./fleet.ts";
import type { Elsewhere, FleetListener } from "./fleet_listener.ts";
import type { Demand, NodeView } from "./known.ts";
import { Outbox } from "./outbox.ts";
import { whyNot } from "./placement_workers.ts";
import { Placing } from "./placing.ts";
import { queueFull } from "./queue_bound.ts";
import { afterFailedAttempt, afterLastRetry, lostPart, retriesMax, type Verdict } from "./retry.ts";
import { sameWait, Task, type WaitsFor } from "./scheduled_task.ts";
import type { Effect, SchedulerEvent, StreamEnd, TaskWish } from "./scheduler_messages.ts";
import type { KnownWorker } from "./workers.ts";

/** How much is going on. */
export interface SchedulerCounts {
  readonly waiting: number;
  readonly running: number;
  readonly slotsHeld: number;
  readonly spawns: number;
  readonly timers: number;
}

/** The scheduler. One writer of all its state; everybody else sends events. */
export class Scheduler {
  readonly #out = new Outbox();
  /** In the order of submission, which is the order in which slots are given. */
  readonly #tasks = new Map<string, Task>();
  readonly #fleet: Fleet;
  readonly #placing: Placing;
  #made = 0;
  #draining?: RbeeError;

  constructor(options: FleetOptions) {
    this.#fleet = new Fleet(options, this.#out, this.#listener());
    this.#placing = new Placing(this.#fleet, this.#out, {
      waiting: () => this.#inPhase("waiting"),
      start: (task, worker) => this.#start(task, worker),
      end: (task, end, more) => this.#end(task, end, more),
    });
  }

  /** Takes one event at a time in milliseconds (of any steady clock). Returns what is to be done, in order. */
  handle(event: SchedulerEvent, now: number): Effect[] {
    this.#out.now = now;
    this.#take(event);
    this.#placing.placeWaiting();
    return this.#out.take();
  }

  /** Returns how much is going on. */
  counts(): SchedulerCounts {
    const waiting = this.#inPhase("waiting").length;
    return {
      waiting,
      running: this.#tasks.size - waiting,
      slotsHeld: this.#fleet.workers.held,
      spawns: this.#fleet.spawning,
      timers: this.#out.timers,
    };
  }

  /** Returns every known worker. For lists, never to act on. */
  workers(): KnownWorker[] {
    return this.#fleet.workers.all();
  }

  /** Returns every node. For lists, never to act on. */
  nodes(): NodeView[] {
    return this.#fleet.nodes();
  }

  /** Returns what would become of a task, without doing it. Throws when there is no such machine, or none at all. */
  plan(demand: Demand, slots?: number): Plan {
    return this.#fleet.plan(demand, slots);
  }

  /** Whether somebody is being asked what a model is. */
  isLookedUp(model: string): boolean {
    return this.#fleet.models.isLookedUp(model);
  }

  #take(event: SchedulerEvent): void {
    switch (event.type) {
      case "taskSubmitted":
        return this.#onSubmitted(event.wish);
      case "taskCancelled":
        return this.#onCancelled(event.task, event.gently);
      case "streamEnded":
        return this.#onStreamEnded(event.task, event.attempt, event.end);
      case "timerFired":
        return this.#out.takeFired(event.timer) ? this.#onTimer(event.timer) : undefined;
      case "nodeAdded":
        return this.#fleet.addNode(event.node);
      case "nodeRemoved":
        return this.#fleet.removeNode(event.node, event.error);
      case "hiveWanted":
        return this.#fleet.wantHive(event.node);
      case "hiveConnected":
        return; // it is of use once it has shown what it has: its first picture follows
      case "hiveFailed":
        return this.#fleet.onHiveGone(event.node, event.error, "failed");
      case "hiveLost":
        return this.#fleet.onHiveGone(event.node, event.error, event.unreachable ? "unreachable" : "lost");
      case "hiveReleased":
        return this.#fleet.onHiveReleased(event.node, event.error);
      case "hiveStatus":
        return this.#fleet.onHiveStatus(event.node, event.status);
      case "hiveNarration":
        return this.#fleet.onHiveNarration(event.node, event.narration);
      case "workerGone":
        return this.#fleet.onWorkerGone(event.gone);
      case "spawnAnswered":
        return this.#fleet.onSpawnAnswered(event.spawn, event.worker);
      case "spawnFailed":
        return this.#fleet.onSpawnFailed(event.spawn, event.error);
      case "modelKnown":
      case "modelUnknown":
      case "fetchProgress":
      case "fetchNarration":
      case "fetchDone":
      case "fetchFailed":
        return this.#fleet.models.take(event);
      case "modelWanted":
        return this.#fleet.wantModel(event.model, event.node);
      case "draining":
        this.#draining = event.error;
        this.#inPhase("waiting").forEach((task) => this.#end(task, "failed", { error: event.error }));
        return this.#fleet.stop();
      case "endAll":
        return [...this.#tasks.values()].forEach((task) => this.#end(task, "failed", { error: event.error }));
    }
  }

  #inPhase(phase: Task["phase"]): Task[] {
    return [...this.#tasks.values()].filter((task) => task.phase === phase);
  }

  #onSubmitted(wish: TaskWish): void {
    const task = new Task(wish, ++this.#made);
    task.model = this.#fleet.models.book.canonical(task.model, this.#out.now);
    const waiting = this.#inPhase("waiting");
    this.#tasks.set(wish.id, task);
    if (this.#draining) return this.#end(task, "failed", { error: this.#draining });
    const full = queueFull(waiting, task.model);
    if (full) return this.#end(task, "failed", { error: full });
    this.#out.setTimer(`deadline:${task.id}`, wish.timeoutMs);
  }

  #onCancelled(id: string, gently: boolean): void {
    const task = this.#tasks.get(id);
    if (!task) return;
    if (!gently || task.phase === "waiting") return this.#end(task, "cancelled", { error: canceled() });
    if (task.cancelled) return;
    task.cancelled = true;
    this.#out.emit({ type: "stopTask", task: id, attempt: task.attempt, how: "gently" });
    // The relay bounds this itself; the timer is there so that a lost report cannot hold the client for ever.
    this.#out.setTimer(`lost:${id}`, 2 * limits.cancelAckMs);
  }

  #start(task: Task, worker: KnownWorker): void {
    task.phase = "running";
    task.waitsFor = undefined;
    task.attempt++;
    task.worker = worker.id;
    task.lostBy = undefined;
    task.slotWait.pause(this.#out);
    const address = { id: worker.id, node: worker.node, url: worker.url };
    this.#out.emit({ type: "startTask", task: task.id, attempt: task.attempt, worker: address });
  }

  #onStreamEnded(id: string, attempt: number, end: StreamEnd): void {
    this.#fleet.release(`${id}#${attempt}`);
    const task = this.#tasks.get(id);
    if (!task || task.attempt !== attempt || task.phase !== "running") return;
    this.#out.clearTimer(`lost:${id}`);
    if (end.kind === "done" && task.cancelled) return this.#end(task, "cancelled");
    if (end.kind === "done") return this.#end(task, end.failed ? "failed" : "done");
    if (end.kind === "stopped" || task.cancelled) return this.#end(task, "cancelled", { error: canceled() });
    const worker = task.worker!;
    const verdict = afterFailedAttempt(end);
    if (verdict.then === "wait") {
      this.#fleet.noteRefusal(worker);
      this.#placing.fairness.giveBack(task);
    } else if (verdict.then === "retry" || verdict.suspect) this.#fleet.noteSuspect(worker);
    this.#judge(task, verdict);
  }

  /** Back to its place in the queue, or the end. */
  #judge(task: Task, verdict: Verdict): void {
    if (verdict.then === "fail") return this.#end(task, "failed", { error: verdict.error });
    if (this.#draining) return this.#end(task, "failed", { error: this.#draining });
    if (verdict.then === "retry") {
      const part = lostPart(verdict.error);
      if (task.retries[part]++ >= retriesMax[part]) {
        return this.#end(task, "failed", { error: afterLastRetry(verdict.error) });
      }
    }
    this.#placing.forget(task);
    task.phase = "waiting";
    task.worker = undefined;
    task.waitsFor = undefined;
  }

  /** The one end of every task. */
  #end(task: Task, end: "done" | "failed" | "cancelled", more: { error?: RbeeError; worker?: string } = {}): void {
    this.#tasks.delete(task.id);
    task.slotWait.reset(this.#out);
    this.#out.clearTimer(`deadline:${task.id}`);
    this.#out.clearTimer(`lost:${task.id}`);
    if (this.#fleet.workers.holds(task.attemptName)) {
      this.#out.emit({ type: "stopTask", task: task.id, attempt: task.attempt, how: "now" });
    }
    this.#out.emit({ type: "taskEnded", task: task.id, end, ...more });
  }

  #onTimer(timer: string): void {
    const at = timer.indexOf(":");
    const kind = timer.slice(0, at);
    const id = timer.slice(at + 1);
    if (this.#fleet.onTimer(kind, id)) return;
    const task = this.#tasks.get(id);
    if (!task) return;
    if (kind === "say") task.slotWait.say(this.#out);
    else if (kind === "wait") this.#end(task, "failed", { error: task.slotWait.over() });
    else if (kind === "deadline") this.#end(task, "failed", { error: tooLate(task) });
    else if (kind === "lost" && task.cancelled) this.#end(task, "cancelled", { error: canceled() });
    // The relay knows how many tokens went out, so it reports the end, and that decides.
    else if (kind === "lost") {
      this.#out.emit({ type: "stopTask", task: id, attempt: task.attempt, how: "broken", error: task.lostBy });
    }
  }

  /** What a task waited for will not come from that machine; another one may do. */
  #moveOn(task: Task, verdict: Verdict, { node, error, avoid }: Elsewhere): void {
    if (avoid || verdict.then === "fail") task.avoidNode(node, error);
    if (lostPart(error) !== "worker") return this.#judge(task, { then: "retry", error });
    if (task.avoid.size > machinesPerTaskMax) return this.#judge(task, verdict);
    this.#judge(task, { then: "wait" });
  }

  #listener(): FleetListener {
    const waiters = (w: WaitsFor) => this.#inPhase("waiting").filter((task) => sameWait(task.waitsFor, w));
    const running = (worker: string) => this.#inPhase("running").filter((task) => task.worker === worker);
    return {
      onWaitOver: (waitsFor, verdict, elsewhere) => {
        const hasOthers = this.#fleet.known.nodes.length > 1;
        for (const task of waiters(waitsFor)) {
          const moves = elsewhere && hasOthers && task.demand.node === undefined;
          if (moves) this.#moveOn(task, verdict, elsewhere);
          else this.#judge(task, verdict);
        }
      },
      onModelArrived: (node) => this.#fleet.onModelArrived(node),
      isWanted: (worker, before = Infinity) =>
        this.#inPhase("waiting").some((task) => task.number < before && whyNot(task.demand, worker) === undefined),
      onWorkerLost: (worker, { graceMs, error }) => {
        for (const task of running(worker)) {
          task.lostBy ??= error;
          if (!this.#out.isArmed(`lost:${task.id}`)) this.#out.setTimer(`lost:${task.id}`, graceMs);
        }
      },
      onWorkersSeen: (workers) => {
        for (const task of this.#inPhase("running")) {
          if (workers.has(task.worker!) && !task.cancelled) this.#out.clearTimer(`lost:${task.id}`);
        }
      },
      onNarration: (waitsFor, narration) =>
        waiters(waitsFor).forEach(({ id }) => this.#out.emit({ type: "narrate", task: id, narration })),
      onProgress: (waitsFor, progress) =>
        waiters(waitsFor).forEach(({ id }) => this.#out.emit({ type: "progress", task: id, progress })),
    };
  }
}

/** How many machines may fail a task in ways of their own until it fails. */
const machinesPerTaskMax = 4;

const canceled = () => new RbeeError("REQUEST_CANCELED");

function tooLate(task: Task): RbeeError {
  const seconds = task.wish.timeoutMs / 1_000;
  return new RbeeError("REQUEST_TIMEOUT", {
    message: `Cannot finish in time: the deadline of ${seconds} s passed`,
    details: { timeout_s: seconds, phase: task.phase },
  });
}
