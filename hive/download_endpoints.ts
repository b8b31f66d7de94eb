/**
 * The hive's endpoints about models that are elsewhere: looking them up, and fetching them.
 *
 * @module
 */
import { hiveRoutes } from "../protocol/hive_routes.ts";
import type { ModelRef } from "../protocol/model.ts";
import { type Endpoint, endpoint } from "../runtime/serve.ts";
import type { Downloads } from "./downloads.ts";
import type { RemoteRef } from "./hub.ts";
import type { Models } from "./models.ts";
import { discardDamaged } from "./remove_model.ts";

/** What they answer from. */
export interface DownloadParts {
  readonly models: Models;
  readonly downloads: Downloads;
}

const isRemote = (ref: ModelRef): ref is RemoteRef => ref.provider === "hf" || ref.provider === "http";

/** Returns the endpoints. */
export function downloadEndpoints({ models, downloads }: DownloadParts): Endpoint[] {
  return [
    endpoint(hiveRoutes.lookUpModel, async ({ body, context }) => {
      const ref = models.parse(body.model_ref);
      if (!isRemote(ref)) {
        const { path } = await models.find(ref);
        return { ...await models.factsOf(ref), local_path: path, download_bytes: 0 };
      }
      const { facts, localPath, downloadBytes } = await downloads.lookUp(ref, context.signal);
      return { ...facts, local_path: localPath, download_bytes: downloadBytes };
    }),
    endpoint(hiveRoutes.downloadModel, async ({ body }) => {
      const ref = models.parse(body.model_ref);
      if (!isRemote(ref)) return { download_id: "here", local_path: (await models.find(ref)).path };
      await discardDamaged(models, ref);
      return await downloads.start(ref, body.source, body.files);
    }),
    endpoint(hiveRoutes.receiveModel, async ({ params, query, context }) => {
      return await downloads.get(params.id).take(query, context.upload);
    }),
    endpoint(hiveRoutes.downloadProgress, ({ query, context }) => {
      const download = downloads.get(query.id);
      return context.stream((out) => download.follow(out));
    }),
    endpoint(hiveRoutes.downloads, () => ({ downloads: downloads.list() })),
    endpoint(hiveRoutes.cancelDownload, async ({ params }) => {
      const download = downloads.get(params.id);
      download.cancel("asked by request");
      await download.ended;
      return download.record;
    }),
  ];
}
