/**
 * One model on its way to this machine: from the hub, a web server, or another hive.
 *
 * @module
 */
import { diskBytes } from "../native/libc.ts";
import { RbeeError, toErrorBody, toRbeeError } from "../protocol/error.ts";
import type { DownloadRecord } from "../protocol/hive_models.ts";
import { limits } from "../protocol/limits.ts";
import { printModelRef } from "../protocol/model.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";
import { join } from "../runtime/path.ts";
import { downloadFile, type Telling } from "./download.ts";
import { Followers } from "./download_followers.ts";
import { bytesHere } from "./download_part.ts";
import { Watchdog } from "./download_read.ts";
import { type PlacedFile, Receipt } from "./download_receipt.ts";
import { Speed } from "./download_speed.ts";
import type { Retry } from "./download_tries.ts";
import { refusing, type RemoteModel } from "./hub.ts";
import { hubAccess } from "./hub_access.ts";
import { countModelBytes, type ModelSource } from "./measures.ts";
import { makePlace, placeOf } from "./model_places.ts";

/** What a download is made of. */
export interface ModelDownloadOptions {
  readonly id: string;
  readonly model: RemoteModel;
  readonly source: DownloadRecord["source"];
  /** The models folder. */
  readonly folder: string;
  readonly stallMs: number;
  /** Returns how many bytes other downloads will still take of the same disk. */
  readonly promisedBytes: () => number;
  /** Enters the model into the catalog; the files' paths in order. */
  readonly onArrived: (paths: string[]) => Promise<void> | void;
}

const bytesPerMb = 1024 * 1024;

/** One download. */
export class ModelDownload {
  readonly id: string;
  readonly model: RemoteModel;
  readonly source: DownloadRecord["source"];
  /** Resolves when it has ended, however. Never rejects. */
  readonly ended: Promise<void>;
  readonly #options: ModelDownloadOptions;
  readonly #stop = new AbortController();
  readonly #followers: Followers;
  readonly #speed = new Speed(performance.now());
  readonly #here: number[];
  #state: DownloadRecord["state"] = "waiting";
  /** Of a download from a peer, as soon as bytes can be taken. */
  readonly #receipt = Promise.withResolvers<Receipt>();

  constructor(options: ModelDownloadOptions) {
    this.#options = options;
    this.id = options.id;
    this.model = options.model;
    this.source = options.source;
    this.#here = options.model.files.map(() => 0);
    this.#followers = new Followers({
      progress: () => this.#progress(),
      onLeft: () => this.cancel("nobody waits for it any more"),
    });
    this.#receipt.promise.catch(() => {}); // told to followers
    this.ended = this.#run();
  }

  /** Whether it is still under way. */
  get isActive(): boolean {
    return this.#state === "waiting" || this.#state === "downloading" || this.#state === "verifying";
  }

  /** How many bytes are still to come. */
  get missingBytes(): number {
    return this.isActive ? this.model.sizeBytes - this.#bytes : 0;
  }

  /** Whether it was told to end and has not yet. */
  get isEnding(): boolean {
    return this.isActive && this.#stop.signal.aborted;
  }

  /** Somebody will follow it. */
  expectFollower(): void {
    this.#followers.expect();
  }

  /** What is shown of it. */
  get record(): DownloadRecord {
    return {
      download_id: this.id,
      model_ref: printModelRef(this.model.ref),
      state: this.#state,
      source: this.source,
      bytes_downloaded: this.#bytes,
      bytes_total: this.model.sizeBytes,
    };
  }

  /** Tells a follower of it until it has ended. */
  follow(out: StreamWriter): Promise<void> {
    return this.#followers.serve(out);
  }

  /** Ends it; what came stays. */
  cancel(why: string): void {
    this.#stop.abort(new RbeeError("REQUEST_CANCELED", { message: `Canceled the download: ${why}` }));
  }

  /** Returns how many bytes of each file are here. */
  async offsets(): Promise<{ size_bytes: number; offset: number }[]> {
    await this.#receipt.promise.catch(() => {}); // its end tells
    return this.model.files.map(({ size }, at) => ({ size_bytes: size, offset: this.#here[at] }));
  }

  /** Takes bytes of a peer; see `Receipt.take`. Throws `INVALID_REQUEST` when this download is not one from a peer. */
  async take(
    at: { file: number; offset: number },
    body: ReadableStream<Uint8Array> | null,
  ): Promise<{ offset: number; complete: boolean }> {
    if (this.source === "peer" && this.isActive) {
      const receipt = await this.#receipt.promise.catch(() => undefined); // its end tells
      if (receipt) return await receipt.take(at, body);
    }
    await body?.cancel();
    throw new RbeeError("INVALID_REQUEST", { message: "Cannot take bytes: this download does not wait for any" });
  }

  get #bytes(): number {
    return this.#here.reduce((sum, bytes) => sum + bytes, 0);
  }

  #progress() {
    return {
      stage: "downloading" as const,
      bytes_downloaded: this.#bytes,
      bytes_total: this.model.sizeBytes,
      speed_mbps: this.#speed.mbPerSecond(performance.now()),
    };
  }

  async #run(): Promise<void> {
    try {
      const placed = await this.#place();
      await (this.source === "peer" ? this.#receive(placed) : this.#fetch(placed));
      const paths = placed.map(({ path }) => path);
      await this.#options.onArrived(paths);
      this.#state = "complete";
      this.#followers.end({ stage: "complete", local_path: paths[0] });
    } catch (thrown) {
      this.#state = this.#stop.signal.aborted ? "canceled" : "failed";
      const error = this.#stop.signal.aborted ? toRbeeError(this.#stop.signal.reason) : toRbeeError(thrown);
      this.#receipt.reject(error);
      const body = { ...toErrorBody(error).error };
      this.#followers.end({ stage: "error", message: error.message, error: body });
    }
  }

  /** Makes the folders. Throws `INSUFFICIENT_DISK` before anything is fetched, or made. */
  async #place(): Promise<PlacedFile[]> {
    const { folder, model, promisedBytes } = this.#options;
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    const places = model.files.map(({ path }) => placeOf(model.ref, path));
    for (const [at, { size }] of model.files.entries()) {
      this.#here[at] = await bytesHere(join(folder, places[at]), size);
    }
    checkDisk(folder, { bytes: this.missingBytes, promised: promisedBytes(), ref: printModelRef(model.ref) });
    const placed: PlacedFile[] = [];
    for (const [at, file] of model.files.entries()) placed.push({ file, path: await makePlace(folder, places[at]) });
    return placed;
  }

  async #fetch(placed: readonly PlacedFile[]): Promise<void> {
    const { model, stallMs } = this.#options;
    const isHub = model.ref.provider === "hf";
    for (const [at, { file, path }] of placed.entries()) {
      const access = isHub ? hubAccess() : { endpoint: new URL(file.url).origin };
      await downloadFile({
        ...{ file, path, stallMs, signal: this.#stop.signal, token: access.token },
        ...this.#telling(at, isHub ? "hub" : "http"),
        refusal: refusing(model.ref, file.path, access),
      });
    }
  }

  async #receive(files: readonly PlacedFile[]): Promise<void> {
    const { stallMs } = this.#options;
    const telling = (at: number) => this.#telling(at, "peer");
    const quiet = new Watchdog(stallMs); // a sender that is gone must not hold up whoever waits with us
    const signal = AbortSignal.any([this.#stop.signal, quiet.signal]);
    try {
      const receipt = await Receipt.open({ files, stallMs, signal, telling, onPiece: () => quiet.calm() });
      this.#receipt.resolve(receipt);
      await receipt.whole;
    } catch (error) {
      throw quiet.signal.aborted && !this.#stop.signal.aborted ? silent(stallMs) : error;
    } finally {
      quiet.stop();
    }
  }

  #telling(at: number, source: ModelSource): Telling {
    return {
      onBytes: (bytes) => {
        this.#here[at] = bytes;
        if (!this.isActive) return; // what was on its way when it ended does not bring it back
        const isWhole = bytes === this.model.files[at].size;
        this.#state = isWhole && at === this.model.files.length - 1 ? "verifying" : "downloading";
        this.#followers.changed();
      },
      onReceived: (bytes) => {
        countModelBytes(source, bytes);
        this.#speed.add(bytes, performance.now());
      },
      onRetry: (retry) => this.#sayRetry(retry),
    };
  }

  /** The lines of S37. */
  #sayRetry({ reason, attempt, attempts, waitMs }: Retry): void {
    const words = { actor: "model-provisioner", target: printModelRef(this.model.ref) };
    this.#followers.say({ ...words, action: "model-download-error", human: `Error: ${reason}`.slice(0, 99) });
    const delay = waitMs < 1_000 ? `${waitMs}ms` : `${waitMs / 1_000}s`;
    const human = `🔄 Retrying the download (attempt ${attempt}/${attempts}, delay ${delay})`;
    this.#followers.say({ ...words, action: "model-download-retry", human });
  }
}

function silent(stallMs: number): RbeeError {
  return new RbeeError("DOWNLOAD_TIMEOUT", {
    message: `Cannot take the model from another hive: no bytes came for ${stallMs / 1_000} s`,
  });
}

/** Throws `INSUFFICIENT_DISK` when the disk has no room for so many bytes beside those that are promised to others. */
function checkDisk(
  folder: string,
  { bytes, promised, ref }: { bytes: number; promised: number; ref: string },
): void {
  const free = diskBytes(folder)?.freeBytes;
  const need = bytes + promised + limits.downloadSpareBytes;
  if (bytes <= 0 || free === undefined || free >= need) return;
  const required = Math.ceil(need / bytesPerMb);
  const available = Math.floor(free / bytesPerMb);
  throw new RbeeError("INSUFFICIENT_DISK", {
    message: `Cannot store ${ref}: need ${required} MB on the disk of ${folder}, have ${available} MB`,
    details: { required, available, required_bytes: need, available_bytes: free, path: folder },
    hint: "Free space (`rbee models rm MODEL`), or set [models] dir in config.toml to a folder on another disk",
  });
}
