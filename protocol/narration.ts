/**
 * Narration: one sentence at a time that tells the person at the keeper what is happening, and who says so.
 *
 * @module
 */
import * as z from "zod";

/** Schema of one narration event. */
export const narration = z.object({
  /** The program that speaks: `queen-rbee`, `rbee-hive`, `llm-worker-rbee`. */
  actor: z.string(),
  /** What it does, noun and verb: `worker-spawn`, `task-wait`. */
  action: z.string(),
  /** What it does it to: a worker's id, a node's name, a model. */
  target: z.string(),
  /** For people, under 100 characters; it may begin with an icon. */
  human: z.string(),
  correlation_id: z.string().optional(),
});

/** One narration event. */
export type Narration = z.infer<typeof narration>;
