/**
 * What is known of models: what hubs said when they were asked, and what lies on machines' disks. Pure.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { ModelFacts } from "../protocol/model.ts";

interface Told {
  readonly facts: ModelFacts;
  readonly at: number;
}

/** Facts of models, bounded: of the ones that were asked for longest ago nothing is kept. */
export class ModelBook {
  /** By the reference that was asked for, the newest last. */
  readonly #told = new Map<string, Told>();
  readonly #failed = new Map<string, { readonly error: RbeeError; readonly at: number }>();
  /** What lies on disks, and on how many. */
  readonly #onDisks = new Map<string, { facts: ModelFacts; disks: number }>();
  readonly #disks = new Map<string, ReadonlySet<string>>();
  readonly #nothing: ReadonlySet<string> = new Set();

  /** Notes what a reference means; the answer of a hub, at a time in milliseconds. */
  learn(model: string, facts: ModelFacts, now: number): void {
    this.#failed.delete(model);
    for (const ref of new Set([model, facts.ref])) keep(this.#told, ref, { facts, at: now });
  }

  /** Notes that nobody could tell what a reference means. */
  fail(model: string, error: RbeeError, now: number): void {
    keep(this.#failed, model, { error, at: now });
  }

  /** Notes that a model is asked for anew. */
  ask(model: string): void {
    this.#failed.delete(model);
  }

  /** Returns why nobody could tell lately what a reference means. */
  failure(model: string): RbeeError | undefined {
    return this.#failed.get(model)?.error;
  }

  /** Returns what is known of a model, from a disk or from what a hub said lately; undefined: it must be asked. */
  facts(model: string, now: number): ModelFacts | undefined {
    const disk = this.#onDisks.get(model)?.facts;
    const told = this.#told.get(model);
    if (told && now - told.at > limits.modelFactsMs) {
      // What lies on a disk does not change by itself.
      if (!this.#onDisks.has(told.facts.ref)) return disk;
    }
    // A hub tells the shape, and so does the header on disk; either may lack it.
    return disk?.shape ? disk : told?.facts ?? disk;
  }

  /** Returns the canonical reference of a model that was asked for in another way. */
  canonical(model: string, now: number): string {
    return this.facts(model, now)?.ref ?? model;
  }

  /**
   * Returns what lies on some disk and could be meant by a reference without a quant, when a hub cannot be asked.
   * Undefined when there are several, or none.
   */
  likeOnDisk(model: string): ModelFacts | undefined {
    const found = [...this.#onDisks].filter(([ref]) => ref.startsWith(`${model}:`) || ref.startsWith(`${model}@`));
    return found.length === 1 ? found[0][1].facts : undefined;
  }

  /** Takes a machine's list of its models. Returns their references; the same set as before when nothing changed. */
  show(node: string, models: readonly ModelFacts[]): ReadonlySet<string> {
    const before = this.#disks.get(node) ?? this.#nothing;
    if (models.length === before.size && models.every(({ ref }) => before.has(ref))) return before;
    this.#drop(before);
    const refs = new Set(models.map(({ ref }) => ref));
    for (const facts of models) this.#add(facts);
    this.#disks.set(node, refs);
    return refs;
  }

  /** Notes that a model has come to a machine's disk, which its hive will show as well. */
  arrived(node: string, facts: ModelFacts): void {
    const before = this.on(node);
    if (before.has(facts.ref)) return;
    this.#add(facts);
    this.#disks.set(node, new Set([...before, facts.ref]));
  }

  /** Returns the references of what is on a machine's disk. */
  on(node: string): ReadonlySet<string> {
    return this.#disks.get(node) ?? this.#nothing;
  }

  /** Forgets a machine's disk. */
  forget(node: string): void {
    this.#drop(this.#disks.get(node) ?? this.#nothing);
    this.#disks.delete(node);
  }

  #add(facts: ModelFacts): void {
    const known = this.#onDisks.get(facts.ref);
    if (!known) this.#onDisks.set(facts.ref, { facts, disks: 1 });
    else {
      known.disks++;
      if (!known.facts.shape) known.facts = facts;
    }
  }

  #drop(refs: ReadonlySet<string>): void {
    for (const ref of refs) {
      const known = this.#onDisks.get(ref);
      if (known && --known.disks === 0) this.#onDisks.delete(ref);
    }
  }
}

/** Keeps a value as the newest, and no more than the bound. */
function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > limits.modelFactsKeptMax) map.delete(map.keys().next().value!);
}
