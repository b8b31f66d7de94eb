/**
 * Reads a request's JSON body within its bounds of size and time.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";

/** Returns the parsed JSON body; an empty one counts as `{}`. Throws `PAYLOAD_TOO_LARGE`, `INVALID_REQUEST`, `TIMEOUT`. */
export async function readBody(request: Request, bytesMax: number = limits.requestBodyBytesMax): Promise<unknown> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > bytesMax) throw await tooLarge(request, bytesMax);
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  const reader = request.body?.getReader();
  const timer = setTimeout(() => reader?.cancel(new RbeeError("TIMEOUT")), limits.requestBodyReadMs);
  try {
    for (let step = await reader?.read(); step && !step.done; step = await reader?.read()) {
      bytes += step.value.length;
      if (bytes > bytesMax) {
        await reader?.cancel();
        throw await tooLarge(request, bytesMax);
      }
      pieces.push(step.value);
    }
  } finally {
    clearTimeout(timer);
  }
  return bytes === 0 ? {} : parseJson(pieces, bytes);
}

function parseJson(pieces: Uint8Array[], bytes: number): unknown {
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(all));
  } catch {
    // the parser's own message quotes the body, which may be a prompt
    throw new RbeeError("INVALID_REQUEST", {
      message: "Cannot read the body: it is not valid JSON in UTF-8",
      details: { errors: [{ field: "body", constraint: "json", message: "body: not valid JSON" }] },
    });
  }
}

function tooLarge(request: Request, bytesMax: number): Promise<RbeeError> {
  const error = new RbeeError("PAYLOAD_TOO_LARGE", {
    message: `Cannot take the body: it is larger than ${bytesMax} bytes`,
    details: { bytes_max: bytesMax },
  });
  return (request.body?.locked ? Promise.resolve() : request.body?.cancel() ?? Promise.resolve()).then(
    () => error,
    () => error,
  );
}
