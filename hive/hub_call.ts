/**
 * Questions to the hub's API: each with a bound of time, size and tries.
 *
 * @module
 */
import type * as z from "zod";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { abortable } from "../runtime/call.ts";
import { Tries } from "./download_tries.ts";
import { type HubAccess, refusalOf, type Wanted } from "./hub_access.ts";
import { ask } from "./hub_fetch.ts";

/** Who asks for what. */
export interface JsonQuestion {
  readonly access: HubAccess;
  readonly wanted: Wanted;
  readonly signal?: AbortSignal;
}

/** Returns the hub's JSON answer and its headers. Throws as `refusalOf` says, and `INVALID_RESPONSE`. */
export async function askForJson<T>(
  url: string,
  schema: z.ZodType<T>,
  { access, wanted, signal }: JsonQuestion,
): Promise<{ value: T; headers: Headers }> {
  return await trying(signal, async (within) => {
    const { response } = await ask(url, { token: access.token, signal: within });
    if (!response.ok) throw await leave(response, refusalOf(response, wanted, access));
    const text = await boundedText(response, wanted, within);
    const parsed = schema.safeParse(parseJson(text));
    if (!parsed.success) throw notUnderstood(wanted, "its answer is not that of a hub");
    return { value: parsed.data, headers: response.headers };
  });
}

/** Does it once, and again where that may help; each time within `hubCallMs`. Throws what the last time threw. */
export async function trying<T>(
  signal: AbortSignal | undefined,
  once: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const tries = new Tries({ signal });
  for (;;) {
    const late = AbortSignal.timeout(limits.hubCallMs);
    try {
      return await once(signal ? AbortSignal.any([signal, late]) : late);
    } catch (error) {
      await tries.failedWith(late.aborted && !signal?.aborted ? tooSlow() : error);
    }
  }
}

function tooSlow(): RbeeError {
  return new RbeeError("DOWNLOAD_TIMEOUT", {
    message: `Cannot look up the model: nothing answered within ${limits.hubCallMs / 1_000} s`,
    details: { reason: "no answer" },
  });
}

/** Leaves an answer unread. Returns the error. */
export async function leave(response: Response, error: RbeeError): Promise<RbeeError> {
  await response.body?.cancel();
  return error;
}

async function boundedText(response: Response, wanted: Wanted, signal: AbortSignal): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const piece of response.body ? abortable(response.body, signal) : []) {
    bytes += piece.length;
    if (bytes > limits.hubAnswerBytesMax) throw notUnderstood(wanted, "its answer is too large");
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a proxy's page, or a captive portal's
  }
}

/** Returns the error for an answer that nobody can read. */
export function notUnderstood({ name }: Wanted, why: string): RbeeError {
  return new RbeeError("INVALID_RESPONSE", {
    message: `Cannot look up ${name}: ${why}`,
    details: { name },
    hint: "Check HF_ENDPOINT and the proxy; behind a captive portal log in first",
  });
}
