/**
 * What a reference means at the Hugging Face hub or on a web server: which files, how large, with which digests. By the
 * documented HTTP API (https://huggingface.co/docs/hub/api), because its every answer, page and wait has a bound here.
 *
 * @module
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { type ModelRef, printModelRef } from "../protocol/model.ts";
import { abortable } from "../runtime/call.ts";
import { Tries } from "./download_tries.ts";
import { type HubAccess, hubAccess, refusalOf, type Wanted } from "./hub_access.ts";
import { ask } from "./hub_fetch.ts";
import { candidatesOf, checkFilePath, choose, type ListedFile, quantizationOf } from "./hub_listing.ts";

/** A reference to something that is not on this machine. */
export type RemoteRef = Extract<ModelRef, { provider: "hf" | "http" }>;

/** One file that can be fetched. */
export interface RemoteFile {
  /** Its path in the repository; checked, so that it may become one here. */
  readonly path: string;
  readonly url: string;
  readonly size: number;
  /** 64 hex digits; null when nobody told. */
  readonly sha256: string | null;
  /** Whether it begins the model: the first or only one, with the header. */
  readonly isFirst: boolean;
}

/** A model that can be fetched. */
export interface RemoteModel {
  /** As the person wrote it, with the variant that was found when there was none. */
  readonly ref: RemoteRef;
  readonly quantization: string | null;
  readonly sizeBytes: number;
  /** `sha256:…` as `modelFacts` has it. */
  readonly digest: string | null;
  readonly files: readonly RemoteFile[];
}

/** What a look-up may need. */
export interface LookUp {
  readonly signal?: AbortSignal;
  /** See `Choice`. */
  readonly memoryBytes?: number;
}

/**
 * Returns what the reference means. Throws `MODEL_NOT_FOUND`, `MODEL_AMBIGUOUS`, `ACCESS_DENIED`, `DOWNLOAD_FAILED`,
 * `DOWNLOAD_TIMEOUT`, `INVALID_RESPONSE` or `CONFIG_INVALID`.
 */
export async function lookUpRemote(ref: RemoteRef, lookUp: LookUp = {}): Promise<RemoteModel> {
  const late = AbortSignal.timeout(limits.modelLookUpMs);
  const signal = lookUp.signal ? AbortSignal.any([lookUp.signal, late]) : late;
  try {
    return ref.provider === "hf" ? await atHub(ref, { ...lookUp, signal }) : await onServer(ref, signal);
  } catch (error) {
    if (!late.aborted || lookUp.signal?.aborted) throw error;
    throw new RbeeError("DOWNLOAD_TIMEOUT", {
      message: `Cannot look up ${printModelRef(ref)}: nothing answered within ${limits.modelLookUpMs / 1_000} s`,
    });
  }
}

async function atHub(ref: RemoteRef & { provider: "hf" }, lookUp: LookUp): Promise<RemoteModel> {
  const access = hubAccess();
  const name = `${ref.org}/${ref.repo}`;
  const revision = ref.revision ?? "main";
  const wanted = { name, revision };
  const api = `${access.endpoint}/api/models/${name}`;
  const info = await json(`${api}/revision/${encodeURIComponent(revision)}`, repoInfo, { access, wanted, ...lookUp });
  // The commit, not the branch: what is fetched must not change while it is fetched.
  const commit = info.value.sha ?? revision;
  const files = await listing(`${api}/tree/${encodeURIComponent(commit)}?recursive=true`, {
    access,
    wanted,
    ...lookUp,
  });
  const { variant } = ref;
  const repo = `hf:${name}`;
  const { memoryBytes, signal } = lookUp;
  const chosen = choose(candidatesOf(files), { repo, variant, memoryBytes });
  const isNameable = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(chosen.name);
  const told: RemoteRef = variant === undefined && isNameable ? { ...ref, variant: chosen.name } : ref;
  const at = (path: string) =>
    `${access.endpoint}/${name}/resolve/${encodeURIComponent(commit)}/${
      path.split("/").map(encodeURIComponent).join("/")
    }`;
  const known: RemoteFile[] = [];
  for (const [number, file] of chosen.files.entries()) {
    const remote = { ...file, url: at(file.path), isFirst: number === 0 };
    // Asked of the first in any case: a gated repository shows its list to everybody, and its files to few.
    const told = number === 0 || file.sha256 === null
      ? await askHead(remote.url, { ...wanted, file: file.path }, access, signal)
      : null;
    known.push({ ...remote, sha256: file.sha256 ?? told });
  }
  const { quantization, sizeBytes } = chosen;
  return { ref: told, quantization, sizeBytes, files: known, digest: digestOf(known.map(({ sha256 }) => sha256)) };
}

/** Returns the digest of a model from those of its files; null when one is unknown. */
export function digestOf(files: readonly (string | null)[]): string | null {
  if (files.some((digest) => digest === null)) return null;
  if (files.length === 1) return `sha256:${files[0]}`;
  return `sha256:${createHash("sha256").update(files.join("\n")).digest("hex")}`;
}

const repoInfo = z.object({ sha: z.string().regex(/^[0-9a-f]{7,64}$/).optional() });
const treeEntry = z.object({
  type: z.string(),
  path: z.string().max(limits.modelRefCharsMax),
  size: z.number().int().min(0).optional(),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().int().min(0) }).nullish(),
});
const tree = z.array(treeEntry);

interface Question extends LookUp {
  readonly access: HubAccess;
  readonly wanted: Wanted;
}

async function listing(first: string, question: Question): Promise<ListedFile[]> {
  const files: ListedFile[] = [];
  for (let url: string | undefined = first, page = 0; url !== undefined; page++) {
    if (page >= limits.hubPagesMax) throw notUnderstood(question.wanted, "its list of files has no end");
    const { value, headers }: { value: z.infer<typeof tree>; headers: Headers } = await json(url, tree, question);
    for (const { type, path, size = 0, lfs } of value) {
      if (type === "file") files.push({ path, size: lfs?.size ?? size, sha256: lfs?.oid ?? null });
    }
    url = nextPage(headers.get("link"), url, question);
  }
  return files;
}

/** A page elsewhere would be asked without the token, and could send anybody anywhere. */
function nextPage(link: string | null, from: string, { wanted }: Question): string | undefined {
  const next = link?.match(/<([^>]+)>\s*;\s*rel="?next"?/)?.[1];
  if (next === undefined) return undefined;
  if (!URL.canParse(next, from)) throw notUnderstood(wanted, "its next page has no address");
  const url = new URL(next, from);
  const { protocol, host, pathname } = new URL(from);
  if (url.pathname !== pathname) throw notUnderstood(wanted, "its next page is of something else");
  // Behind a mirror the hub names itself; the mirror was asked for.
  return `${protocol}//${host}${url.pathname}${url.search}`;
}

/** Asks the hub for JSON, again where that may help. */
async function json<T>(
  url: string,
  schema: z.ZodType<T>,
  { access, wanted, signal }: Question,
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

/** Returns the digest that the hub tells of a file, when it does. Throws when it may not be read. */
async function askHead(
  url: string,
  wanted: Wanted,
  access: HubAccess,
  signal?: AbortSignal,
): Promise<string | null> {
  return await trying(signal, async (within) => {
    const { response, first } = await ask(url, {
      ...{ method: "HEAD", token: access.token, signal: within, staysAtOrigin: true },
    });
    const isElsewhere = response.status >= 300 && response.status < 400;
    if (!response.ok && !isElsewhere) throw await leave(response, refusalOf(response, wanted, access));
    await response.body?.cancel();
    return toldDigest(first);
  });
}

async function trying<T>(signal: AbortSignal | undefined, once: (signal: AbortSignal) => Promise<T>): Promise<T> {
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

async function leave(response: Response, error: RbeeError): Promise<RbeeError> {
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

function notUnderstood({ name }: Wanted, why: string): RbeeError {
  return new RbeeError("INVALID_RESPONSE", {
    message: `Cannot look up ${name}: ${why}`,
    details: { name },
    hint: "Check HF_ENDPOINT and the proxy; behind a captive portal log in first",
  });
}

/** A file on a web server: its length must be told, its digest hardly ever is. */
async function onServer(ref: RemoteRef & { provider: "http" }, signal?: AbortSignal): Promise<RemoteModel> {
  const url = new URL(ref.url);
  const access = { endpoint: url.origin };
  const path = decodedName(url);
  const head = await trying(signal, async (within) => {
    const { response } = await ask(ref.url, { method: "HEAD", signal: within });
    await response.body?.cancel();
    if (response.ok) return response.headers;
    throw refusalOnServer(response, url, access);
  });
  const size = Number(head.get("content-length") ?? NaN);
  if (!Number.isSafeInteger(size) || size <= 0) {
    throw new RbeeError("DOWNLOAD_FAILED", {
      message: `Cannot download ${url.host}${url.pathname}: the server does not tell its length`,
      details: { refused: true },
      hint: "Download the GGUF file yourself and use file:/absolute/path.gguf",
    });
  }
  const sha256 = toldDigest(head);
  const files = [{ path, url: ref.url, size, sha256, isFirst: true }];
  return { ref, quantization: quantizationOf(path), sizeBytes: size, digest: digestOf([sha256]), files };
}

function decodedName(url: URL): string {
  const last = url.pathname.split("/").at(-1) ?? "";
  try {
    const name = decodeURIComponent(last);
    checkFilePath(name);
    if (!name.includes("/")) return name;
  } catch {
    // said below
  }
  throw new RbeeError("INVALID_MODEL_REF", {
    message: "Cannot read the model reference: the file's name in the address is not safe",
  });
}

/** Returns what turns an answer that is none of success into the error for a file of this model. */
export function refusing(ref: RemoteRef, file: string, access: HubAccess): (response: Response) => RbeeError {
  if (ref.provider === "http") return (response) => refusalOnServer(response, new URL(ref.url), access);
  return (response) => refusalOf(response, { name: `${ref.org}/${ref.repo}`, revision: ref.revision, file }, access);
}

function refusalOnServer(response: Response, url: URL, access: HubAccess): RbeeError {
  const where = `${url.host}${url.pathname}`;
  const { status } = response;
  if (status === 404 || status === 410) {
    return new RbeeError("MODEL_NOT_FOUND", { message: `Cannot find ${where}: status ${status}`, details: { status } });
  }
  if (status !== 401 && status !== 403) return refusalOf(response, { name: where }, access);
  return new RbeeError("ACCESS_DENIED", {
    message: `Cannot download ${where}: the server refuses it with status ${status}`,
    details: { status },
    hint: "Download the GGUF file yourself and use file:/absolute/path.gguf",
  });
}

/** `Repr-Digest` (RFC 9530) and the header that the hub uses for the same. */
function toldDigest(headers: Headers): string | null {
  const linked = headers.get("x-linked-etag")?.match(/^(?:W\/)?"?([0-9a-f]{64})"?$/)?.[1];
  const told = headers.get("repr-digest")?.match(/sha-256=:([A-Za-z0-9+/=]{44}):/)?.[1];
  return linked ?? (told ? Uint8Array.fromBase64(told).toHex() : null);
}
