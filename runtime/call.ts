/**
 * The one HTTP client between rbee's programs: deadline, retries of connecting, correlation id, error body → RbeeError.
 *
 * @module
 */
import { fromErrorBody, RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { type AnswerOf, type BodyInput, headers, pathOf, type Route } from "../protocol/routes.ts";
import { tlsFailure } from "./tls_failure.ts";
import { within } from "./process.ts";
import { VERSION } from "./version.ts";

/** A program that is called. */
export interface Peer {
  /** Its name for messages: `queen-rbee`. */
  readonly program: string;
  /** `http://127.0.0.1:8080`, without a path. */
  readonly base: string;
  readonly token?: string;
  /** For a unix socket, or for TLS (`clientTrusting`); plain TCP when absent. */
  readonly client?: Deno.HttpClient;
  /** Our own name, shown when versions differ. */
  readonly caller?: string;
}

/** One call's particulars. */
export interface CallOptions<R extends Route> {
  params?: Record<string, string>;
  query?: Record<string, string | number | boolean | undefined>;
  body?: BodyInput<R>;
  /** The body of a route with `upload`. It can be read once only, so connecting is tried once. */
  upload?: ReadableStream<Uint8Array>;
  signal?: AbortSignal;
  /** Until the answer is complete; of a stream, until its headers are there. */
  deadlineMs?: number;
  correlationId?: string;
  /** How often connecting is tried; a request that may have been received is never sent twice. */
  attempts?: number;
  /** Told of each attempt after the first, with the wait before it. */
  onRetry?: (attempt: number, waitMs: number) => void;
}

/** A streamed answer. */
export interface StreamAnswer {
  readonly body: ReadableStream<Uint8Array>;
  readonly correlationId: string | null;
  readonly contentType: string;
}

/** Calls a route and returns its parsed answer. Throws the peer's error, or `CONNECTION_TIMEOUT`, `CONNECTION_LOST`, `TLS_NOT_TRUSTED`, `INVALID_RESPONSE`. */
export async function call<R extends Route>(peer: Peer, route: R, options: CallOptions<R> = {}): Promise<AnswerOf<R>> {
  const deadline = AbortSignal.timeout(options.deadlineMs ?? limits.callTimeoutMs);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  const response = await connect(peer, route, { ...options, signal }, deadline);
  const value = await readJson(peer, response, signal);
  if (!response.ok) throw fromErrorBody(value, response.status);
  if (route.answer === undefined) return value as AnswerOf<R>;
  const parsed = route.answer.safeParse(value);
  if (parsed.success) return parsed.data as AnswerOf<R>;
  throw new RbeeError("INVALID_RESPONSE", {
    message: `Cannot understand the answer of ${peer.program} to ${route.method} ${route.path}`,
    details: { fields: parsed.error.issues.slice(0, 8).map((issue) => issue.path.join(".")) },
  });
}

/** Calls a streaming route; the caller reads (or cancels) the body. Throws as `call` does, before the stream begins. */
export async function callStream<R extends Route>(
  peer: Peer,
  route: R,
  options: CallOptions<R> = {},
): Promise<StreamAnswer> {
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new DOMException("deadline", "TimeoutError")),
    options.deadlineMs ?? limits.callTimeoutMs,
  );
  try {
    const signal = options.signal ? AbortSignal.any([options.signal, late.signal]) : late.signal;
    const response = await connect(peer, route, { ...options, signal }, late.signal);
    if (!response.ok) throw fromErrorBody(await readJson(peer, response, signal), response.status);
    return {
      body: abortable(response.body ?? new Blob([]).stream(), options.signal),
      correlationId: response.headers.get(headers.correlationId),
      contentType: response.headers.get("content-type") ?? "",
    };
  } finally {
    clearTimeout(timer);
  }
}

async function connect<R extends Route>(
  peer: Peer,
  route: R,
  options: CallOptions<R> & { signal: AbortSignal },
  deadline: AbortSignal,
): Promise<Response> {
  const attempts = options.upload ? 1 : Math.min(options.attempts ?? limits.connectAttempts, limits.connectAttempts);
  for (let attempt = 1;; attempt++) {
    try {
      return await send(peer, route, options);
    } catch (error) {
      if (options.signal.aborted) throw endOf(peer, options.signal, deadline);
      const untrusted = tlsFailure(place(peer), peer.program, error);
      if (untrusted) throw untrusted;
      if (!isRefused(error)) throw lost(peer, error);
      if (attempt >= attempts) throw unreachable(peer, attempt, error);
      const waitMs = limits.connectBackoffMs[attempt];
      options.onRetry?.(attempt + 1, waitMs);
      await sleep(waitMs, options.signal).catch(() => {
        throw endOf(peer, options.signal, deadline); // a bare DOMException would be shown as INTERNAL_ERROR
      });
    }
  }
}

/** Returns what an aborted call ends with: the deadline's own error, or the reason of whoever canceled. */
function endOf(peer: Peer, signal: AbortSignal, deadline: AbortSignal): unknown {
  return deadline.aborted ? tooSlow(peer, deadline.reason) : signal.reason;
}

function send<R extends Route>(peer: Peer, route: R, options: CallOptions<R> & { signal: AbortSignal }) {
  const sent = new Headers({ [headers.version]: VERSION, [headers.program]: peer.caller ?? "rbee" });
  if (peer.token) sent.set("authorization", `Bearer ${peer.token}`);
  if (options.correlationId) sent.set(headers.correlationId, options.correlationId);
  const body = options.upload ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  if (body !== undefined) sent.set("content-type", `application/${options.upload ? "octet-stream" : "json"}`);
  const init = { method: route.method, headers: sent, body, signal: options.signal, redirect: "manual" as const };
  return fetch(peer.base + pathOf(route, options), peer.client ? { ...init, client: peer.client } : init);
}

/**
 * Returns the body so that it ends with the signal. Deno 2.7.11 forgets the signal of a `fetch` at the first garbage
 * collection after the headers came: from then on an abort does nothing, and a canceled task would run to its end.
 */
export function abortable(body: ReadableStream<Uint8Array>, signal?: AbortSignal): ReadableStream<Uint8Array> {
  if (!signal) return body;
  const reader = body.getReader();
  const leave = (reason: unknown) => reader.cancel(reason).catch(() => {}); // broken already: nobody is left to tell
  let stop = () => {};
  const done = () => signal.removeEventListener("abort", stop);
  return new ReadableStream<Uint8Array>({
    start(controller) {
      stop = () => {
        controller.error(signal.reason);
        leave(signal.reason);
      };
      if (signal.aborted) stop();
      else signal.addEventListener("abort", stop, { once: true });
    },
    async pull(controller) {
      try {
        const step = await reader.read();
        if (signal.aborted) return;
        if (!step.done) return controller.enqueue(step.value);
        done();
        controller.close();
      } catch (error) {
        done();
        if (!signal.aborted) controller.error(error);
      }
    },
    cancel(reason) {
      done();
      return leave(reason);
    },
  }, { highWaterMark: 0 });
}

/** Returns whether something at that address accepts or refuses a connection; `silent`: neither within that time. */
export async function tcpState(hostname: string, port: number, ms: number): Promise<"accepts" | "refuses" | "silent"> {
  const state = Deno.connect({ hostname, port }).then(
    (connection) => (connection.close(), "accepts" as const),
    (error) => error instanceof Deno.errors.ConnectionRefused ? "refuses" as const : "silent" as const,
  );
  return await within(state, ms) ? await state : "silent";
}

/** Resolves after `ms`; rejects with the signal's reason. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

async function readJson(peer: Peer, response: Response, signal: AbortSignal): Promise<unknown> {
  const announced = Number(response.headers.get("content-length") ?? 0);
  if (announced > limits.answerBytesMax) {
    await response.body?.cancel();
    throw answerTooLarge(peer);
  }
  try {
    const text = response.body ? await readText(peer, abortable(response.body, signal)) : "";
    return text === "" ? {} : JSON.parse(text);
  } catch (error) {
    if (signal.aborted) throw tooSlow(peer, error);
    if (error instanceof RbeeError) throw error;
    if (!response.ok) return undefined; // a proxy's HTML page: the status says enough
    throw error instanceof SyntaxError
      ? new RbeeError("INVALID_RESPONSE", { message: `Cannot read the answer of ${peer.program}: it is no JSON` })
      : lost(peer, error);
  }
}

/** Returns a body's text. Counts while it reads: an answer in chunks announces no length, and may have no end. */
async function readText(peer: Peer, body: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > limits.answerBytesMax) throw answerTooLarge(peer); // leaving the loop cancels the body
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

function answerTooLarge(peer: Peer): RbeeError {
  return new RbeeError("INVALID_RESPONSE", { message: `Cannot read the answer of ${peer.program}: it is too large` });
}

/** Whether nothing was sent, so that sending again is safe. Texts of Deno's fetch (hyper): "client error (Connect)". */
function isRefused(error: unknown): boolean {
  return error instanceof Error && /\(Connect\)|tcp connect error|Connection refused|No such file/.test(error.message);
}

const place = (peer: Peer) => peer.base.replace(/^https?:\/\//, "");

function unreachable(peer: Peer, attempts: number, cause: unknown): RbeeError {
  return new RbeeError("CONNECTION_TIMEOUT", {
    message: `Cannot connect to ${peer.program} at ${place(peer)} after ${attempts} ${
      attempts === 1 ? "attempt" : "attempts"
    }`,
    details: { address: place(peer), attempts },
    hint: `Check that ${peer.program} runs: rbee status`,
    cause,
  });
}

function tooSlow(peer: Peer, cause: unknown): RbeeError {
  return new RbeeError("CONNECTION_TIMEOUT", {
    message: `Cannot wait any longer: ${peer.program} at ${place(peer)} did not answer`,
    details: { address: place(peer) },
    hint: `Check that ${peer.program} runs: rbee status`,
    cause,
  });
}

function lost(peer: Peer, cause: unknown): RbeeError {
  return new RbeeError("CONNECTION_LOST", {
    message: `Cannot go on: the connection to ${peer.program} at ${place(peer)} was lost`,
    details: { address: place(peer) },
    cause,
  });
}
