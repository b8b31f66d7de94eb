/**
 * The models of the simulated world: what a hub tells of them, and what they take.
 *
 * @module
 */
import { contextChoices, memoryNeed } from "../../protocol/memory_need.ts";
import type { ModelFacts } from "../../protocol/model.ts";

const mb = 1024 * 1024;

const sizesMb: Readonly<Record<string, number>> = Object.freeze({
  "hf:org/small:Q4_0": 800,
  "hf:org/middle:Q4_0": 2_500,
  "hf:org/large:Q8_0": 5_000,
  "hf:org/huge:F16": 60_000,
});

/** Models of a hub: some fit everywhere, one nowhere. */
export const hubModels: readonly string[] = Object.keys(sizesMb);

/** One that no hub has. */
export const missingModel = "hf:org/missing:Q4_0";

/** Returns what a hub tells; undefined of what it does not have, and of models that are no hub's. */
export function factsOf(ref: string): ModelFacts | undefined {
  if (!Object.hasOwn(sizesMb, ref)) return undefined;
  return { ref, size_bytes: sizesMb[ref] * mb, digest: `sha256:${ref}`, quantization: "Q4_0", shape: null };
}

/** Returns the bytes of memory that a worker takes; 0 of those models of which nobody knows the size. */
export function takenBy(ref: string, slots: number): number {
  const facts = factsOf(ref);
  return facts ? memoryNeed(facts, { backend: "cpu", slots, ctx: contextChoices(null)[0] }).hostBytes : 0;
}
