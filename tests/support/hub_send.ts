/**
 * Sends a file or a range of it, as it is or as a fault wants it.
 *
 * @module
 */
import type { HubFault } from "./hub_faults.ts";
import type { HubReply, HubRequest } from "./hub_http.ts";

/** What is sent, to whom. */
export interface Sending {
  readonly file: { readonly source: Uint8Array | string; readonly size: number; readonly sha256: string };
  readonly request: HubRequest;
  readonly reply: HubReply;
  readonly fault: Partial<HubFault>;
  readonly commit: string;
}

const resetAfterMs = 200;
const pieceBytes = 256 * 1024;
/** A server that never ends its body must end once: when whoever reads has long given up. */
const endlessBytes = 1024 * 1024 * 1024;

/** Sends it. */
export async function sendFile({ file, request, reply, fault, commit }: Sending): Promise<void> {
  const etag = `"etag-${file.sha256.slice(0, 32)}"`;
  const range = rangeOf(request, file.size, etag);
  if (range === "unsatisfiable" && !fault.ignoresRange) {
    return await reply.head(416, { "content-length": "0", "content-range": `bytes */${file.size}` });
  }
  const isPart = range !== undefined && range !== "unsatisfiable" && !fault.ignoresRange;
  const [from, to] = isPart ? range : [0, file.size];
  const length = to - from + (fault.lengthOff ?? 0);
  const headers = {
    "etag": etag,
    "accept-ranges": "bytes",
    "x-repo-commit": commit,
    "content-type": "application/octet-stream",
    "content-length": fault.isEndless ? "" : String(length),
    ...(isPart && { "content-range": `bytes ${from}-${to - 1}/${file.size + (fault.lengthOff ?? 0)}` }),
    ...(fault.isEndless && { connection: "close" }),
    ...fault.headers,
  };
  const sent = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== ""));
  await reply.head(isPart ? 206 : 200, sent);
  if (request.method === "HEAD") return;
  await sendBytes({ file, reply, fault, from, to });
}

async function sendBytes(
  { file, reply, fault, from, to }: Pick<Sending, "file" | "reply" | "fault"> & { from: number; to: number },
): Promise<void> {
  using open = typeof file.source === "string" ? await Deno.open(file.source) : undefined;
  await open?.seek(from, Deno.SeekMode.Start);
  const buffer = new Uint8Array(pieceBytes);
  const end = fault.isEndless ? from + endlessBytes : to;
  const stop = Math.min(fault.cutAt ?? Infinity, fault.stallAt ?? Infinity);
  const sleepPiece = fault.bytesPerSecond ? Math.max(1, Math.ceil(fault.bytesPerSecond / 50)) : pieceBytes;
  for (let at = from; at < end;) {
    const wanted = Math.min(pieceBytes, sleepPiece, end - at, Math.max(0, stop - at));
    if (wanted === 0) break;
    const piece = at >= to
      ? buffer.subarray(0, wanted)
      : await read(file.source, open, buffer.subarray(0, Math.min(wanted, to - at)), at);
    await reply.write(damaged(piece, at, fault.damageAt));
    at += piece.length;
    if (fault.bytesPerSecond) await pause(1_000 * piece.length / fault.bytesPerSecond);
  }
  if (fault.cutAt !== undefined && fault.cutAt < end) {
    // A reset throws away what is still on its way: what was sent is to arrive first.
    if (fault.how !== "close") await pause(resetAfterMs);
    return reply.end(fault.how ?? "reset");
  }
  if (fault.stallAt !== undefined && fault.stallAt < end) await reply.gone();
  // Fewer or more bytes than announced: only the connection's end can tell.
  if (fault.lengthOff || fault.isEndless) reply.end("close");
}

async function read(
  source: Uint8Array | string,
  open: Deno.FsFile | undefined,
  into: Uint8Array,
  at: number,
): Promise<Uint8Array> {
  if (typeof source !== "string") return source.subarray(at, at + into.length);
  return into.subarray(0, await open?.read(into) ?? 0);
}

function damaged(piece: Uint8Array, at: number, damageAt = Infinity): Uint8Array {
  if (at + piece.length <= damageAt) return piece;
  const wrong = piece.slice();
  for (let i = Math.max(0, damageAt - at); i < wrong.length; i++) wrong[i] ^= 255;
  return wrong;
}

function rangeOf({ headers }: HubRequest, size: number, etag: string): [number, number] | "unsatisfiable" | undefined {
  const match = headers.get("range")?.match(/^bytes=(\d+)-(\d*)$/);
  if (!match) return undefined;
  const ifRange = headers.get("if-range");
  if (ifRange !== undefined && ifRange !== etag) return undefined;
  const from = Number(match[1]);
  if (from >= size) return "unsatisfiable";
  return [from, match[2] === "" ? size : Math.min(size, Number(match[2]) + 1)];
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
