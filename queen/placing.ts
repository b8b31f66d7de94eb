/**
 * What follows for the tasks that wait: each is placed in its turn, and what its placement asks for is done. A part of
 * the scheduler.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { Fairness } from "./fairness.ts";
import type { Fleet } from "./fleet.ts";
import type { Placement } from "./known.ts";
import type { Outbox } from "./outbox.ts";
import { placeOnNodes, placeOnWorkers } from "./placement.ts";
import { expectedOf } from "./placement_score.ts";
import { sameWait, type Task, type WaitsFor } from "./scheduled_task.ts";
import type { KnownWorker } from "./workers.ts";

/** What only the scheduler does. */
export interface PlacingHost {
  /** Those that wait, in the order of submission. */
  waiting(): Task[];
  start(task: Task, worker: KnownWorker): void;
  end(task: Task, end: "done" | "failed", more: { error?: RbeeError; worker?: string }): void;
}

type AwaitSlot = Extract<Placement, { kind: "await-slot" }>;

/** Places waiting tasks. */
export class Placing {
  readonly fairness = new Fairness();
  readonly #fleet: Fleet;
  readonly #out: Outbox;
  readonly #host: PlacingHost;
  /** What was found for a demand lately, when all machines were looked at. */
  readonly #found = new Map<string, { readonly placement: Placement; readonly at: number }>();

  constructor(fleet: Fleet, out: Outbox, host: PlacingHost) {
    this.#fleet = fleet;
    this.#out = out;
    this.#host = host;
  }

  /** Looks at every waiting task in the order of turns. Tasks that ask for the same wait for the same. */
  placeWaiting(): void {
    const waiting = this.#host.waiting();
    if (waiting.length > 0) this.#placeAll(waiting);
    else this.#found.clear();
    this.#fleet.dropUnwanted((wait) =>
      waiting.some((task) => task.phase === "waiting" && sameWait(task.waitsFor, wait))
    );
  }

  #placeAll(waiting: readonly Task[]): void {
    for (const task of waiting) task.model = this.#fleet.models.book.canonical(task.model, this.#out.now);
    const seen = new Map<string, Placement>();
    const queues = new Map<string, { length: number; placed: number }>();
    for (const { model } of waiting) {
      const queue = queues.get(model);
      if (queue) queue.length++;
      else queues.set(model, { length: 1, placed: 0 });
    }
    const first = this.#claimant(waiting);
    const turns = this.fairness.order(waiting);
    for (const task of first ? [first, ...turns.filter((one) => one !== first)] : turns) {
      const queue = queues.get(task.model)!;
      const place = this.#placement(task, seen, {
        ahead: queue.placed,
        claim: task === first ? task.number : undefined,
      });
      this.#carryOut(task, place, { position: queue.placed + 1, of: queue.length });
      if (task.phase === "waiting") queue.placed++;
      else queue.length--;
    }
  }

  /** Who has waited for memory for so long that it is not passed over any more: the one that came first. */
  #claimant(waiting: readonly Task[]): Task | undefined {
    const since = this.#out.now - limits.roomPatienceMs;
    return waiting.find(({ roomSince }) => roomSince !== undefined && roomSince <= since);
  }

  #placement(
    task: Task,
    seen: Map<string, Placement>,
    { ahead, claim }: { ahead: number; claim?: number },
  ): Placement {
    const before = seen.get(task.demandKey);
    if (before && !isBetterCold(before, ahead)) return before;
    const { known } = this.#fleet;
    const job = { ...task.job(ahead), claim };
    const placement = placeOnWorkers(task.demand, known, job) ?? this.#remembered(task, ahead) ??
      this.#remember(task, placeOnNodes(task.demand, known, job));
    if (isSame(placement)) seen.set(task.demandKey, placement);
    return placement;
  }

  /** To look at a thousand machines for each waiting task at each event would take all the time. */
  #remembered(task: Task, ahead: number): Placement | undefined {
    const one = this.#found.get(task.demandKey);
    if (!one || this.#fleet.known.nodes.length < manyNodes || isBetterCold(one.placement, ahead)) return undefined;
    if (this.#out.now - one.at >= limits.placeAgainMs) return undefined;
    if (!this.#isPending(one.placement, task)) return undefined;
    if (!this.#out.isArmed("place:again")) this.#out.setTimer("place:again", limits.placeAgainMs);
    return one.placement;
  }

  #isPending(placement: Placement, task: Task): boolean {
    if (placement.kind === "start-hive") return this.#fleet.known.node(placement.node)?.hive === "starting";
    return placement.kind === "await-slot" || placement.kind === "look-up" && this.#fleet.models.isLookedUp(task.model);
  }

  #remember(task: Task, placement: Placement): Placement {
    if (this.#fleet.known.nodes.length < manyNodes) return placement;
    if (this.#found.size >= foundMax) this.#found.clear();
    this.#found.set(task.demandKey, { placement, at: this.#out.now });
    return placement;
  }

  /** What was found out about tasks like this one does not hold any more. */
  forget(task: Task): void {
    this.#found.delete(task.demandKey);
  }

  #carryOut(task: Task, placement: Placement, queue: { position: number; of: number }): void {
    if (task.wish.explain) this.#explain(task, placement);
    const loads = task.wish.kind === "load";
    switch (placement.kind) {
      case "reuse":
        if (loads) return this.#host.end(task, "done", { worker: placement.worker });
        return this.#start(task, placement.worker);
      case "await-slot": {
        if (loads && !placement.error) return this.#host.end(task, "done", { worker: placement.workers[0] });
        task.waitsFor = { kind: "slot", id: "" };
        task.roomSince = placement.error ? task.roomSince ?? this.#out.now : undefined;
        const { slotsTotal, error } = placement;
        const expectedMs = expectedStart(placement, queue.position - 1);
        const over = task.slotWait.begin(this.#out, { slotsTotal, error, ...queue, expectedMs });
        return over ? this.#host.end(task, "failed", { error: over }) : undefined;
      }
      case "await-loading":
        return this.#await(task, { kind: "worker", id: placement.worker });
      case "await-spawn":
        return this.#await(task, { kind: "spawn", id: placement.spawn });
      case "await-fetch":
        return this.#await(task, { kind: "fetch", id: placement.fetch });
      case "refuse":
        return this.#host.end(task, "failed", { error: placement.error });
      default:
        return this.#prepare(task, placement);
    }
  }

  /** The steps towards a new worker. */
  #prepare(task: Task, placement: Extract<Placement, { kind: "start-hive" | "look-up" | "fetch" | "spawn" }>): void {
    const { node } = placement;
    const { correlationId } = task.wish;
    if (placement.kind === "start-hive") {
      this.#fleet.wantHive(node);
      return this.#await(task, { kind: "hive", id: node });
    }
    if (placement.kind === "look-up") {
      this.#fleet.models.lookUp(node, task.model);
      return this.#await(task, { kind: "lookup", id: task.model });
    }
    if (placement.kind === "fetch") {
      const { from, takes, bytes } = placement;
      const id = this.#fleet.models.bring({ node, from, takes, bytes, model: task.model, correlationId });
      return this.#await(task, { kind: "fetch", id });
    }
    if (task.spawned++ >= spawnsPerTaskMax) {
      return this.#host.end(task, "failed", { error: noneFits(task, placement) });
    }
    this.#await(task, { kind: "spawn", id: this.#fleet.startWorker(placement, task.wish, task.demand) });
  }

  #start(task: Task, id: string): void {
    const worker = this.#fleet.workers.get(id)!;
    const job = { ...task.job(0), answerTokens: task.wish.answerTokens ?? task.job(0).answerTokens };
    const runsMs = 1_000 * expectedOf(worker, job, this.#fleet.known).answer;
    task.roomSince = undefined;
    this.#host.start(task, worker);
    this.#fleet.hold(id, task.attemptName, { blocks: job.blocks, runsMs });
    this.fairness.take(task);
  }

  #await(task: Task, waitsFor: WaitsFor): void {
    task.roomSince = undefined;
    task.slotWait.reset(this.#out);
    if (sameWait(task.waitsFor, waitsFor)) return;
    task.waitsFor = waitsFor;
    const narration = this.#fleet.describe(waitsFor);
    if (narration) this.#out.emit({ type: "narrate", task: task.id, narration });
  }

  /** Tells a decision and its reasons on one line, when it is another one than before. */
  #explain(task: Task, placement: Placement): void {
    const { node, worker, spawn, fetch } = { node: "", worker: "", spawn: "", fetch: "", ...placement };
    const what = [placement.kind, node, worker, spawn, fetch].join(" ");
    // What a decision leads to by itself is no other one: of that tell the lines about hive, model and worker.
    if (task.explained === what || (task.explained !== undefined && isOnItsWay(placement))) return;
    task.explained = what;
    const human = `🧭 ${headline(placement)}: ${placement.reasons.join("; ")}`;
    const narration = { actor: "queen-rbee", action: "task-place", target: task.id, human };
    this.#out.emit({ type: "narrate", task: task.id, narration });
  }
}

const isOnItsWay = ({ kind }: Placement) => kind.startsWith("await-") && kind !== "await-slot";

const foundMax = 1_000;

/** From so many machines on, they are not all looked at for each event. */
const manyNodes = 50;

/** A task whose workers all turn out not to serve it must not start workers for ever. */
const spawnsPerTaskMax = 3;

function noneFits(task: Task, placement: Placement): RbeeError {
  return new RbeeError("WORKER_FAILED", {
    message: `Cannot finish: of ${spawnsPerTaskMax} workers that were started none could serve the task`,
    details: { model: task.model, reasons: placement.reasons },
  });
}

/** Whether the next task that asks for the same gets the same; who takes a slot or starts something changes what is there. */
function isSame(placement: Placement): boolean {
  return placement.kind.startsWith("await-") || placement.kind === "refuse";
}

/** Whether a task with so many before it is better off with a new worker than in this queue. */
function isBetterCold(placement: Placement, ahead: number): boolean {
  if (placement.kind !== "await-slot" || placement.coldMs === undefined) return false;
  return (expectedStart(placement, ahead) ?? 0) > placement.coldMs;
}

/** Milliseconds until a task with so many before it is expected to have a slot. */
function expectedStart({ expectedMs, restMs, slotsTotal }: AwaitSlot, ahead: number): number | undefined {
  if (expectedMs === undefined) return undefined;
  return expectedMs + Math.floor(ahead / Math.max(1, slotsTotal)) * (restMs ?? 0);
}

function headline(placement: Placement): string {
  switch (placement.kind) {
    case "reuse":
      return `It goes to ${placement.worker}`;
    case "spawn":
      return `A worker is started on ${placement.node}`;
    case "fetch":
      return `The model goes to ${placement.node}`;
    case "start-hive":
      return `The hive on ${placement.node} is started`;
    case "look-up":
      return `The model is looked up on ${placement.node}`;
    case "refuse":
      return "No machine can take it";
    default:
      return "It waits";
  }
}
