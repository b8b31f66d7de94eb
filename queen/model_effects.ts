/**
 * The scheduler's hands for models: what it wants looked up and fetched, carried out by `model_fetches.ts` and reported
 * back as events.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import type { ModelFetches } from "./model_fetches.ts";
import type { ModelEffect, ModelEvent } from "./model_messages.ts";
import { onNode } from "./node_error.ts";

type EffectOf<T extends ModelEffect["type"]> = Extract<ModelEffect, { type: T }>;

/** Those hands. */
export class ModelEffects {
  readonly #fetches: ModelFetches;
  readonly #onEvent: (event: ModelEvent) => void;
  /** By the scheduler's name of a fetch; what was stopped is not told any more. */
  readonly #running = new Map<string, AbortController>();

  constructor(fetches: ModelFetches, onEvent: (event: ModelEvent) => void) {
    this.#fetches = fetches;
    this.#onEvent = onEvent;
  }

  /** Carries out `lookUpModel`. Never rejects. */
  async lookUp({ node, model }: EffectOf<"lookUpModel">): Promise<void> {
    try {
      const { local_path, download_bytes: downloadBytes, ...facts } = await this.#fetches.lookUp({ node, model });
      this.#onEvent({ type: "modelKnown", node, model, facts, onDisk: local_path !== null, downloadBytes });
    } catch (thrown) {
      this.#onEvent({ type: "modelUnknown", node, model, error: onNode(toRbeeError(thrown), node) });
    }
  }

  /** Carries out `fetchModel`. Never rejects. */
  async bring({ fetch, node, model, from, correlationId }: EffectOf<"fetchModel">): Promise<void> {
    const cut = new AbortController();
    this.#running.set(fetch, cut);
    const tell = (event: ModelEvent) => {
      if (!cut.signal.aborted) this.#onEvent(event);
    };
    try {
      await this.#fetches.bring({ node, model, from, correlationId }, {
        narrate: (narration) => tell({ type: "fetchNarration", fetch, narration }),
        progress: (progress) => tell({ type: "fetchProgress", fetch, progress }),
      }, cut.signal);
      tell({ type: "fetchDone", fetch });
    } catch (thrown) {
      tell({ type: "fetchFailed", fetch, error: toRbeeError(thrown) });
    } finally {
      this.#running.delete(fetch);
    }
  }

  /** Carries out `stopFetch`. */
  stop(fetch: string): void {
    this.#running.get(fetch)?.abort(new RbeeError("REQUEST_CANCELED"));
  }

  /** Stops all of them. */
  stopAll(): void {
    for (const fetch of this.#running.keys()) this.stop(fetch);
  }
}
