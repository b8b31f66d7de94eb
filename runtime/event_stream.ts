/**
 * A streamed answer with back-pressure: whoever produces waits for whoever reads, and a reader that reads nothing for
 * `slowClientMs` is let go, so that no client can make a program's memory grow or hold a slot for ever.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { keepAliveText } from "../protocol/sse.ts";

/** The writing end of a streamed answer. */
export interface StreamWriter {
  /** Aborted when the client left or was let go, or the stream was cut at shutdown. */
  readonly signal: AbortSignal;
  /** Queues a piece; resolves when there is room for the next one. Rejects with the signal's reason. */
  write(piece: string | Uint8Array): Promise<void>;
}

/** What an open stream is known by to its server. */
export interface OpenStream {
  /** Ends it from our side: the client sees the connection close after what was queued. */
  cut(reason: Error): void;
}

/** How a stream behaves. */
export interface EventStreamOptions {
  /** Streams that are open now; the server cuts them when its grace is over. */
  open: Set<OpenStream>;
  /** Sends a comment when nothing was written for `keepAliveCommentMs`. */
  keepAlive?: boolean;
  contentType?: string;
  headers?: Record<string, string>;
  slowClientMs?: number;
}

/** Returns the answer whose body `produce` writes. It ends when `produce` returns; what it throws cuts the stream. */
export function eventStream(produce: (out: StreamWriter) => Promise<void>, options: EventStreamOptions): Response {
  const gone = new AbortController();
  const encoder = new TextEncoder();
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  /** What writers wait for while the buffer is full; one for all of them. */
  let room: PromiseWithResolvers<void> | undefined;
  const makeRoom = () => {
    room?.resolve();
    room = undefined;
  };
  let written = 0;
  let finished = false;
  const finish = (end: () => void, reason: Error) => {
    if (finished) return;
    finished = true;
    options.open.delete(handle);
    clearInterval(keepAlive);
    gone.abort(reason);
    makeRoom();
    end();
  };
  const handle: OpenStream = { cut: (reason) => finish(() => controller.close(), reason) };
  const write = async (piece: string | Uint8Array) => {
    if (finished) throw gone.signal.reason;
    written++;
    controller.enqueue(typeof piece === "string" ? encoder.encode(piece) : piece);
    // Deno writes to the socket within `enqueue`, so this may have been what found the client gone: nobody would make
    // room any more, and whoever waits for it would hold its slot for ever.
    if (finished) throw gone.signal.reason;
    if ((controller.desiredSize ?? 0) > 0) return;
    room ??= Promise.withResolvers();
    await waitForRoom(room.promise, options.slowClientMs ?? limits.slowClientMs);
    if (finished) throw gone.signal.reason;
  };
  const waitForRoom = async (promise: Promise<void>, ms: number) => {
    const timer = setTimeout(() => {
      const reason = new RbeeError("CONNECTION_LOST", { message: "Cannot go on: the client reads nothing" });
      finish(() => controller.error(reason), reason);
    }, ms);
    await promise;
    clearTimeout(timer);
  };
  let seen = -1;
  const keepAlive = setInterval(() => {
    const quiet = seen === written;
    seen = written;
    if (options.keepAlive && quiet && !finished && (controller.desiredSize ?? 0) > 0) {
      controller.enqueue(encoder.encode(keepAliveText));
    }
  }, limits.keepAliveCommentMs);
  const body = new ReadableStream<Uint8Array>({
    start(c) {
      controller = c;
      options.open.add(handle);
    },
    pull: makeRoom,
    cancel: () => finish(() => {}, new RbeeError("REQUEST_CANCELED", { message: "Canceled: the client left" })),
  }, new ByteLengthQueuingStrategy({ highWaterMark: limits.streamBufferBytesMax }));
  produce({ signal: gone.signal, write }).then(
    () => finish(() => controller.close(), new RbeeError("REQUEST_CANCELED", { message: "The stream has ended" })),
    (error) => finish(() => controller.error(error), error instanceof Error ? error : new Error(String(error))),
  );
  const type = options.contentType ?? "text/event-stream; charset=utf-8";
  return new Response(body, {
    headers: { "content-type": type, "cache-control": "no-store", "x-accel-buffering": "no", ...options.headers },
  });
}
