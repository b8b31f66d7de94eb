/**
 * What a reference means at the Hugging Face hub or on a web server: which files, how large, with which digests. By the
 * documented HTTP API (https://huggingface.co/docs/hub/api), because its every answer, page and wait has a bound here.
 *
 * @module
 */
import * as z from "zod";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { type ModelRef, printModelRef } from "../protocol/model.ts";
import { type HubAccess, hubAccess, refusalOf, type Wanted } from "./hub_access.ts";
import { askForJson, leave, notUnderstood, trying } from "./hub_call.ts";
import { ask } from "./hub_fetch.ts";
import { candidatesOf, choose, type ListedFile } from "./hub_listing.ts";
import { lookAtServer, refusalOfServer, toldDigest } from "./hub_web.ts";
import { digestOf } from "./model_digest.ts";

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
  const info = await askForJson(`${api}/revision/${encodeURIComponent(revision)}`, repoInfo, {
    access,
    wanted,
    ...lookUp,
  });
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
  const chosen = choose(candidatesOf(files), { repo, revision: ref.revision, variant, memoryBytes });
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

const repoInfo = z.object({ sha: z.string().regex(/^[0-9a-f]{7,64}$/).optional() });
const treeEntry = z.object({
  type: z.string(),
  path: z.string().max(limits.modelRefCharsMax),
  size: z.number().int().min(0).optional(),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().int().min(0) }).nullish(),
});
const tree = z.array(treeEntry);

type Question = LookUp & { readonly access: HubAccess; readonly wanted: Wanted };

async function listing(first: string, question: Question): Promise<ListedFile[]> {
  const files: ListedFile[] = [];
  for (let url: string | undefined = first, page = 0; url !== undefined; page++) {
    if (page >= limits.hubPagesMax) throw notUnderstood(question.wanted, "its list of files has no end");
    const { value, headers }: { value: z.infer<typeof tree>; headers: Headers } = await askForJson(url, tree, question);
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

/** A file on a web server: its length must be told, its digest hardly ever is. */
async function onServer(ref: RemoteRef & { provider: "http" }, signal?: AbortSignal): Promise<RemoteModel> {
  const { path, size, sha256, quantization } = await lookAtServer(ref.url, signal);
  const files = [{ path, url: ref.url, size, sha256, isFirst: true }];
  return { ref, quantization, sizeBytes: size, digest: digestOf([sha256]), files };
}

/** Returns what turns an answer that is none of success into the error for a file of this model. */
export function refusing(ref: RemoteRef, file: string, access: HubAccess): (response: Response) => RbeeError {
  if (ref.provider === "http") return (response) => refusalOfServer(response, new URL(ref.url));
  return (response) => refusalOf(response, { name: `${ref.org}/${ref.repo}`, revision: ref.revision, file }, access);
}
