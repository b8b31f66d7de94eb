/**
 * The hive's endpoints, and what it sends on its event stream.
 *
 * @module
 */
import * as z from "zod";
import { downloadRecord, peerFile } from "./hive_models.ts";
import { limits } from "./limits.ts";
import { modelFacts, modelRecord } from "./model.ts";
import { backend, machine } from "./node.ts";
import { route } from "./routes.ts";
import { shutdownAccepted, spawnedWorker, spawnWorker, workerReady, workerRecord } from "./worker.ts";

const modelText = z.string().min(1).max(limits.modelRefCharsMax);
const namedModel = z.strictObject({ model_ref: modelText });

const logQuery = z.object({
  worker: z.string().optional(),
  lines: z.coerce.number().int().min(0).max(limits.logLinesMax).default(limits.logLinesDefault),
  follow: z.stringbool().default(false),
});

/** The hive's endpoints. */
export const hiveRoutes = Object.freeze({
  health: route({
    method: "GET",
    path: "/v1/health",
    access: "public",
    answer: z.object({
      status: z.literal("alive"),
      version: z.string(),
      api_version: z.literal("v1"),
      /** Shows whose hive this is, without its token: whoever took the port of a hive that is gone is not told it. */
      home_id: z.string(),
    }),
  }),
  healthShort: route({ method: "GET", path: "/health", access: "public" }),
  live: route({ method: "GET", path: "/health/live", access: "public" }),
  ready: route({ method: "GET", path: "/health/ready", access: "public" }),
  metrics: route({ method: "GET", path: "/metrics", access: "public", stream: true }),
  spawnWorker: route({
    method: "POST",
    path: "/v1/workers/spawn",
    access: "token",
    body: spawnWorker,
    answer: spawnedWorker,
  }),
  workerReady: route({
    method: "POST",
    path: "/v1/workers/ready",
    access: "worker",
    body: workerReady,
    answer: z.object({ message: z.string() }),
  }),
  listWorkers: route({
    method: "GET",
    path: "/v1/workers/list",
    access: "token",
    answer: z.object({ workers: z.array(workerRecord) }),
  }),
  shutdownWorker: route({
    method: "POST",
    path: "/v1/workers/:id/shutdown",
    access: "token",
    answer: shutdownAccepted,
  }),
  models: route({
    method: "GET",
    path: "/v1/models",
    access: "token",
    answer: z.object({ models: z.array(modelRecord) }),
  }),
  /**
   * What a reference means, without fetching it: the header is read where it lies. `local_path` when it is here. An
   * ambiguous one is `MODEL_AMBIGUOUS` with `details.variants`.
   */
  lookUpModel: route({
    method: "POST",
    path: "/v1/models/lookup",
    access: "token",
    body: namedModel,
    answer: modelFacts.extend({
      local_path: z.string().nullable(),
      /** What would still have to be fetched; less than `size_bytes` when a part of it is here. */
      download_bytes: z.number().int().min(0),
    }),
  }),
  /**
   * Starts a download or joins the one under way. It goes on while anybody follows its progress, and stops
   * `downloadLingerMs` after the last one left; what came stays for the next time. `local_path` when it is here already.
   */
  downloadModel: route({
    method: "POST",
    path: "/v1/models/download",
    access: "token",
    body: namedModel.extend({
      /** `peer`: the bytes come by `receiveModel` from whoever asks; the hub tells digest and length all the same. */
      source: z.enum(["hub", "peer"]).default("hub"),
      /** What the sender knows of the files, for `peer` when the hub does not answer. */
      files: z.array(peerFile).min(1).max(limits.splitFilesMax).optional(),
    }),
    answer: z.object({
      /** `here` when there is nothing to fetch. */
      download_id: z.string(),
      local_path: z.string().optional(),
      /** How many bytes of each file are here: where a sender goes on. */
      files: z.array(z.object({ size_bytes: z.number(), offset: z.number() })).optional(),
    }),
  }),
  /**
   * Bytes of one file of a download from a `peer`, as the body, from `offset` on. The files come in their order. An offset
   * that does not go on from what is here is refused with the right `details.file` and `details.offset`.
   */
  receiveModel: route({
    method: "POST",
    path: "/v1/models/download/:id/bytes",
    access: "token",
    query: z.object({
      file: z.coerce.number().int().min(0).max(limits.splitFilesMax).default(0),
      offset: z.coerce.number().int().min(0).default(0),
    }),
    upload: true,
    answer: z.object({ offset: z.number(), complete: z.boolean() }),
  }),
  /** S16: `progressEvent`s, the last one `complete` or `error`, then the end mark; in between named `narration` events. */
  downloadProgress: route({
    method: "GET",
    path: "/v1/models/download/progress",
    access: "token",
    query: z.object({ id: z.string().min(1).max(limits.nameCharsMax) }),
    stream: true,
  }),
  downloads: route({
    method: "GET",
    path: "/v1/models/downloads",
    access: "token",
    answer: z.object({ downloads: z.array(downloadRecord) }),
  }),
  cancelDownload: route({ method: "DELETE", path: "/v1/models/download/:id", access: "token" }),
  /** Forgets a model and removes its files, when they are rbee's own and no worker has them. */
  removeModel: route({
    method: "POST",
    path: "/v1/models/remove",
    access: "token",
    body: namedModel,
    answer: z.object({ model_ref: z.string(), removed_bytes: z.number(), kept: z.array(z.string()) }),
  }),
  /** Reads every byte again. `progressEvent`s, then one JSON event (`modelVerified`), then the end mark. */
  verifyModel: route({
    method: "POST",
    path: "/v1/models/verify",
    access: "token",
    body: namedModel,
    stream: true,
  }),
  /** Takes a GGUF file of this machine, or the models of an Ollama or Hugging Face cache folder, into the catalog. */
  importModels: route({
    method: "POST",
    path: "/v1/models/import",
    access: "token",
    /** Progress, then one JSON event (`modelsImported`), then the end mark. */
    body: z.strictObject({ path: z.string().min(1).max(limits.pathCharsMax) }),
    stream: true,
  }),
  /** The bytes of one file of a model that is here, from `offset` on. */
  modelBytes: route({
    method: "GET",
    path: "/v1/models/bytes",
    access: "token",
    query: z.object({
      model_ref: modelText,
      /** Number of the file in a split model, from 0. */
      file: z.coerce.number().int().min(0).max(limits.splitFilesMax).default(0),
      offset: z.coerce.number().int().min(0).default(0),
    }),
    stream: true,
  }),
  backends: route({
    method: "GET",
    path: "/v1/backends",
    access: "token",
    answer: z.object({ backends: z.array(z.object({ name: backend, available: z.boolean(), devices: z.number() })) }),
  }),
  resources: route({
    method: "GET",
    path: "/v1/resources",
    access: "token",
    answer: machine.extend({
      ram_total_gb: z.number(),
      ram_available_gb: z.number(),
      disk_total_gb: z.number(),
      disk_available_gb: z.number(),
    }),
  }),
  events: route({ method: "GET", path: "/v1/events", access: "token", stream: true }),
  lease: route({
    method: "POST",
    path: "/v1/lease",
    access: "token",
    body: z.strictObject({
      /** Names the queen that holds this hive: the same for every queen of one RBEE_HOME, of which only one can live. */
      queen_id: z.string().min(1).max(limits.nameCharsMax),
      host: z.string().min(1).max(255),
      version: z.string().min(1).max(64),
    }),
    answer: z.object({
      lease_ms: z.number(),
      /** Whether this hive ends when its lease is over: false for one that an operator started. */
      leased: z.boolean(),
    }),
  }),
  logs: route({ method: "GET", path: "/v1/logs", access: "token", query: logQuery, stream: true }),
  shutdown: route({ method: "POST", path: "/v1/admin/shutdown", access: "token", answer: shutdownAccepted }),
});
