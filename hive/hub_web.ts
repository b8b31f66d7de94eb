/**
 * A model's file on a web server that is no hub.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { refusalOf } from "./hub_access.ts";
import { trying } from "./hub_call.ts";
import { ask } from "./hub_fetch.ts";
import { checkFilePath, quantizationOf } from "./hub_listing.ts";

/** What a server tells of a file. */
export interface WebFile {
  /** The file's name in the address. */
  readonly path: string;
  readonly size: number;
  readonly sha256: string | null;
  readonly quantization: string | null;
}

/**
 * Returns what the server tells of the file at that address. Throws `MODEL_NOT_FOUND`, `ACCESS_DENIED`, `DOWNLOAD_FAILED`,
 * and `INVALID_MODEL_REF` for a name that is not safe.
 */
export async function lookAtServer(address: string, signal?: AbortSignal): Promise<WebFile> {
  const url = new URL(address);
  const path = decodedName(url);
  const { size, headers } = await trying(signal, (within) => lengthAt(url, within));
  if (size !== undefined && Number.isSafeInteger(size) && size > 0) {
    return { path, size, sha256: toldDigest(headers), quantization: quantizationOf(path) };
  }
  throw new RbeeError("DOWNLOAD_FAILED", {
    message: `Cannot download ${url.host}${url.pathname}: the server does not tell its length`,
    details: { refused: true },
    hint: "Download the GGUF file yourself and use file:/absolute/path.gguf",
  });
}

/** By HEAD, or by the first byte: an address that is signed for GET refuses HEAD. */
async function lengthAt(url: URL, signal: AbortSignal): Promise<{ size?: number; headers: Headers }> {
  const head = (await ask(url.href, { method: "HEAD", signal })).response;
  await head.body?.cancel();
  if (head.ok) return { size: Number(head.headers.get("content-length") ?? NaN), headers: head.headers };
  if (head.status === 404 || head.status === 410 || head.status >= 500) throw refusalOfServer(head, url);
  const first = (await ask(url.href, { headers: { range: "bytes=0-0" }, signal })).response;
  await first.body?.cancel();
  if (!first.ok) throw refusalOfServer(first, url);
  const total = first.headers.get("content-range")?.match(/\/(\d+)$/)?.[1];
  const told = first.status === 206 ? total : first.headers.get("content-length");
  return { size: Number(told ?? NaN), headers: first.headers };
}

function decodedName(url: URL): string {
  const last = url.pathname.split("/").at(-1) ?? "";
  try {
    const name = decodeURIComponent(last);
    checkFilePath(name);
    if (!name.includes("/")) return name;
  } catch {
    // said below
  }
  throw new RbeeError("INVALID_MODEL_REF", {
    message: "Cannot read the model reference: the file's name in the address is not safe",
  });
}

/** Returns the error for a server's answer that is none of success. */
export function refusalOfServer(response: Response, url: URL): RbeeError {
  const where = `${url.host}${url.pathname}`;
  const { status } = response;
  if (status === 404 || status === 410) {
    return new RbeeError("MODEL_NOT_FOUND", { message: `Cannot find ${where}: status ${status}`, details: { status } });
  }
  if (status !== 401 && status !== 403) return refusalOf(response, { name: where }, { endpoint: url.origin });
  return new RbeeError("ACCESS_DENIED", {
    message: `Cannot download ${where}: the server refuses it with status ${status}`,
    details: { status },
    hint: "Download the GGUF file yourself and use file:/absolute/path.gguf",
  });
}

/** Returns a file's digest (64 hex digits) where headers tell it: `Repr-Digest` of RFC 9530, or the hub's own. */
export function toldDigest(headers: Headers): string | null {
  const linked = headers.get("x-linked-etag")?.match(/^(?:W\/)?"?([0-9a-f]{64})"?$/)?.[1];
  const told = headers.get("repr-digest")?.match(/sha-256=:([A-Za-z0-9+/=]{44}):/)?.[1];
  return linked ?? (told ? Uint8Array.fromBase64(told).toHex() : null);
}
