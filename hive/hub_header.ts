/**
 * Reads a model's header where it lies, by ranges, so that its size in memory is known before anything is fetched.
 *
 * @module
 */
import { type GgufSource, readGgufHeaderFrom } from "../native/gguf.ts";
import { shapeOf } from "../native/gguf_shape.ts";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import type { ModelShape } from "../protocol/model.ts";
import { abortable } from "../runtime/call.ts";
import type { RemoteFile, RemoteModel } from "./hub.ts";
import { hubAccess } from "./hub_access.ts";
import { ask } from "./hub_fetch.ts";

/**
 * Returns the shape of a model at a hub or on a web server; null when its header cannot be read there. Throws
 * `MODEL_LOAD_FAILED` or `MODEL_INCOMPATIBLE` when what stands there is no model's header.
 */
export async function shapeAtHub(
  { ref, files, sizeBytes }: RemoteModel,
  signal?: AbortSignal,
): Promise<ModelShape | null> {
  const late = AbortSignal.timeout(limits.hubCallMs);
  const token = ref.provider === "hf" ? hubAccess().token : undefined;
  const both = signal ? AbortSignal.any([signal, late]) : late;
  try {
    const header = await readGgufHeaderFrom(rangesOf(files[0], token, both));
    return shapeOf(header, sizeBytes);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (error instanceof RbeeError && /^MODEL_(LOAD_FAILED|INCOMPATIBLE)$/.test(error.code)) throw error;
    return null; // a server without ranges, or a network that broke just now: the download will tell
  }
}

function rangesOf(file: RemoteFile, token: string | undefined, signal: AbortSignal): GgufSource {
  return {
    sizeBytes: file.size,
    async read(offset, length) {
      const last = Math.min(offset + length, file.size) - 1;
      if (last < offset) return new Uint8Array();
      const { response } = await ask(file.url, { headers: { range: `bytes=${offset}-${last}` }, token, signal });
      const isRange = response.status === 206 || (response.status === 200 && offset === 0);
      if (!isRange || !response.body) {
        await response.body?.cancel();
        throw new RbeeError("DOWNLOAD_FAILED", { details: { status: response.status } });
      }
      return await firstBytes(abortable(response.body, signal), last + 1 - offset);
    },
  };
}

/** Returns the first bytes of a body and leaves the rest. */
async function firstBytes(body: ReadableStream<Uint8Array>, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  for await (const piece of body) {
    const wanted = piece.subarray(0, length - filled);
    bytes.set(wanted, filled);
    filled += wanted.length;
    if (filled === length) break; // leaving the loop cancels the body
  }
  return bytes.subarray(0, filled);
}
