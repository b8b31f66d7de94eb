/**
 * The hive's endpoints for models that are on this machine's disk.
 *
 * @module
 */
import { RbeeError, toErrorBody } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { limits } from "../protocol/limits.ts";
import { headers } from "../protocol/routes.ts";
import { doneText, encodeJsonEvent } from "../protocol/sse.ts";
import type { Log } from "../runtime/log.ts";
import { type Context, type Endpoint, endpoint } from "../runtime/serve.ts";
import type { ModelFile } from "./catalog.ts";
import { importFrom, importModels } from "./import.ts";
import { countModelBytesSent } from "./measures.ts";
import type { Models } from "./models.ts";
import type { Pool } from "./pool.ts";
import { removeModel } from "./remove_model.ts";
import { rowToVerify, verifyModel, type Waiter } from "./verify.ts";

/** What the endpoints answer from. */
export interface ModelParts {
  readonly models: Models;
  readonly pool: Pool;
  readonly log: Log;
}

/** Returns the endpoints. */
export function modelEndpoints({ models, pool, log }: ModelParts): Endpoint[] {
  const workers = () => pool.workers().map((worker) => worker.facts.modelRef);
  return [
    endpoint(hiveRoutes.models, async () => ({ models: await models.list() })),
    endpoint(hiveRoutes.removeModel, async ({ body }) => {
      const removed = await removeModel(models, body.model_ref, { workers });
      log.info("model removed", { ...removed });
      return removed;
    }),
    endpoint(hiveRoutes.verifyModel, async ({ body, context }) => {
      const row = await rowToVerify(models, body.model_ref);
      return longWork(context, log, (waiter) => verifyModel(models, row, waiter));
    }),
    endpoint(hiveRoutes.importModels, async ({ body, context }) => {
      const found = await importFrom(body.path);
      return longWork(context, log, (waiter) => importModels(models, found, waiter));
    }),
    endpoint(hiveRoutes.modelBytes, async ({ query, context }) => {
      const { files } = await models.find(models.parse(query.model_ref));
      const file = files[query.file];
      if (!file || query.offset > file.size) {
        throw new RbeeError("INVALID_REQUEST", {
          message: file
            ? `Cannot send the file from byte ${query.offset} on: it has ${file.size} bytes`
            : `Cannot send file ${query.file}: the model has ${files.length}`,
          details: { files: files.length, size_bytes: file?.size },
        });
      }
      return await sendFile(context, file, query.offset);
    }),
  ];
}

/** Returns a stream of progress that ends with what `work` returns or throws, as an event, and the end mark. */
function longWork(context: Context, log: Log, work: (waiter: Waiter) => Promise<unknown>): Response {
  return context.stream(async (out) => {
    const signal = AbortSignal.any([out.signal, context.stopping]);
    let last: unknown;
    try {
      last = await work({ signal, tell: (progress) => out.write(encodeJsonEvent(progress, "progress")) });
    } catch (error) {
      if (out.signal.aborted) return;
      if (!(error instanceof RbeeError)) log.error("cannot go on with a model", { error });
      last = toErrorBody(error, context.correlationId);
    }
    await out.write(encodeJsonEvent(last) + doneText);
  });
}

/** The reader sets the pace. A file that gets shorter meanwhile breaks the stream: its length was promised. */
async function sendFile(context: Context, file: ModelFile, offset: number): Promise<Response> {
  const open = await Deno.open(file.path);
  try {
    await open.seek(offset, Deno.SeekMode.Start);
  } catch (error) {
    open.close();
    throw error;
  }
  const left = file.size - offset;
  return context.stream(async (out) => {
    using source = open;
    for (let sent = 0; sent < left;) {
      const piece = new Uint8Array(Math.min(limits.modelPieceBytes, left - sent)); // the stream keeps it: a new one each time
      const n = await source.read(piece);
      if (n === null) throw new RbeeError("CONNECTION_LOST", { message: "Cannot go on: the file has become shorter" });
      await out.write(piece.subarray(0, n));
      countModelBytesSent(n);
      sent += n;
    }
  }, {
    contentType: "application/octet-stream",
    keepAlive: false,
    headers: { "content-length": String(left), ...(file.digest && { [headers.digest]: file.digest }) },
  });
}
