/**
 * Reads a request's JSON body within its bounds of size and time.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";

/** The bounds of one body; those of `limits` when absent. */
export interface BodyBounds {
  bytesMax?: number;
  /** Until the whole body is there. */
  readMs?: number;
}

/**
 * Returns the parsed JSON body; an empty one counts as `{}`. Throws `PAYLOAD_TOO_LARGE`, `TIMEOUT` when it is not
 * complete in time, `INVALID_REQUEST` when it is no JSON or ends before the length that was announced.
 */
export async function readBody(request: Request, bounds: BodyBounds = {}): Promise<unknown> {
  const bytesMax = bounds.bytesMax ?? limits.requestBodyBytesMax;
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > bytesMax) throw await tooLarge(request, bytesMax);
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  let late = false;
  const reader = request.body?.getReader();
  const leave = () => reader?.cancel().catch(() => {}); // broken already: nobody is left to tell
  const timer = setTimeout(() => {
    late = true;
    leave();
  }, bounds.readMs ?? limits.requestBodyReadMs);
  try {
    for (let step = await reader?.read(); step && !step.done; step = await reader?.read()) {
      bytes += step.value.length;
      if (bytes > bytesMax) {
        await leave();
        throw await tooLarge(request, bytesMax);
      }
      pieces.push(step.value);
    }
  } finally {
    clearTimeout(timer);
  }
  // Canceling ends the loop as a complete body does: half a request was carried out, and an empty one as `{}`.
  if (late) throw new RbeeError("TIMEOUT", { message: "Cannot read the body: it did not arrive in time" });
  if (bytes < announced) throw cutShort(bytes, announced);
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

/** What a client that went away has sent may be valid JSON by chance, but is not what it meant. */
function cutShort(bytes: number, announced: number): RbeeError {
  const message = `Cannot read the body: it ended after ${bytes} of ${announced} bytes`;
  return new RbeeError("INVALID_REQUEST", {
    message,
    details: { errors: [{ field: "body", constraint: "length", message: "body: not complete" }] },
  });
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
