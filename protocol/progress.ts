/**
 * Progress of what takes long: loading a model, sending executables to a node, later downloading a model. The wire form
 * is that of S16 and S31.
 *
 * @module
 */
import * as z from "zod";

/** Schema of one progress event. */
export const progressEvent = z.discriminatedUnion("stage", [
  z.object({
    stage: z.literal("downloading"),
    bytes_downloaded: z.number(),
    bytes_total: z.number(),
    speed_mbps: z.number(),
  }),
  z.object({
    stage: z.literal("sending"),
    /** The file that is on its way; the bytes count all files. */
    file: z.string(),
    bytes_sent: z.number(),
    bytes_total: z.number(),
    speed_mbps: z.number(),
  }),
  z.object({
    /** A model's bytes are read again, or copied within one machine. The bytes count all files of one model. */
    stage: z.enum(["verifying", "copying"]),
    file: z.string(),
    bytes_done: z.number(),
    bytes_total: z.number(),
    speed_mbps: z.number(),
  }),
  z.object({ stage: z.literal("complete"), local_path: z.string() }),
  z.object({
    stage: z.literal("loading_to_vram"),
    layers_loaded: z.number().int(),
    layers_total: z.number().int(),
    vram_mb: z.number(),
  }),
  z.object({ stage: z.literal("ready") }),
  z.object({
    stage: z.literal("error"),
    message: z.string(),
    /** The error itself, as it stands in an error body; for whoever goes on with it. */
    error: z.record(z.string(), z.unknown()).optional(),
  }),
]);

/** One progress event; after `complete`, `ready` and `error` nothing follows but the end mark. */
export type ProgressEvent = z.infer<typeof progressEvent>;

/** The event while a model goes into memory. */
export type LoadingProgress = Extract<ProgressEvent, { stage: "loading_to_vram" }>;

/** Whether nothing follows this event but the end mark. */
export function isLastProgress(event: ProgressEvent): boolean {
  return event.stage === "complete" || event.stage === "ready" || event.stage === "error";
}
