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
import { Origins } from "./model_origins.ts";
import {
  type Fetched,
  type FetchGround,
  type FetchListener,
  type FetchWay,
  type FetchWish,
  hiveOf,
  orAborted,
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
  readonly #origins = new Origins();

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
    const shared = this.#running.get(key) ?? this.#begin(key, wish, listener);
    shared.listeners.add(listener);
    if (shared.last) listener.progress(shared.last);
    try {
      return await orAborted(shared.result, signal);
    } finally {
      shared.listeners.delete(listener);
      if (shared.listeners.size === 0) this.#end(key, shared);
    }
  }

  #begin(key: string, wish: FetchWish, first: FetchListener): Shared {
    const listeners = new Set([first]);
    const cut = new AbortController();
    const all: FetchListener = {
      narrate: (narration) => listeners.forEach((one) => one.narrate(narration)),
      progress: (event) => {
        shared.last = event;
        listeners.forEach((one) => one.progress(event));
      },
    };
    const result = this.#fetch(wish, { ...this.#ground, listener: all, signal: cut.signal });
    result.catch(() => {}); // told to whoever waits for it
    const shared: Shared = { listeners, cut, result };
    this.#running.set(key, shared);
    return shared;
  }

  /** Fetches it from another hive that has it, or will have it soon; else from the hub. */
  async #fetch(wish: FetchWish, way: FetchWay): Promise<Fetched> {
    const tried = new Set<string>();
    for (let from = wish.from;;) {
      if (from !== undefined) {
        tried.add(from);
        const copied = await copyModel({ ...wish, from }, way);
        if (copied) return copied;
      }
      const other = this.#origins.of(wish.model);
      // Nothing may be waited for between this look and the claim: two would draw the same.
      if (!other || tried.has(other.node)) return await this.#origins.draw(wish, () => fromHub(wish, way));
      const here = await this.lookUp(wish, way.signal).catch(() => undefined); // the way there breaks below, too
      if (here && here.local_path !== null) return { localPath: here.local_path, source: "cached" };
      const human = `⏳ ${other.node} is fetching ${wish.model} just now: ${wish.node} gets it from there`;
      way.listener.narrate({ actor: "queen-rbee", action: "model-wait", target: wish.model, human });
      from = await orAborted(other.done, way.signal) ? other.node : undefined;
    }
  }

  #end(key: string, shared: Shared): void {
    shared.cut.abort(new RbeeError("REQUEST_CANCELED", { message: "Canceled: nobody waits for the model any more" }));
    if (this.#running.get(key) === shared) this.#running.delete(key);
  }
}

async function fromHub(wish: FetchWish, way: FetchWay): Promise<Fetched> {
  return await persistently(
    wish.node,
    way,
    limits.followAttempts,
    (isFirst, onProgress) => download(wish, way, { isFirst, onProgress }),
  );
}
