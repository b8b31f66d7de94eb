/**
 * The one HTTP server: routes with their schemas on hono and `Deno.serve`. It checks Host, Origin, token, version and
 * body before a handler runs, turns every error into the one error body, and ends in bounded time.
 *
 * @module
 */
import { Hono } from "hono";
import { noDelayOnListeners } from "../native/libc.ts";
import { RbeeError, toErrorBody } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { type AnswerOf, type BodyOf, headers, type QueryOf, type Route } from "../protocol/routes.ts";
import { parse } from "../protocol/validation.ts";
import { type AuthPolicy, checkHostAndOrigin, checkToken, sentSecret } from "./auth.ts";
import { eventStream, type EventStreamOptions, type OpenStream, type StreamWriter } from "./event_stream.ts";
import type { Log } from "./log.ts";
import { counter } from "./metrics.ts";
import { passOver, readBody, streamBody } from "./request_body.ts";
import { VERSION } from "./version.ts";
import { within } from "./process.ts";

/** What a handler knows of its request besides the parsed input. */
export interface Context {
  /** Aborted when the client leaves before the handler has answered. Streams have a signal of their own. */
  readonly signal: AbortSignal;
  /** Aborted when the server begins to stop. */
  readonly stopping: AbortSignal;
  readonly correlationId: string;
  /** The id of the last event that a reader which comes back has seen. */
  readonly lastEventId?: string;
  /** The request's body, unread; null when there is none. For routes with `upload`. */
  readonly upload: ReadableStream<Uint8Array> | null;
  /** Returns whether the caller sent that very secret as its bearer token; so no handler holds what it was sent. */
  sent(secret: string): boolean;
  /** Returns a streamed answer; the handler returns it as its own. */
  stream(produce: (out: StreamWriter) => Promise<void>, options?: Omit<EventStreamOptions, "open">): Response;
}

/** What a handler is given. */
export interface Input<R extends Route> {
  readonly body: BodyOf<R>;
  readonly query: QueryOf<R>;
  readonly params: Readonly<Record<string, string>>;
  readonly context: Context;
}

/** Answers one route: a JSON value, or a `Response` made by `context.stream` or by hand. */
export type Handler<R extends Route> = (
  input: Input<R>,
) => Promise<AnswerOf<R> | Response> | AnswerOf<R> | Response;

/** A route with its handler. */
export interface Endpoint {
  readonly route: Route;
  readonly handler: (input: Input<Route>) => unknown;
}

/** Returns an endpoint, its types tied together. */
export function endpoint<R extends Route>(route: R, handler: Handler<R>): Endpoint {
  return { route, handler: handler as unknown as Endpoint["handler"] };
}

/** What a server is made of. */
export interface ServeOptions {
  program: string;
  endpoints: readonly Endpoint[];
  auth: AuthPolicy;
  log: Log;
  hostname: string;
  port: number;
  /** The flag that changes the port, for the message when it is taken. */
  portFlag?: string;
  /** Takes any free port when the wished one is taken. */
  portFallback?: boolean;
  /** Speaks TLS with these (PEM). */
  tls?: TlsFiles;
}

/** A certificate and its private key, as PEM texts. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** A running server. */
export interface Server {
  readonly hostname: string;
  readonly port: number;
  /** `http://127.0.0.1:8080`; with TLS `https://…`. */
  readonly url: string;
  /**
   * Takes no new connections, gives running answers `graceMs` to end, and until `lasting` is over when that is later,
   * then cuts what is left. Never rejects.
   */
  stop(graceMs?: number, lasting?: Promise<unknown>): Promise<void>;
}

/** The names of such files in a worker's folder. */
export const tlsFileNames = Object.freeze({ cert: "tls.crt", key: "tls.key" });

/** Starts listening. Throws `PORT_TAKEN` that names the port, the program and the flag. */
export function serve(options: ServeOptions): Server {
  const stopping = new AbortController();
  const open = new Set<OpenStream>();
  const listen = { hostname: options.hostname, port: options.port };
  const handler = makeHandler(options, { stopping: stopping.signal, open, listen });
  const server = listenOn(options, handler);
  listen.port = server.addr.port;
  noDelayOnListeners();
  return {
    hostname: options.hostname,
    port: listen.port,
    url: baseUrl({ hostname: options.hostname, port: listen.port, tls: options.tls !== undefined }),
    async stop(graceMs = limits.serverDrainMs, lasting: Promise<unknown> = Promise.resolve()) {
      stopping.abort(new RbeeError("SHUTTING_DOWN"));
      const finished = server.shutdown();
      if (await within(finished, graceMs)) return;
      await Promise.race([finished, lasting.catch(() => {})]);
      for (const stream of [...open]) stream.cut(new RbeeError("SHUTTING_DOWN"));
      await within(finished, 1_000);
    },
  };
}

/** Returns the address under which a program on this machine reaches what listens there: `http://127.0.0.1:8080`. */
export function baseUrl(at: { hostname: string; port: number; tls: boolean }): string {
  return `${at.tls ? "https" : "http"}://${urlHost(at.hostname)}:${at.port}`;
}

const urlHost = (hostname: string) =>
  hostname === "0.0.0.0" || hostname === "::" ? "127.0.0.1" : hostname.includes(":") ? `[${hostname}]` : hostname;

function listenOn(options: ServeOptions, handler: (r: Request) => Promise<Response>): Deno.HttpServer<Deno.NetAddr> {
  const start = (port: number) =>
    Deno.serve({ ...options.tls, hostname: options.hostname, port, onListen() {}, onError: answerError }, handler);
  try {
    return start(options.port);
  } catch (cause) {
    if (cause instanceof Deno.errors.AddrInUse && options.portFallback) return start(0);
    if (cause instanceof Deno.errors.AddrInUse) {
      throw new RbeeError("PORT_TAKEN", {
        message: `Cannot start ${options.program}: port ${options.port} on ${options.hostname} is taken`,
        details: { port: options.port, program: options.program, flag: options.portFlag ?? "--port" },
        hint: `Choose another port with ${
          options.portFlag ?? "--port"
        }, or end what uses it: ss -ltnp 'sport = :${options.port}'`,
        cause,
      });
    }
    throw notOurs(options.hostname, cause);
  }
}

/** Returns nothing. Throws `CONFIG_INVALID` when a program on this machine cannot listen on that address. */
export function checkAddress(hostname: string): void {
  try {
    Deno.listen({ hostname, port: 0 }).close();
  } catch (cause) {
    throw notOurs(hostname, cause);
  }
}

function notOurs(hostname: string, cause: unknown): RbeeError {
  return new RbeeError("CONFIG_INVALID", {
    message: `Cannot listen on ${hostname}: ${cause instanceof Error ? cause.message : cause}`,
    details: { listen: hostname },
    hint: "Listen on an address of this machine (`ip address` or `ifconfig` shows them), or on 127.0.0.1",
    cause,
  });
}

/** Where a handler's server stands. */
export interface HandlerState {
  stopping: AbortSignal;
  open: Set<OpenStream>;
  listen: { hostname: string; port: number };
}

/** Returns the function that answers requests; tests call it without a socket. */
export function makeHandler(
  options: Pick<ServeOptions, "program" | "endpoints" | "auth" | "log">,
  state: HandlerState,
): (request: Request) => Promise<Response> {
  const app = new Hono();
  const served = counter("rbee_http_requests_total", "Requests by route and status", ["route", "status"]);
  for (const one of options.endpoints) {
    app.on(one.route.method, one.route.path, async (c) => {
      const response = await answer(one, c.req.raw, c.req.param() as Record<string, string>, options, state);
      served.inc({ route: one.route.path, status: String(response.status) });
      return response;
    });
  }
  const methods = (path: string) =>
    options.endpoints.filter((e) => new RegExp(`^${e.route.path.replace(/:[a-z_]+/g, "[^/]+")}$`).test(path))
      .map((e) => e.route.method);
  app.notFound((c) => {
    try {
      checkHostAndOrigin(c.req.raw, state.listen);
    } catch (error) {
      return answerError(error);
    }
    const allowed = methods(c.req.path);
    if (allowed.length === 0) {
      return answerError(
        new RbeeError("NOT_FOUND", { message: `Cannot find ${c.req.path.slice(0, 200)} in ${options.program}` }),
      );
    }
    const error = new RbeeError("METHOD_NOT_ALLOWED", {
      message: `Cannot use ${c.req.method} here: only ${allowed.join(", ")}`,
      details: { allowed },
    });
    return answerError(error, undefined, { allow: allowed.join(", ") });
  });
  let inFlight = 0;
  return async (request) => {
    if (inFlight >= limits.requestsInFlightMax) return answerError(new RbeeError("TOO_MANY_REQUESTS"));
    inFlight++;
    try {
      return await app.fetch(request);
    } finally {
      inFlight--;
    }
  };
}

async function answer(
  one: Endpoint,
  request: Request,
  params: Record<string, string>,
  options: Pick<ServeOptions, "program" | "auth" | "log">,
  state: HandlerState,
): Promise<Response> {
  const correlationId = correlationOf(request);
  const upload = one.route.upload ? streamBody(request) : null;
  try {
    checkHostAndOrigin(request, state.listen);
    checkToken(request, one.route.access, options.auth);
    checkVersion(one.route, request, options.program);
    // before the handler: a task that was made for a stream which is then refused would run for nobody
    if (one.route.stream && state.open.size >= limits.streamsOpenMax) throw new RbeeError("TOO_MANY_REQUESTS");
    const query = one.route.query &&
      parse(one.route.query, Object.fromEntries(new URL(request.url).searchParams), "the query");
    const body = one.route.body && parse(one.route.body, await readBody(request), "the request");
    const context: Context = {
      signal: request.signal,
      stopping: state.stopping,
      correlationId,
      lastEventId: request.headers.get("last-event-id") ?? undefined,
      upload,
      sent: (secret) => sentSecret(request, secret),
      stream: (produce, more) => eventStream(produce, { keepAlive: true, ...more, open: state.open }),
    };
    const result = await one.handler({ body, query, params, context } as Input<Route>);
    const response = result instanceof Response ? result : Response.json(result ?? {});
    response.headers.set(headers.correlationId, correlationId);
    return response;
  } catch (thrown) {
    const isLeft = request.signal.aborted; // whatever comes of that is no fault
    if (!isLeft && (!(thrown instanceof RbeeError) || thrown.code === "INTERNAL_ERROR")) {
      options.log.error("request failed", { route: one.route.path, error: thrown, stack: (thrown as Error)?.stack });
    }
    // Whoever is cut off while it sends does not read why.
    if (upload) await passOver(upload);
    return answerError(thrown, correlationId);
  }
}

function answerError(thrown: unknown, correlationId?: string, extra: Record<string, string> = {}): Response {
  // a fault's own text stays in the log: it may hold what a user typed
  const error = thrown instanceof RbeeError ? thrown : new RbeeError("INTERNAL_ERROR");
  const more: Record<string, string> = { ...extra };
  if (error.status === 401) more["www-authenticate"] = "Bearer";
  if (error.status === 503 || error.status === 429) more["retry-after"] = "1";
  if (correlationId) more[headers.correlationId] = correlationId;
  const body = toErrorBody(error, correlationId);
  return Response.json(body, { status: error.status, headers: more });
}

function correlationOf(request: Request): string {
  const sent = request.headers.get(headers.correlationId);
  const usable = sent !== null && sent.length <= limits.correlationIdCharsMax && /^[A-Za-z0-9._-]+$/.test(sent);
  return usable ? sent : crypto.randomUUID();
}

/** Programs of different versions do not work together (S13, S43); strangers such as curl send no version. */
function checkVersion(route: Route, request: Request, program: string): void {
  const theirs = request.headers.get(headers.version);
  if (theirs === null || theirs === VERSION || route.access === "public") return;
  const caller = (request.headers.get(headers.program) ?? "the caller").slice(0, 40);
  throw new RbeeError("VERSION_MISMATCH", {
    message: `Cannot work together: ${caller} is v${theirs.slice(0, 40)}, ${program} is v${VERSION}`,
    details: { [caller]: theirs.slice(0, 40), [program]: VERSION },
  });
}
