/**
 * What the queen has others do about models: asks hives what references mean, and has files brought to where they are
 * needed. It hears how that went and tells the scheduler which waits are over. Pure.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { ModelFacts } from "../protocol/model.ts";
import { Fetches, type FetchWish } from "./fetches.ts";
import type { Elsewhere, FleetListener } from "./fleet_listener.ts";
import { ModelBook } from "./model_facts.ts";
import type { ModelEvent } from "./model_messages.ts";
import type { Outbox } from "./outbox.ts";
import { isOfMachine, type Verdict } from "./retry.ts";
import type { WaitsFor } from "./scheduled_task.ts";

/** A hive or a hub that could not be asked: somebody else may know. */
const isAway = ({ code }: RbeeError) =>
  code.startsWith("CONNECTION_") || code === "SHUTTING_DOWN" || code === "DOWNLOAD_FAILED" ||
  code === "DOWNLOAD_TIMEOUT";

/** Look-ups and fetches. */
export class ModelWork {
  readonly book = new ModelBook();
  readonly fetches: Fetches;
  readonly #out: Outbox;
  readonly #listener: FleetListener;
  readonly #onFetch: (node: string) => void;
  /** Which node was asked about a model. */
  readonly #lookUps = new Map<string, string>();

  /** `onFetch` is told of each machine whose fetches change. */
  constructor(out: Outbox, listener: FleetListener, onFetch: (node: string) => void) {
    this.#out = out;
    this.#listener = listener;
    this.#onFetch = onFetch;
    this.fetches = new Fetches(out);
  }

  /** Asks a node's hive what a reference means, unless that is being asked already. */
  lookUp(node: string, model: string): void {
    if (this.#lookUps.has(model)) return;
    this.#lookUps.set(model, node);
    this.book.ask(model);
    this.#out.emit({ type: "lookUpModel", node, model });
    // The hive's own word on it comes earlier.
    this.#out.setTimer(`lookup:${model}`, limits.modelLookUpMs + limits.connectTimeoutMs);
  }

  /** Whether somebody is being asked about a model. */
  isLookedUp(model: string): boolean {
    return this.#lookUps.has(model);
  }

  /** Starts a fetch or joins the one under way. Returns its id. */
  bring(wish: FetchWish): string {
    const id = this.fetches.start({ ...wish, facts: this.book.facts(wish.model, this.#out.now) });
    this.#onFetch(wish.node);
    return id;
  }

  /** Takes what the hands report. */
  take(event: ModelEvent): void {
    switch (event.type) {
      case "modelKnown":
        this.book.learn(event.model, event.facts, this.#out.now);
        if (event.onDisk) this.#arrived(event.node, event.facts);
        return this.#endLookUp(event.model, { then: "wait" });
      case "modelUnknown":
        return this.#onUnknown(event.node, event.model, event.error);
      case "fetchProgress":
        if (this.fetches.progress(event.fetch, event.progress)) {
          this.#listener.onProgress({ kind: "fetch", id: event.fetch }, event.progress);
        }
        return;
      case "fetchNarration":
        return this.#listener.onNarration({ kind: "fetch", id: event.fetch }, event.narration);
      case "fetchDone":
        return this.#onFetched(event.fetch);
      case "fetchFailed":
        return this.#onFetchFailed(event.fetch, event.error);
    }
  }

  #onUnknown(node: string, model: string, error: RbeeError): void {
    if (!this.#lookUps.has(model)) return;
    const near = isAway(error) ? this.book.likeOnDisk(model) : undefined;
    if (near) this.book.learn(model, near, this.#out.now);
    else this.book.fail(model, error, this.#out.now);
    if (near) return this.#endLookUp(model, { then: "wait" });
    const fail: Verdict = { then: "fail", error, suspect: false };
    // A hive that is gone says nothing about the model.
    const isGone = error.code === "CONNECTION_LOST" || error.code === "SHUTTING_DOWN";
    this.#endLookUp(model, isGone ? { then: "retry", error } : fail, { node, error, avoid: true });
  }

  #endLookUp(model: string, verdict: Verdict, elsewhere?: Elsewhere): void {
    if (!this.#lookUps.delete(model)) return;
    this.#out.clearTimer(`lookup:${model}`);
    const isAwayThere = verdict.then === "retry" ? elsewhere : undefined;
    this.#listener.onWaitOver({ kind: "lookup", id: model }, verdict, isAwayThere);
  }

  /** The hive never said anything. */
  onLookUpTimeout(model: string): void {
    const error = new RbeeError("CONNECTION_TIMEOUT", {
      message: `Cannot look up the model: no answer within ${limits.modelLookUpMs / 1_000} s`,
      details: { model },
    });
    this.#onUnknown(this.#lookUps.get(model) ?? "", model, error);
  }

  #arrived(node: string, facts: ModelFacts): void {
    this.book.arrived(node, facts);
    this.#listener.onModelArrived(node);
  }

  #onFetched(id: string): void {
    const fetch = this.fetches.remove(id);
    if (!fetch) return;
    this.fetches.measure(fetch);
    this.#onFetch(fetch.node);
    if (fetch.facts) this.#arrived(fetch.node, fetch.facts);
    this.#listener.onWaitOver({ kind: "fetch", id }, { then: "wait" });
  }

  #onFetchFailed(id: string, error: RbeeError): void {
    const fetch = this.fetches.remove(id);
    if (!fetch) return;
    this.#onFetch(fetch.node);
    const elsewhere = isOfMachine(error) ? { node: fetch.node, error } : undefined;
    this.#listener.onWaitOver({ kind: "fetch", id }, { then: "fail", error, suspect: false }, elsewhere);
  }

  /** Ends the fetches that nobody waits for. */
  stopUnwanted(isWaitedFor: (wait: WaitsFor) => boolean): void {
    for (const { id, node } of this.fetches.all()) {
      if (isWaitedFor({ kind: "fetch", id })) continue;
      this.fetches.stop(id);
      this.#onFetch(node);
    }
  }

  /** A hive is gone, and with it what was asked of it. */
  dropNode(node: string, verdict: Verdict, error: RbeeError): void {
    for (const fetch of this.fetches.to(node)) {
      this.fetches.stop(fetch.id);
      this.#onFetch(node);
      this.#listener.onWaitOver({ kind: "fetch", id: fetch.id }, verdict, { node, error });
    }
    for (const [model, asked] of this.#lookUps) {
      if (asked === node) this.#endLookUp(model, { then: "retry", error }, { node, error });
    }
  }
}
