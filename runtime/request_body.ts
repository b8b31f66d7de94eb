/**
 * Reads a request's body within its bounds of size and time: JSON as a whole, bytes as a stream.
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

/**
 * Returns the body as it comes, at the pace of whoever reads it. It rejects with `TIMEOUT` when nothing came for that
 * long while somebody waited, with `CONNECTION_LOST` when it breaks, with `INVALID_REQUEST` when it ends too early.
 */
export function streamBody(
  request: Request,
  { silenceMs = limits.requestBodyReadMs }: { silenceMs?: number } = {},
): ReadableStream<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  const reader = request.body?.getReader();
  const leave = () => reader?.cancel().catch(() => {}); // broken already: nobody is left to tell
  let bytes = 0;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        leave();
      }, silenceMs);
      try {
        const step = await reader?.read();
        if (late) throw new RbeeError("TIMEOUT", { message: "Cannot read the body: nothing of it came any more" });
        if (step && !step.done) {
          bytes += step.value.length;
          return controller.enqueue(step.value);
        }
        if (bytes < announced) throw cutShort(bytes, announced);
        controller.close();
      } catch (error) {
        controller.error(error instanceof RbeeError ? error : broken(bytes, error));
      } finally {
        clearTimeout(timer);
      }
    },
    cancel: leave,
  }, { highWaterMark: 0 });
}

/** Reads the rest of a body, for a moment, and forgets it. Never rejects. */
export async function passOver(bytes: ReadableStream<Uint8Array>): Promise<void> {
  if (bytes.locked) return;
  const reader = bytes.getReader();
  const timer = setTimeout(() => void reader.cancel().catch(() => {}), limits.requestRestMs);
  try {
    while (!(await reader.read()).done);
  } catch {
    // it broke: nobody is left to tell
  } finally {
    clearTimeout(timer);
  }
}

function broken(bytes: number, cause: unknown): RbeeError {
  const message = `Cannot read the body: it broke after ${bytes} bytes`;
  return new RbeeError("CONNECTION_LOST", { message, cause });
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
