/**
 * What each spawn was promised, from its preflight until its process holds it: two that come at once never get the same
 * memory.
 *
 * @module
 */
import { processMemory } from "../native/memory.ts";
import type { Placement, PromiseMemory } from "./preflight.ts";
import { type Reservation, reservationOf } from "./reservations.ts";
import type { SpawnPlan } from "./spawn_plan.ts";
import type { WorkerEntry } from "./worker_entry.ts";

/** The promises of one hive. */
export class PromisedMemory {
  readonly #entries: () => Iterable<WorkerEntry>;
  readonly #promised = new Set<Placement>();

  /** `entries` gives the workers whose processes were started. */
  constructor(entries: () => Iterable<WorkerEntry>) {
    this.#entries = entries;
  }

  /** See `PromiseMemory`. */
  readonly promise: PromiseMemory = (place) => {
    const placement = place(this.reserved());
    this.#promised.add(placement);
    return placement;
  };

  /** Ends a promise: the process is what holds the memory from here on, or nobody wants it any more. */
  keep(placement: Placement): void {
    this.#promised.delete(placement);
  }

  /** Returns the memory that looks free and is spoken for. */
  reserved(): Reservation[] {
    const promised = [...this.#promised].map((placement) =>
      reservationOf({ ...placement, isLoading: true, heldBytes: 0, loadedShare: 0 })
    );
    return [...promised, ...Iterator.from(this.#entries()).map(reservationOfEntry)];
  }
}

function reservationOfEntry({ worker, plan, process }: WorkerEntry): Reservation {
  const { status, isLoading } = worker;
  const { layers_loaded: loaded, layers_total: total } = status ?? {};
  const held = processMemory(process.child.pid);
  return reservationOf({
    ...plan.placement,
    isLoading,
    heldBytes: held?.anonymousBytes ?? 0,
    mappedBytes: held?.fileBytes,
    loadedShare: loaded !== undefined && total ? loaded / total : 0,
  });
}

/** Returns where a plan's worker will be, and what was done so that it fits, for a person. */
export function whereText({ placement, ctx }: Pick<SpawnPlan, "placement" | "ctx">): string {
  return [
    placement.gpuName ?? placement.backend,
    ...(placement.gpuLayers === undefined ? [] : [`${placement.gpuLayers} layers there, the rest on the CPU`]),
    ...(placement.ctx === undefined ? [] : [`with a context of ${ctx} tokens, which fits`]),
  ].join(", ");
}
