/**
 * What a hive says of models' files: downloads, checks, imports.
 *
 * @module
 */
import * as z from "zod";
import { limits } from "./limits.ts";
import { modelRecord } from "./model.ts";

const downloadId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/);

/** Schema of one file of a model as another hive has it. */
export const peerFile = z.strictObject({
  /** Its path in the repository. */
  path: z.string().min(1).max(limits.filePathCharsMax),
  size_bytes: z.number().int().min(1),
  /** 64 hex digits. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

/** Schema of one download of a hive. */
export const downloadRecord = z.object({
  download_id: downloadId,
  model_ref: z.string(),
  state: z.enum(["waiting", "downloading", "verifying", "complete", "failed", "canceled"]),
  /** `hub`: this hive fetches it; `peer`: a queen sends it from another hive. */
  source: z.enum(["hub", "peer"]),
  bytes_downloaded: z.number(),
  bytes_total: z.number(),
});

/** One download of a hive. */
export type DownloadRecord = z.infer<typeof downloadRecord>;

/** Schema of the JSON event that ends `verifyModel`. */
export const modelVerified = z.object({
  model_ref: z.string(),
  /** `unknown-digest`: nobody told one, so only the header and the length were looked at. */
  result: z.enum(["ok", "damaged", "missing", "unknown-digest"]),
  digest: z.string().nullable(),
});

/** Schema of the JSON event that ends `importModels`. */
export const modelsImported = z.object({
  models: z.array(modelRecord),
  /** What lay there and could not be taken, with the reason. */
  skipped: z.array(z.object({ path: z.string(), reason: z.string() })),
});
