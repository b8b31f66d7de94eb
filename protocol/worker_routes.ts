/**
 * The worker's endpoints.
 *
 * @module
 */
import * as z from "zod";
import { inferenceAnswer, inferenceRequest } from "./inference.ts";
import { route } from "./routes.ts";
import { shutdownAccepted } from "./worker.ts";

/** The worker's endpoints. */
export const workerRoutes = Object.freeze({
  health: route({ method: "GET", path: "/health", access: "public" }),
  healthV1: route({
    method: "GET",
    path: "/v1/health",
    access: "public",
    answer: z.object({
      status: z.enum(["healthy", "unhealthy"]),
      version: z.string(),
      state: z.string(),
      vram_bytes: z.number(),
      uptime_seconds: z.number(),
      /** S19, S20: what the file's header says; null while loading. */
      model: z.object({
        model_ref: z.string(),
        variant: z.string(),
        architecture: z.string(),
        quantization: z.string(),
        vocab_size: z.number(),
        eos_token_id: z.number(),
        context_length: z.number(),
        ctx: z.number(),
        size_bytes: z.number(),
        layers_total: z.number(),
        threads: z.number(),
      }).nullable(),
    }),
  }),
  ready: route({
    method: "GET",
    path: "/v1/ready",
    access: "token",
    answer: z.object({
      ready: z.boolean(),
      state: z.string(),
      progress_url: z.string().optional(),
      model_loaded: z.boolean().optional(),
    }),
  }),
  loadingProgress: route({ method: "GET", path: "/v1/loading/progress", access: "token", stream: true }),
  inference: route({
    method: "POST",
    path: "/v1/inference",
    access: "token",
    body: inferenceRequest,
    answer: inferenceAnswer,
    stream: true,
  }),
  cancel: route({ method: "DELETE", path: "/v1/inference/:id", access: "token" }),
  /** `workerStatus` at once after each change, as default events. */
  events: route({ method: "GET", path: "/v1/events", access: "token", stream: true }),
  shutdown: route({ method: "POST", path: "/v1/admin/shutdown", access: "token", answer: shutdownAccepted }),
  metrics: route({ method: "GET", path: "/metrics", access: "public", stream: true }),
});
