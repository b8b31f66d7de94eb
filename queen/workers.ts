/**
 * The queen's copy of what each hive last said about its workers, and which of their slots her own tasks hold. A copy:
 * it never decides that a worker ends, and a worker that refuses is right, not the copy.
 *
 * @module
 */
import type { WorkerRecord, WorkerState } from "../protocol/worker.ts";
import { ByKey } from "./by_key.ts";
import type { Bytes, Demand, Takes, WorkerView } from "./known.ts";
import { Freed, heldBy } from "./worker_memory.ts";

/** A hive's answer to a spawn. */
export interface SpawnedWorker {
  readonly worker_id: string;
  readonly url: string;
  readonly state: WorkerState;
}

/** One known worker. Changed only by `Workers`. */
export interface KnownWorker extends WorkerView {
  readonly url: string;
  /** As the hive sent it; undefined until it did. */
  readonly record?: WorkerRecord;
}

type Entry = { -readonly [K in keyof KnownWorker]: KnownWorker[K] };

/** What a worker was started for, and what it was expected to take. */
export interface Asked {
  readonly demand: Demand;
  readonly slots?: number;
  readonly takes?: Takes;
}

/** What a hive's whole picture changed. Worker ids. */
export interface StatusChanges {
  readonly loading: string[];
  /** Were loading, and have loaded. */
  readonly loaded: string[];
  /** More layers than before. */
  readonly progressed: string[];
  /** Were loading and are not in the picture: why will come as an event of its own. */
  readonly missing: string[];
  /** Had loaded and are not in the picture any more. */
  readonly gone: string[];
}

/** Every worker that is known, on every node. */
export class Workers {
  readonly #entries = new Map<string, Entry>();
  readonly #byModel = new ByKey<Entry>();
  readonly #byNode = new ByKey<Entry>();
  /** Which worker an attempt (`task#attempt`) holds a slot of, and until when that is expected. */
  readonly #holds = new Map<string, { readonly worker: string; readonly until: number }>();
  readonly #held = new ByKey<string>();
  /** What a worker was started for, until its hive shows it and ever after: its record does not say it. */
  readonly #asked = new Map<string, Asked>();
  readonly #onChange: (node: string) => void;
  readonly #expect: (record: WorkerRecord) => Bytes | undefined;
  /** What workers held that are gone, until the figures of their machine show it. */
  readonly freed = new Freed();

  /** `onChange` is told of each machine on which something changes, `expect` tells what a worker takes. */
  constructor(onChange: (node: string) => void, expect: (record: WorkerRecord) => Bytes | undefined) {
    this.#onChange = onChange;
    this.#expect = expect;
  }

  /** Returns every worker, as placement reads them. Live objects. */
  all(): KnownWorker[] {
    return [...this.#entries.values()];
  }

  /** Returns those with a model. Live. */
  of(model: string): readonly KnownWorker[] {
    return this.#byModel.get(model);
  }

  /** Returns those of a machine. Live. */
  on(node: string): readonly KnownWorker[] {
    return this.#byNode.get(node);
  }

  /** Returns one worker, or undefined. */
  get(id: string): KnownWorker | undefined {
    return this.#entries.get(id);
  }

  /** How many slots are held on all workers. */
  get held(): number {
    return this.#holds.size;
  }

  /**
   * Takes a hive's whole picture of its workers at a time. `isFresh`: its machine's figures are newer than those of the
   * picture before. Returns what changed by it.
   */
  applyStatus(node: string, records: readonly WorkerRecord[], { now, isFresh }: Seen): StatusChanges {
    const changes: StatusChanges = { loading: [], loaded: [], progressed: [], missing: [], gone: [] };
    if (isFresh) this.freed.clear(node);
    for (const record of records) this.#applyRecord(node, record, { changes, now, isFresh });
    const shown = new Set(records.map((r) => r.id));
    for (const entry of this.on(node)) {
      // One that was never shown has only just been answered for: the picture may be older than that answer.
      if (shown.has(entry.id) || entry.record === undefined) continue;
      // New figures do not count it any more, so there is nothing to be added when it is forgotten.
      if (isFresh) this.#entries.get(entry.id)!.memory = undefined;
      if (entry.state === "loading") changes.missing.push(entry.id);
      else changes.gone.push(entry.id);
    }
    this.#onChange(node);
    return changes;
  }

  #applyRecord(node: string, record: WorkerRecord, { changes, now, isFresh }: Seen & { changes: StatusChanges }): void {
    const entry = this.#entries.get(record.id);
    const before = entry && { state: entry.state, layers: entry.record?.layers_loaded };
    const isUsed = record.last_activity_unix !== entry?.record?.last_activity_unix;
    const next = this.#merge(node, record, entry);
    const takes = this.#asked.get(record.id)?.takes ?? this.#expect(record);
    const memory = heldBy(record, { before: entry?.memory, takes, isFresh });
    const known = this.#put({ ...next, memory, lastUsed: isUsed ? now : entry?.lastUsed ?? now }, entry);
    if (known.state === "loading") {
      changes.loading.push(record.id);
      if (record.layers_loaded !== before?.layers) changes.progressed.push(record.id);
    } else if (before?.state === "loading") changes.loaded.push(record.id);
    // Only a picture that shows a free slot says that a refusal is over.
    if (record.slots_available > 0 && record.state === "idle") known.refuses = false;
  }

  /** Keeps an entry's object: lists hold it. */
  #put(next: Entry, before: Entry | undefined): Entry {
    if (before && before.model === next.model && before.node === next.node) return Object.assign(before, next);
    if (before) this.#take(before);
    this.#entries.set(next.id, next);
    this.#byModel.add(next.model, next);
    this.#byNode.add(next.node, next);
    return next;
  }

  #take(entry: Entry): void {
    this.#entries.delete(entry.id);
    this.#byModel.remove(entry.model, entry);
    this.#byNode.remove(entry.node, entry);
  }

  #merge(node: string, record: WorkerRecord, before: Entry | undefined): Entry {
    const asked = this.#asked.get(record.id)?.demand;
    return {
      id: record.id,
      node,
      url: record.url,
      model: record.model_ref,
      backend: record.backend,
      device: record.device,
      state: stateOf(record, before),
      slotsTotal: record.slots_total,
      slotsHeld: before?.slotsHeld ?? 0,
      ctx: record.ctx,
      ctxAsked: asked?.ctx,
      keepS: record.keep_s ?? asked?.keepS,
      refuses: before?.refuses ?? false,
      suspect: before?.suspect ?? false,
      leaving: before?.leaving,
      freeAt: before?.freeAt,
      record,
    };
  }

  /** Adds a worker that its hive has answered for and not shown yet. Returns false when it is known already. */
  addSpawned(node: string, spawned: SpawnedWorker, asked: Asked, now: number): boolean {
    const { demand, slots, takes } = asked;
    this.#asked.set(spawned.worker_id, asked);
    this.#onChange(node);
    const known = this.#entries.get(spawned.worker_id);
    if (known) {
      known.ctxAsked = demand.ctx;
      known.keepS ??= demand.keepS;
      if (takes && known.record) {
        known.memory = heldBy(known.record, { before: known.memory, takes, isFresh: false });
      }
      return false;
    }
    const entry: Entry = {
      id: spawned.worker_id,
      node,
      url: spawned.url,
      model: demand.model,
      backend: demand.backend ?? takes?.backend,
      device: demand.device ?? takes?.deviceIndex,
      state: "loading", // whatever it says: only its hive's picture tells how many slots it has
      slotsTotal: slots ?? 1,
      slotsHeld: 0,
      ctxAsked: demand.ctx,
      keepS: demand.keepS,
      refuses: false,
      suspect: false,
      lastUsed: now,
      ...(takes && { memory: { host: takes.host, device: takes.device, unseen: takes } }),
    };
    this.#put(entry, undefined);
    return true;
  }

  /** Forgets a worker. Slots that attempts hold on it stay theirs until these end. */
  remove(id: string): void {
    const entry = this.#entries.get(id);
    this.#asked.delete(id);
    if (!entry) return;
    this.#take(entry);
    this.freed.add(entry);
    this.#onChange(entry.node);
  }

  /** Whether an attempt holds a slot. */
  holds(attempt: string): boolean {
    return this.#holds.has(attempt);
  }

  /** Takes a slot for an attempt, which is expected to end at that time. */
  hold(worker: string, attempt: string, { now, until }: { now: number; until: number }): void {
    this.#holds.set(attempt, { worker, until });
    this.#held.add(worker, attempt);
    this.#count(worker, now);
  }

  /** Gives a slot back; a freed slot is worth another try at a worker that refused. Safe to repeat. */
  release(attempt: string, now: number): void {
    const worker = this.#holds.get(attempt)?.worker;
    if (worker === undefined) return;
    this.#holds.delete(attempt);
    this.#held.remove(worker, attempt);
    this.#count(worker, now);
    const entry = this.#entries.get(worker);
    if (entry) entry.refuses = false;
  }

  #count(worker: string, now: number): void {
    const entry = this.#entries.get(worker);
    if (!entry) return;
    const held = this.#held.get(worker);
    entry.slotsHeld = held.length;
    entry.lastUsed = now;
    entry.freeAt = held.length === 0 ? undefined : Math.min(...held.map((one) => this.#holds.get(one)!.until));
    this.#onChange(entry.node);
  }

  /** Notes what is to be thought of a worker: it said that its slots are busy, it is not to be used, it makes room. */
  mark(id: string, marks: Partial<Pick<WorkerView, "refuses" | "suspect" | "leaving">>): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    Object.assign(entry, marks);
    this.#onChange(entry.node);
  }
}

/** When a picture came, and whether the machine's figures in it are newer than before. */
export interface Seen {
  readonly now: number;
  readonly isFresh: boolean;
}

/** One whose load failed shows as unhealthy, then as draining, until its process has ended: why comes with that end. */
function stateOf(record: WorkerRecord, before: Entry | undefined): WorkerState {
  const hasLoaded = record.state === "idle" || record.state === "busy";
  return before?.state === "loading" && !hasLoaded ? "loading" : record.state;
}
