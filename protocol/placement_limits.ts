/**
 * The bounds of queue and placement: a part of `limits.ts`, through which everybody reads them.
 *
 * @module
 */

/** `Ms` milliseconds, `Max` an upper bound. */
export const placementLimits = Object.freeze({
  /** Tasks that wait. */
  queueTasksMax: 1_000,
  /** Of one model: a model that nobody can serve quickly must not keep the others out. */
  queueTasksPerModelMax: 500,
  /** How often whoever waits longer than usual is told about it, after the first lines. */
  queueNarrationMs: 10_000,
  /** What prompts have in common is compared in pieces of this length. */
  prefixBlockChars: 256,
  prefixBlocksMax: 256,
  /** How long what a hub said of a model is good, and of how many models it is remembered. */
  modelFactsMs: 300_000,
  modelFactsKeptMax: 256,
  /** How long idle workers that make room may take to be gone: longer than the stop ladder. */
  evictMs: 35_000,
  /** How long a task waits for the memory of a worker until those who came later and want that worker come after it. */
  roomPatienceMs: 10_000,
  /** How long what was found among many machines holds, unless what it says happens. */
  placeAgainMs: 100,
  /** How long a plan waits for machines that are not connected yet. */
  planHivesMs: 15_000,
});
