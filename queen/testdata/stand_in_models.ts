/**
 * A hive's models for tests of the queen: the real routes, in memory, with what goes wrong as the test says.
 *
 * @module
 */
import { RbeeError } from "../../protocol/error.ts";
import { hiveRoutes } from "../../protocol/hive_routes.ts";
import { type ModelRecord, refOfRecord } from "../../protocol/model.ts";
import type { ProgressEvent } from "../../protocol/progress.ts";
import { doneText, encodeJsonEvent } from "../../protocol/sse.ts";
import type { StreamWriter } from "../../runtime/event_stream.ts";
import { type Context, type Endpoint, endpoint } from "../../runtime/serve.ts";

/** Returns a model of a hub, as a catalog has it. */
export function recordOf(size: number, more: Partial<ModelRecord> = {}): ModelRecord {
  return {
    ...{ id: "tiny-q4", provider: "hf", reference: "org/tiny", variant: "Q4_0", local_path: "/models/tiny-q4.gguf" },
    ...{ size_bytes: size, downloaded_at_unix: 1, digest: "sha256:aa", quantization: "Q4_0", architecture: "llama" },
    ...{ context_length: 128, last_used_unix: null, use_count: 0, damaged: false },
    ...more,
  };
}

/** Returns a hub download's event. */
export const downloading = (done: number, total = 100): ProgressEvent => ({
  ...{ stage: "downloading", bytes_downloaded: done, bytes_total: total, speed_mbps: 1 },
});

/** Those models. */
export class StandInModels {
  readonly models: ModelRecord[] = [];
  /** The bytes of the only file of each, by canonical reference. */
  readonly bytes = new Map<string, Uint8Array>();
  /** What a hub would give, by canonical reference. */
  readonly hub = new Map<string, ModelRecord>();
  /** What a follower of the hub's download is written, one script a connection; then the model is there. */
  readonly scripts: ((out: StreamWriter) => Promise<void>)[] = [];
  readonly asked: { model_ref: string; source: string }[] = [];
  readonly canceled: string[] = [];
  readonly removed: string[] = [];
  /** Followers at this moment. */
  followers = 0;
  /** What came from a peer. */
  received = new Uint8Array(0);
  /** Breaks the next so many requests of bytes, each after so many of them. */
  breaks: number[] = [];
  /** Whether what came from a peer turns out to be something else. */
  isWrong = false;
  /** Bytes that left this hive for another. */
  sent = 0;
  /** Bytes from a peer are not read before. */
  mayRead: Promise<void> = Promise.resolve();
  #wanted?: { model_ref: string; size: number; done: PromiseWithResolvers<void> };

  /** Returns the endpoints. */
  endpoints(): Endpoint[] {
    return [
      endpoint(hiveRoutes.models, () => ({ models: this.models })),
      endpoint(hiveRoutes.lookUpModel, ({ body }) => this.#lookUp(body.model_ref)),
      endpoint(hiveRoutes.downloadModel, ({ body }) => this.#download(body)),
      endpoint(
        hiveRoutes.downloadProgress,
        ({ query, context }) =>
          context.stream((out) => query.id === "peer" ? this.#followPeer(out) : this.#followHub(out)),
      ),
      endpoint(hiveRoutes.cancelDownload, ({ params }) => {
        this.canceled.push(params.id);
        this.#wanted = undefined;
        return new Response(null, { status: 204 });
      }),
      endpoint(hiveRoutes.modelBytes, ({ query, context }) => this.#send(query, context)),
      endpoint(hiveRoutes.receiveModel, ({ query, context }) => this.#receive(query.offset, context)),
      endpoint(hiveRoutes.removeModel, ({ body }) => {
        this.removed.push(body.model_ref);
        return { model_ref: body.model_ref, removed_bytes: 7, kept: [] };
      }),
      endpoint(hiveRoutes.verifyModel, ({ body, context }) =>
        context.stream(async (out) => {
          await out.write(encodeJsonEvent(downloading(50), "progress"));
          await out.write(encodeJsonEvent({ model_ref: body.model_ref, result: "ok", digest: "sha256:aa" }) + doneText);
        })),
      endpoint(hiveRoutes.importModels, ({ body, context }) =>
        context.stream(async (out) => {
          if (body.path === "/nowhere") {
            await out.write(encodeJsonEvent({ error: { code: "MODEL_NOT_FOUND", message: "m" } }, "error"));
          } else await out.write(encodeJsonEvent({ models: this.models, skipped: [] }));
          await out.write(doneText);
        })),
    ];
  }

  #find(ref: string): ModelRecord | undefined {
    return this.models.find((one) => refOfRecord(one) === ref);
  }

  #lookUp(ref: string) {
    const here = this.#find(ref);
    const { size_bytes, digest, quantization } = here ?? this.#atHub(ref);
    const facts = { ref, size_bytes, digest, quantization, shape: null };
    return { ...facts, local_path: here?.local_path ?? null, download_bytes: here ? 0 : size_bytes };
  }

  #atHub(ref: string): ModelRecord {
    const record = this.hub.get(ref);
    if (record) return record;
    throw new RbeeError("MODEL_NOT_FOUND", { message: `Cannot find ${ref} at the hub` });
  }

  #download({ model_ref, source }: { model_ref: string; source: "hub" | "peer" }) {
    this.asked.push({ model_ref, source });
    const here = this.#find(model_ref);
    if (here) return { download_id: "cached", local_path: here.local_path };
    const { size_bytes: size } = this.#atHub(model_ref);
    if (source === "hub") {
      this.#wanted = { model_ref, size, done: Promise.withResolvers() };
      return { download_id: "hub" };
    }
    this.#wanted ??= { model_ref, size, done: Promise.withResolvers() };
    return { download_id: "peer", files: [{ size_bytes: size, offset: this.received.length }] };
  }

  #arrived(): string {
    const { model_ref } = this.#wanted!;
    this.models.push(this.#atHub(model_ref));
    return encodeJsonEvent({ stage: "complete", local_path: this.#atHub(model_ref).local_path }) + doneText;
  }

  async #followHub(out: StreamWriter): Promise<void> {
    this.followers++;
    try {
      const script = this.scripts.shift();
      if (script) await script(out);
      else await out.write(this.#arrived());
    } finally {
      this.followers--;
    }
  }

  async #followPeer(out: StreamWriter): Promise<void> {
    if (!this.#wanted) throw new RbeeError("NOT_FOUND");
    const gone = Promise.withResolvers<void>();
    out.signal.addEventListener("abort", () => gone.resolve());
    await out.write(encodeJsonEvent(downloading(this.received.length, this.#wanted.size)));
    await Promise.race([this.#wanted.done.promise, gone.promise]);
    if (out.signal.aborted) return;
    const message = "Cannot use the download";
    const wrong = { stage: "error", message, error: { code: "CHECKSUM_MISMATCH", message } };
    await out.write(this.isWrong ? encodeJsonEvent(wrong) + doneText : this.#arrived());
  }

  #send({ model_ref, offset }: { model_ref: string; offset: number }, context: Context): Response {
    const all = this.bytes.get(model_ref);
    if (!all) throw new RbeeError("MODEL_NOT_FOUND", { message: `Cannot find ${model_ref} here` });
    const breakAt = this.breaks.shift() ?? Infinity;
    return context.stream(async (out) => {
      for (let at = offset; at < all.length; at += 64 * 1024) {
        if (at - offset >= breakAt) throw new Error("the disk broke");
        this.sent += 64 * 1024;
        await out.write(all.subarray(at, at + 64 * 1024));
      }
    }, { contentType: "application/octet-stream", keepAlive: false });
  }

  async #receive(offset: number, { upload }: Context): Promise<{ offset: number; complete: boolean }> {
    if (offset !== this.received.length) throw new RbeeError("INVALID_REQUEST", { message: "wrong offset" });
    await this.mayRead;
    const parts: Uint8Array[] = [];
    try {
      for await (const piece of upload!) parts.push(piece);
    } finally {
      this.received = new Uint8Array(await new Blob([this.received, ...parts] as BlobPart[]).arrayBuffer());
    }
    if (this.received.length === this.#wanted?.size) this.#wanted.done.resolve();
    return { offset: this.received.length, complete: this.received.length === this.#wanted?.size };
  }
}
