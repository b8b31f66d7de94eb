/**
 * One request to a hub or to another server that has models: redirects are followed by hand, so that none leads from the
 * internet into a network and the token never leaves the hub's own origin.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { addressesOf, isPrivateAddress } from "./hub_address.ts";

/** What may be asked. */
export interface Asking {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent to the address's own origin alone. */
  readonly token?: string;
  readonly signal?: AbortSignal;
  /** Returns a redirect to another origin as the answer: an address that is signed for GET refuses HEAD. */
  readonly staysAtOrigin?: boolean;
  /** With connections of its own; the common ones when absent. */
  readonly client?: Deno.HttpClient;
  /** How names become addresses; the system's way when absent. */
  readonly resolve?: (hostname: string) => Promise<readonly string[]>;
}

/** An answer, and what was said on the way to it. */
export interface Answered {
  readonly response: Response;
  /** Headers of the first answer, which the hub gave itself; those of a redirect stand here. */
  readonly first: Headers;
  /** The host that answered in the end, for messages. */
  readonly host: string;
  /** The whole address that answered; it may be signed, so it is told to nobody. */
  readonly address: string;
}

const redirects = new Set([301, 302, 303, 307, 308]);

/**
 * Asks, and returns the answer that is no redirect, whatever its status. Throws `DOWNLOAD_FAILED` for a redirect that may
 * not be followed (`details.refused` is true) and for a server that cannot be reached; and the signal's reason.
 */
export async function ask(address: string, asking: Asking = {}): Promise<Answered> {
  const origin = new URL(address);
  const resolve = asking.resolve ?? addressesOf;
  const isInside = (await resolve(origin.hostname)).some(isPrivateAddress);
  let url = origin;
  let first: Headers | undefined;
  for (let hops = 0;; hops++) {
    const response = await send(url, origin, asking);
    first ??= response.headers;
    if (!redirects.has(response.status)) return { response, first, host: url.host, address: url.href };
    const next = target(url, response.headers.get("location"));
    if (asking.staysAtOrigin && next.origin !== origin.origin) {
      return { response, first, host: url.host, address: url.href };
    }
    await response.body?.cancel();
    if (hops >= limits.hubRedirectsMax) throw refused(url, `it redirects more than ${limits.hubRedirectsMax} times`);
    if (url.protocol === "https:" && next.protocol === "http:" && !isInside) {
      throw refused(url, `it redirects to ${next.host} without encryption`);
    }
    if (!isInside && (await resolve(next.hostname)).some(isPrivateAddress)) {
      throw refused(url, `it redirects from the internet to the private address ${next.host}`);
    }
    url = next;
  }
}

function target(from: URL, location: string | null): URL {
  if (location === null || !URL.canParse(location, from)) throw refused(from, "it redirects to no address");
  const next = new URL(location, from);
  if (next.protocol !== "https:" && next.protocol !== "http:") {
    throw refused(from, `it redirects to ${next.protocol} instead of http or https`);
  }
  if (next.username || next.password) throw refused(from, "it redirects to an address with a password");
  return next;
}

async function send(url: URL, origin: URL, asking: Asking): Promise<Response> {
  // A packed body would have another length than the file.
  const headers = new Headers({ "accept-encoding": "identity", "user-agent": "rbee", ...asking.headers });
  if (asking.token !== undefined && url.origin === origin.origin) {
    headers.set("authorization", `Bearer ${asking.token}`);
  }
  const { method = "GET", signal, client } = asking;
  try {
    const init = { method, headers, signal, redirect: "manual" as const };
    return await fetch(url, client ? { ...init, client } : init);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw unreachable(url, error);
  }
}

function refused(from: URL, why: string): RbeeError {
  return new RbeeError("DOWNLOAD_FAILED", {
    message: `Cannot follow ${from.host}: ${why}`,
    details: { host: from.host, refused: true },
    hint: "Use another address of the model, or set HF_ENDPOINT to a mirror that you trust",
  });
}

/** The error's own text is not told: it holds the whole address, which may be signed. */
function unreachable(url: URL, error: unknown): RbeeError {
  const text = error instanceof Error ? error.message : String(error);
  const why = /dns error/.test(text)
    ? "its name is unknown"
    : /Connection refused/.test(text)
    ? "Connection refused"
    : /certificate|tls/i.test(text)
    ? "its certificate is not trusted"
    : /Connect\)/.test(text)
    ? "no connection could be made"
    : resetText;
  return new RbeeError("DOWNLOAD_FAILED", {
    message: `Cannot reach ${url.host}: ${why}`,
    details: { host: url.host, reason: why },
    hint: "Check the network; behind a proxy set HTTPS_PROXY, for a mirror HF_ENDPOINT",
    cause: undefined,
  });
}

/** What is said of a connection that broke: Deno's fetch does not tell how it did. */
export const resetText = "Connection reset by peer";
