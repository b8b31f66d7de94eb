/**
 * All downloads of a hive: one for each model, however many ask for it.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { DownloadRecord } from "../protocol/hive_models.ts";
import { limits } from "../protocol/limits.ts";
import { type ModelFacts, printModelRef } from "../protocol/model.ts";
import { basename, join } from "../runtime/path.ts";
import type { ArrivedFile } from "./arrival.ts";
import type { CatalogEntry } from "./catalog.ts";
import { bytesHere, hasFile } from "./download_part.ts";
import { digestOf, modelDigest } from "./model_digest.ts";
import { lookUpRemote, type RemoteFile, type RemoteModel, type RemoteRef } from "./hub.ts";
import { shapeAtHub } from "./hub_header.ts";
import { countDownloaded, setDownloadsActive } from "./measures.ts";
import { ModelDownload } from "./model_download.ts";
import { placeOf } from "./model_places.ts";
import { digestsBeside } from "./sidecar.ts";

/** What downloads work with. */
export interface DownloadsOptions {
  /** The models folder. */
  readonly folder: string;
  /** No byte for this long is a break. */
  readonly stallMs: number;
  /** Returns what the catalog has of a model that is here; undefined when it has none. */
  readonly known: (ref: RemoteRef) => Promise<{ path: string; facts: ModelFacts } | undefined>;
  /** Enters a model that has arrived into the catalog; its files in order. */
  readonly onArrived: (entry: CatalogEntry, files: ArrivedFile[]) => Promise<unknown> | void;
  /** Returns the largest memory of this machine that a model could be loaded into; undefined when nobody knows. */
  readonly memoryBytes: () => Promise<number | undefined>;
}

/** What is known of a model that is not here, or not known to be. */
export interface RemoteFacts {
  readonly facts: ModelFacts;
  readonly localPath: string | null;
  /** What would still have to be fetched. */
  readonly downloadBytes: number;
}

/** How a download begins. */
export interface Started {
  readonly download_id: string;
  readonly local_path?: string;
  readonly files?: { size_bytes: number; offset: number }[];
}

/** All downloads of a hive. */
export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #all = new Map<string, ModelDownload>();
  readonly #lookUps = new Map<string, { atMs: number; model: Promise<RemoteModel> }>();
  /** By the place of the first file: two ways of writing one model are one download. */
  readonly #starting = new Map<string, Promise<Started>>();
  /** Aborted when the hive ends: what a hub was asked is not waited for. */
  readonly #stopping = new AbortController();

  constructor(options: DownloadsOptions) {
    this.#options = options;
  }

  /** Returns what a reference means, without fetching it. Throws as `lookUpRemote` and `shapeAtHub` do. */
  async lookUp(ref: RemoteRef, signal?: AbortSignal): Promise<RemoteFacts> {
    const known = await this.#options.known(ref);
    if (known) return { facts: known.facts, localPath: known.path, downloadBytes: 0 }; // also without a network
    const model = await this.#lookUp(ref);
    const places = this.#places(model);
    const here = await Promise.all(model.files.map(({ size }, at) => bytesHere(places[at], size)));
    const isHere = await this.#isWhole(model);
    const { signal: stopping } = this.#stopping;
    const shape = await shapeAtHub(model, signal ? AbortSignal.any([signal, stopping]) : stopping);
    const { sizeBytes, digest, quantization } = model;
    return {
      facts: { ref: printModelRef(model.ref), size_bytes: sizeBytes, digest, quantization, shape },
      localPath: isHere ? places[0] : null,
      downloadBytes: isHere ? 0 : sizeBytes - here.reduce((sum, bytes) => sum + bytes, 0),
    };
  }

  /**
   * Starts a download, or joins the one of that model. `files` are what a sender knows when the hub does not answer.
   * Throws as `lookUpRemote` does, and `TOO_MANY_REQUESTS`.
   */
  async start(
    ref: RemoteRef,
    source: DownloadRecord["source"],
    files?: readonly { path: string; size_bytes: number; sha256: string }[],
  ): Promise<Started> {
    const known = await this.#options.known(ref);
    if (known !== undefined) return { download_id: here, local_path: known.path };
    const model = await this.#lookUp(ref).catch((error) => {
      if (source === "peer" && files && isAway(error)) return told(ref, files);
      throw error;
    });
    const key = placeOf(model.ref, model.files[0].path);
    const starting = this.#starting.get(key) ?? this.#begin(model, source);
    this.#starting.set(key, starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(key);
    }
  }

  /** Returns a download. Throws `NOT_FOUND`. */
  get(id: string): ModelDownload {
    const found = this.#all.get(id);
    if (found) return found;
    throw new RbeeError("NOT_FOUND", {
      message: "Cannot find this download: it has ended and was forgotten, or never was",
      hint: "Start it again: `rbee models pull MODEL` goes on from what is here",
    });
  }

  /** Returns all that are under way, and the last that have ended. */
  list(): DownloadRecord[] {
    return [...this.#all.values()].map(({ record }) => record);
  }

  /** Ends all downloads; what came stays. Resolves when every file is closed. */
  async stop(): Promise<void> {
    this.#stopping.abort(new RbeeError("SHUTTING_DOWN"));
    const all = [...this.#all.values()];
    for (const download of all) download.cancel("the hive ends");
    await Promise.all(all.map(({ ended }) => ended));
  }

  async #begin(model: RemoteModel, source: DownloadRecord["source"]): Promise<Started> {
    const paths = this.#places(model);
    const isWhole = await this.#isWhole(model);
    const same = this.#underWay(paths[0]);
    if (same?.isEnding) {
      await same.ended; // whoever comes now did not ask for its end
      return await this.#begin(model, source);
    }
    if (same) {
      same.expectFollower();
      return await begun(same);
    }
    if (isWhole) {
      // Verified, or it would not have its name: the hive ended before it wrote that down.
      await this.#arrived(model, paths);
      return { download_id: here, local_path: paths[0] };
    }
    const active = [...this.#all.values()].filter(({ isActive }) => isActive);
    if (this.#stopping.signal.aborted) throw new RbeeError("SHUTTING_DOWN");
    if (active.length >= limits.downloadsMax) {
      throw new RbeeError("TOO_MANY_REQUESTS", {
        message: `Cannot start another download: ${active.length} are under way`,
        details: { downloads: active.length },
      });
    }
    const download = new ModelDownload({
      ...{ id: `dl-${crypto.randomUUID().slice(0, 13)}`, model, source },
      ...{ folder: this.#options.folder, stallMs: this.#options.stallMs },
      promisedBytes: () => this.#promisedBytes(model),
      onArrived: (real) => this.#arrived(model, real),
    });
    this.#all.set(download.id, download);
    this.#count();
    void download.ended.then(() => this.#count());
    return await begun(download);
  }

  /** Digests are those that stand beside the files: what the hub tells now may be of another version. */
  async #arrived(model: RemoteModel, paths: string[]): Promise<void> {
    const digests = await digestsBeside(paths);
    const files = paths.map((path) => ({ path, digest: digests.get(basename(path)) ?? null }));
    await this.#options.onArrived(entryOf(model, paths[0], modelDigest(files)), files);
    countDownloaded();
  }

  #underWay(place: string): ModelDownload | undefined {
    return [...this.#all.values()].find((one) => one.isActive && this.#places(one.model)[0] === place);
  }

  /** Tells the metric, and forgets the oldest that have ended. */
  #count(): void {
    const ended = [...this.#all.values()].filter(({ isActive }) => !isActive);
    setDownloadsActive(this.#all.size - ended.length);
    for (const { id } of ended.slice(0, -limits.downloadsKeptMax)) this.#all.delete(id);
  }

  #promisedBytes(except: RemoteModel): number {
    const others = [...this.#all.values()].filter((one) => one.model !== except);
    return others.reduce((sum, { missingBytes }) => sum + missingBytes, 0);
  }

  #places(model: RemoteModel): string[] {
    return model.files.map(({ path }) => join(this.#options.folder, placeOf(model.ref, path)));
  }

  async #isWhole(model: RemoteModel): Promise<boolean> {
    const places = this.#places(model);
    const whole = await Promise.all(model.files.map(({ size }, at) => hasFile(places[at], size)));
    if (!whole.every((one) => one)) return false;
    const known = await digestsBeside(places);
    const isAnother = ({ sha256 }: RemoteFile, at: number) => {
      const digest = known.get(basename(places[at]));
      return digest !== undefined && sha256 !== null && digest !== `sha256:${sha256}`;
    };
    return !model.files.some(isAnother);
  }

  /** What was looked up a moment ago for a plan is not asked again for the download. */
  async #lookUp(ref: RemoteRef): Promise<RemoteModel> {
    const key = printModelRef(ref);
    const known = this.#lookUps.get(key);
    if (known && performance.now() - known.atMs < limits.hubLookUpKeepMs) return await known.model;
    const { signal } = this.#stopping;
    const model = this.#options.memoryBytes().then((memoryBytes) => lookUpRemote(ref, { memoryBytes, signal }));
    this.#lookUps.set(key, { atMs: performance.now(), model });
    for (const [old, { atMs }] of this.#lookUps) {
      if (performance.now() - atMs > limits.hubLookUpKeepMs) this.#lookUps.delete(old);
    }
    model.catch(() => this.#lookUps.delete(key)); // a person may log in, or a network come back
    return await model;
  }
}

/** The id of a download that need not be. */
const here = "here";

async function begun(download: ModelDownload): Promise<Started> {
  const files = download.source === "peer" ? { files: await download.offsets() } : {};
  return { download_id: download.id, ...files };
}

function isAway(error: unknown): boolean {
  return error instanceof RbeeError && /^(DOWNLOAD_FAILED|DOWNLOAD_TIMEOUT|INVALID_RESPONSE)$/.test(error.code);
}

/** A model as a sender describes it. */
function told(ref: RemoteRef, files: readonly { path: string; size_bytes: number; sha256: string }[]): RemoteModel {
  const remote = files.map(({ path, size_bytes, sha256 }, at) => {
    return { path, size: size_bytes, sha256, url: "", isFirst: at === 0 };
  });
  const sizeBytes = remote.reduce((sum, { size }) => sum + size, 0);
  return { ref, quantization: null, sizeBytes, digest: digestOf(remote.map(({ sha256 }) => sha256)), files: remote };
}

function entryOf({ ref, sizeBytes, quantization }: RemoteModel, path: string, digest: string | null): CatalogEntry {
  const isHub = ref.provider === "hf";
  return {
    provider: ref.provider,
    reference: isHub ? `${ref.org}/${ref.repo}` : ref.url,
    variant: isHub ? `${ref.variant ?? ""}${ref.revision ? `@${ref.revision}` : ""}` : "",
    local_path: path,
    size_bytes: sizeBytes,
    downloaded_at_unix: Math.floor(Date.now() / 1_000),
    digest,
    quantization,
  };
}
