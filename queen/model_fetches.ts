/**
 * Brings models to nodes' disks: one fetch for each model and node, however many wait for it. It lasts as long as
 * anybody does; what came stays on that disk.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { limits } from "../protocol/limits.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import type { AnswerOf } from "../protocol/routes.ts";
import { call } from "../runtime/call.ts";
import { copyModel } from "./model_copy.ts";
import { download } from "./model_download.ts";
import {
  type Fetched,
  type FetchGround,
  type FetchListener,
  type FetchWay,
  type FetchWish,
  hiveOf,
  persistently,
} from "./model_way.ts";

interface Shared {
  readonly listeners: Set<FetchListener>;
  readonly cut: AbortController;
  readonly result: Promise<Fetched>;
  last?: ProgressEvent;
}

/** All fetches of a queen. */
export class ModelFetches {
  readonly #ground: FetchGround;
  readonly #running = new Map<string, Shared>();

  constructor(ground: FetchGround) {
    this.#ground = ground;
  }

  /** Asks a node's hive what a reference means. Throws what that hive throws, and `CONNECTION_LOST`. */
  async lookUp(
    { node, model }: FetchWish,
    signal?: AbortSignal,
  ): Promise<AnswerOf<typeof hiveRoutes.lookUpModel>> {
    const options = { body: { model_ref: model }, deadlineMs: limits.modelLookUpMs, signal };
    return await call(hiveOf(node, this.#ground), hiveRoutes.lookUpModel, options);
  }

  /** Resolves when the model is there. Throws why it can't be had, and the signal's reason when that comes first. */
  async bring(wish: FetchWish, listener: FetchListener, signal: AbortSignal): Promise<Fetched> {
    signal.throwIfAborted();
    const key = `${wish.node}\n${wish.model}`;
    const shared = this.#running.get(key) ?? this.#begin(key, wish);
    shared.listeners.add(listener);
    if (shared.last) listener.progress(shared.last);
    const left = Promise.withResolvers<never>();
    const leave = () => left.reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([shared.result, left.promise]);
    } finally {
      signal.removeEventListener("abort", leave);
      shared.listeners.delete(listener);
      if (shared.listeners.size === 0) this.#end(key, shared);
    }
  }

  #begin(key: string, wish: FetchWish): Shared {
    const listeners = new Set<FetchListener>();
    const cut = new AbortController();
    const all: FetchListener = {
      narrate: (narration) => listeners.forEach((one) => one.narrate(narration)),
      progress: (event) => {
        shared.last = event;
        listeners.forEach((one) => one.progress(event));
      },
    };
    const result = fetchModel(wish, { ...this.#ground, listener: all, signal: cut.signal });
    result.catch(() => {}); // told to whoever waits for it
    const shared: Shared = { listeners, cut, result };
    this.#running.set(key, shared);
    return shared;
  }

  #end(key: string, shared: Shared): void {
    shared.cut.abort(new RbeeError("REQUEST_CANCELED", { message: "Canceled: nobody waits for the model any more" }));
    if (this.#running.get(key) === shared) this.#running.delete(key);
  }
}

/** Fetches it from another hive when that works, else from the hub. */
async function fetchModel(wish: FetchWish, way: FetchWay): Promise<Fetched> {
  if (wish.from !== undefined) {
    const copied = await copyModel({ ...wish, from: wish.from }, way);
    if (copied) return copied;
  }
  return await persistently(
    wish.node,
    way,
    limits.followAttempts,
    (isFirst, onProgress) => download(wish, way, { isFirst, onProgress }),
  );
}
