/**
 * What an endpoint is: method, path, who may call it, and the schemas of what goes in and comes out. The tables, one a
 * program, are the only place with URL paths; servers and clients name a route.
 *
 * @module
 */
import type * as z from "zod";

/**
 * Who may call: `public` everybody; `open` everybody on loopback while no token is configured, else a token;
 * `token` always a token; `worker` the program's token or the key of the worker that the body names.
 */
export type Access = "public" | "open" | "token" | "worker";

/** One endpoint. `stream` answers with server-sent events (or text), all others with JSON. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** With `:name` for parameters. */
  readonly path: string;
  readonly access: Access;
  readonly body?: z.ZodType;
  readonly query?: z.ZodType;
  readonly answer?: z.ZodType;
  readonly stream?: boolean;
  /** The body is bytes that the handler reads as they come, without a bound of size of the server's own. */
  readonly upload?: boolean;
}

/** Returns a route, frozen, with its literal types kept. */
export function route<const R extends Route>(r: R): Readonly<R> {
  return Object.freeze(r);
}

/** The parsed body that a route takes. */
export type BodyOf<R extends Route> = R["body"] extends z.ZodType ? z.output<R["body"]> : undefined;
/** What a client gives as the body. */
export type BodyInput<R extends Route> = R["body"] extends z.ZodType ? z.input<R["body"]> : undefined;
/** The parsed query that a route takes. */
export type QueryOf<R extends Route> = R["query"] extends z.ZodType ? z.output<R["query"]> : undefined;
/** The parsed answer of a route. */
export type AnswerOf<R extends Route> = R["answer"] extends z.ZodType ? z.output<R["answer"]> : unknown;

/** Names of the headers that rbee's programs send each other. */
export const headers = Object.freeze({
  correlationId: "x-correlation-id",
  version: "x-rbee-version",
  program: "x-rbee-program",
  /** Of the whole file whose bytes are sent: `sha256:<hex>`. */
  digest: "x-rbee-digest",
});

/** Returns the path of a route with its parameters filled in and its query appended. */
export function pathOf(
  r: Route,
  options: { params?: Record<string, string>; query?: Record<string, string | number | boolean | undefined> } = {},
): string {
  const path = r.path.replace(/:([a-z_]+)/g, (_all, key: string) => {
    const value = options.params?.[key];
    if (value === undefined) throw new TypeError(`Cannot make the path ${r.path}: ${key} is missing`);
    return encodeURIComponent(value);
  });
  const pairs = Object.entries(options.query ?? {}).filter(([, value]) => value !== undefined);
  if (pairs.length === 0) return path;
  return `${path}?${new URLSearchParams(pairs.map(([key, value]) => [key, String(value)]))}`;
}
