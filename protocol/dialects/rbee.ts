/**
 * rbee's own wire form of a generation. A client that reads only default events sees tokens, the terminal event and
 * errors: everything else is a named event.
 *
 * @module
 */
import type { ErrorBody } from "../error.ts";
import type { InferenceEnd } from "../inference.ts";
import { doneText, encodeEvent, encodeJsonEvent } from "../sse.ts";

/** Turns what happens in a generation into the bytes that a client of one dialect reads. */
export interface Dialect {
  /** Text of the first event, when the worker made the request's id. */
  started(info: { request_id: string; model: string }): string;
  /** Text of one token event. */
  token(token: string, index: number): string;
  /** Text of the terminal event and the end mark. */
  end(end: InferenceEnd): string;
  /** Text of the error event and the end mark. */
  error(body: ErrorBody): string;
}

/** The dialect of `POST /v2/tasks` and `POST /v1/inference`. */
export const rbeeDialect: Dialect = {
  started: (info) => encodeJsonEvent(info, "started"),
  token: (token, index) => encodeEvent({ id: index, data: `{"token":${JSON.stringify(token)},"index":${index}}` }),
  end: (end) => encodeJsonEvent(end) + doneText,
  error: (body) => encodeJsonEvent(body) + doneText,
};

/** Returns the dialect of that name. */
export function dialectOf(name: "rbee"): Dialect {
  return { rbee: rbeeDialect }[name];
}
