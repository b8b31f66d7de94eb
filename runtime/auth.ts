/**
 * Who may call: bearer tokens and how they come to be, and the checks that keep web pages out.
 *
 * @module
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { RbeeError } from "../protocol/error.ts";
import type { Access } from "../protocol/routes.ts";

/** What a server checks requests against. */
export interface AuthPolicy {
  /** The program's own token. */
  readonly token: string;
  /** True when a person configured a token, or the address is not loopback: then `open` routes need it as well. */
  readonly openNeedsToken: boolean;
  /** Whether a token is the key of one of this hive's workers. */
  readonly isWorkerKey?: (token: string) => boolean;
}

/** Returns whether two secrets are equal, in a time that tells nothing about where they differ. */
export function sameSecret(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Returns a name for a token that is safe in a log: six hex digits of its SHA-256. */
export function tokenName(token: string): string {
  return `token:${createHash("sha256").update(token).digest("hex").slice(0, 6)}`;
}

/**
 * Returns what a queen's `GET /v2/info` names as `home_id`: 16 hex digits that only who holds the token can compute. So
 * a keeper knows its own queen before it sends the token anywhere.
 */
export function homeId(token: string): string {
  return createHash("sha256").update(`home:${token}`).digest("hex").slice(0, 16);
}

/** Returns a new random token, 64 hex digits. */
export function newToken(): string {
  return randomBytes(32).toString("hex");
}

/**
 * Returns the key of a worker, derived from its hive's token and its id. So it never travels: the queen, who may read
 * the hive's token, computes it as the hive does.
 */
export function workerKey(hiveToken: string, workerId: string): string {
  return createHmac("sha256", hiveToken).update(`rbee-worker:${workerId}`).digest("hex");
}

/** Throws `MISSING_API_KEY` or `INVALID_API_KEY` when this request may not use a route of that access. */
export function checkToken(request: Request, access: Access, policy: AuthPolicy): void {
  if (access === "public" || (access === "open" && !policy.openNeedsToken)) return;
  const sent = bearerOf(request);
  if (sent === undefined) throw new RbeeError("MISSING_API_KEY");
  if (sameSecret(sent, policy.token)) return;
  if (access === "worker" && policy.isWorkerKey?.(sent)) return;
  throw new RbeeError("INVALID_API_KEY");
}

/** Returns whether a request was sent with that very secret as its bearer token. */
export function sentSecret(request: Request, secret: string): boolean {
  const sent = bearerOf(request);
  return sent !== undefined && sameSecret(sent, secret);
}

function bearerOf(request: Request): string | undefined {
  const header = request.headers.get("authorization");
  return header?.match(/^Bearer +(\S+) *$/)?.[1];
}

const loopbackNames: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]", "::1"]);

/** Whether an address to listen on is reachable from this machine alone. */
export function isLoopback(hostname: string): boolean {
  return loopbackNames.has(hostname) || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/**
 * Throws `HOST_NOT_ALLOWED` or `ORIGIN_NOT_ALLOWED` for what only a web page would send: a page whose name was made to
 * resolve to this machine (DNS rebinding) still sends its own name as Host, and its own origin.
 */
export function checkHostAndOrigin(request: Request, listen: { hostname: string; port: number }): void {
  const host = request.headers.get("host") ?? authorityOf(request);
  if (host === null || !hostAllowed(host, listen)) throw new RbeeError("HOST_NOT_ALLOWED");
  const origin = request.headers.get("origin");
  if (origin === null) return;
  const allowed = URL.canParse(origin) && hostAllowed(new URL(origin).host, listen) &&
    Number(new URL(origin).port || (origin.startsWith("https:") ? 443 : 80)) === listen.port;
  if (!allowed) throw new RbeeError("ORIGIN_NOT_ALLOWED");
}

/** HTTP/2, which comes with TLS only, says in the address what HTTP/1 says in the Host header. */
function authorityOf(request: Request): string | null {
  const url = new URL(request.url);
  return url.protocol === "https:" ? url.host : null;
}

function hostAllowed(host: string, listen: { hostname: string; port: number }): boolean {
  const bare = host.replace(/:\d+$/, "").toLowerCase();
  if (loopbackNames.has(bare)) return true;
  if (isLoopback(listen.hostname)) return bare === listen.hostname;
  // On a network address a token is required of everybody; any address of the machine may be named, but no DNS name
  // that a foreign page could own.
  return bare === listen.hostname || /^\d+\.\d+\.\d+\.\d+$/.test(bare) || /^\[[0-9a-f:]+\]$/.test(bare) ||
    !bare.includes(".");
}

/**
 * Returns the token in `path` (0600), made when the file is not there. Throws `HOME_NOT_WRITABLE`.
 * An empty or foreign-readable file is replaced: a token that others could read is none. Of two programs that start at
 * once on a new home the first one's token counts for both: the second once left a file that the first did not accept.
 */
export function loadOrCreateToken(path: string): string {
  const found = readToken(path);
  if (found !== undefined) return found;
  const token = newToken();
  const temporary = `${path}.${Deno.pid}.tmp`;
  try {
    Deno.writeTextFileSync(temporary, token + "\n", { mode: 0o600 });
    Deno.chmodSync(temporary, 0o600);
    return publishToken(temporary, path) ? token : readToken(path) ?? replaceToken(temporary, path, token);
  } catch (cause) {
    throw new RbeeError("HOME_NOT_WRITABLE", { message: `Cannot write ${path}: no token file`, cause });
  } finally {
    removeIfThere(temporary);
  }
}

/**
 * Gives a written file its name; false when that name is taken. A link, for it does both in one step: a file made under
 * its own name would be seen empty by whoever looks before it is written.
 */
function publishToken(temporary: string, path: string): boolean {
  try {
    Deno.linkSync(temporary, path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    if (!(error instanceof Deno.errors.NotSupported || error instanceof Deno.errors.PermissionDenied)) throw error;
    Deno.renameSync(temporary, path); // a file system without links
    return true;
  }
}

function replaceToken(temporary: string, path: string, token: string): string {
  Deno.renameSync(temporary, path);
  return token;
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // renamed to its place, or never written
  }
}

/** Returns the token in a file; undefined when there is none, or others than its owner may read it. */
export function readToken(path: string): string | undefined {
  try {
    const mode = Deno.statSync(path).mode;
    if (mode !== null && (mode & 0o077) !== 0) return undefined;
    return Deno.readTextFileSync(path).trim() || undefined;
  } catch {
    return undefined; // not there, or not ours: both mean that this user has no token
  }
}
