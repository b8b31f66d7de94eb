/**
 * A server that speaks the Hugging Face hub's protocol as its public documentation and clients record it: `revision`,
 * `tree` with pages, `resolve` with X-Repo-Commit, X-Linked-Size, X-Linked-ETag and a redirect to another origin that
 * serves ranges. It counts every byte that it sends, and does wrong what `faults` say.
 * Sources: https://huggingface.co/docs/hub/api, https://github.com/huggingface/huggingface_hub (file_download, errors).
 *
 * @module
 */
import { createHash } from "node:crypto";
import { HubFaults, type HubLogEntry } from "./hub_faults.ts";
import { HubListener, type HubReply, type HubRequest } from "./hub_http.ts";
import { sendFile } from "./hub_send.ts";

/** A file of a repository; its bytes lie in memory or on disk. */
export interface HubFile {
  readonly path: string;
  readonly source: Uint8Array | string;
  readonly size: number;
  readonly sha256: string;
  /** Large files: told with their SHA-256, and served by the other origin. */
  readonly isLfs: boolean;
}

/** A repository. */
export interface HubRepo {
  /** Revision (`main`, a tag) → commit (40 hex digits). */
  readonly revisions: Map<string, string>;
  /** Commit → files. */
  readonly commits: Map<string, HubFile[]>;
  /** Everybody sees it, and only tokens in `accepted` get its files. */
  isGated: boolean;
  /** Without a token in `accepted` it does not exist. */
  isPrivate: boolean;
}

/** How a hub is started. */
export interface HubOptions {
  readonly hostname?: string;
  readonly port?: number;
  readonly cdnPort?: number;
  /** Tokens that the hub knows. */
  readonly tokens?: readonly string[];
  /** Those of them that may read gated and private repositories. */
  readonly accepted?: readonly string[];
  /** Entries of one page of a listing. */
  readonly pageSize?: number;
}

/** What an answer is made from. */
interface Asked {
  readonly request: HubRequest;
  readonly reply: HubReply;
  readonly url: URL;
  readonly log: HubLogEntry;
}

/** A running hub; disposing ends it. */
export class HubServer implements Disposable {
  readonly faults = new HubFaults();
  /** Every request, oldest first. */
  readonly log: HubLogEntry[] = [];
  readonly repos = new Map<string, HubRepo>();
  readonly #options: HubOptions;
  readonly #hub: HubListener;
  readonly #cdn: HubListener;

  constructor(options: HubOptions = {}) {
    this.#options = options;
    const { hostname } = options;
    this.#hub = new HubListener((q, r) => this.#answer("hub", q, r), { hostname, port: options.port });
    this.#cdn = new HubListener((q, r) => this.#answer("cdn", q, r), { hostname, port: options.cdnPort });
  }

  /** What `HF_ENDPOINT` is set to. */
  get url(): string {
    return `http://${this.#options.hostname ?? "127.0.0.1"}:${this.#hub.port}`;
  }

  /** The origin that sends large files. */
  get cdnUrl(): string {
    return `http://${this.#options.hostname ?? "127.0.0.1"}:${this.#cdn.port}`;
  }

  /**
   * Adds a repository, or a new commit to one: `files` maps paths to bytes, or to a path on disk. Returns it.
   * `revision` is `main` when absent.
   */
  async add(
    id: string,
    files: Readonly<Record<string, Uint8Array | string>>,
    options: { revision?: string; isGated?: boolean; isPrivate?: boolean } = {},
  ): Promise<HubRepo> {
    const repo: HubRepo = this.repos.get(id) ??
      { revisions: new Map(), commits: new Map(), isGated: false, isPrivate: false };
    this.repos.set(id, repo);
    repo.isGated = options.isGated ?? repo.isGated;
    repo.isPrivate = options.isPrivate ?? repo.isPrivate;
    const described = await Promise.all(Object.entries(files).map(([path, source]) => describe(path, source)));
    const commit = createHash("sha1").update(id).update(JSON.stringify(described.map((f) => [f.path, f.sha256])))
      .digest("hex");
    repo.commits.set(commit, described);
    repo.revisions.set(options.revision ?? "main", commit);
    return repo;
  }

  /** Returns how many bytes of bodies of files were sent; of those whose path holds `path` when it is given. */
  bytesSent(path = ""): number {
    const sent = this.log.filter((entry) => !entry.path.startsWith("/api/") && entry.path.includes(path));
    return sent.reduce((sum, entry) => sum + entry.bytes, 0);
  }

  async #answer(origin: "hub" | "cdn", request: HubRequest, reply: HubReply): Promise<void> {
    const url = new URL(request.target, `http://${request.headers.get("host") ?? "localhost"}`);
    const log: HubLogEntry = {
      ...{ origin, method: request.method, path: decodeURIComponent(url.pathname), bytes: 0, status: 0 },
      ...{ range: request.headers.get("range"), ifRange: request.headers.get("if-range") },
      hasToken: request.headers.has("authorization"),
    };
    this.log.push(log);
    const asked = { request, url, log, reply: counted(reply, log) };
    if (url.pathname === "/_stats" || url.pathname === "/_faults") return await this.#control(asked);
    if (origin === "hub" && url.pathname.startsWith("/api/models/")) return await this.#api(asked);
    // Through a proxy, which this server can be as well, both origins are asked here.
    const isCdn = origin === "cdn" || url.port === String(this.#cdn.port);
    await this.#file(isCdn ? "cdn" : "hub", asked);
  }

  /** For whoever drives this server from another process: `GET /_stats`, `POST /_faults` (a list; replaces all). */
  async #control({ request, reply, url }: Asked): Promise<void> {
    if (url.pathname === "/_faults") {
      this.faults.clear();
      this.faults.add(...JSON.parse(request.body));
    }
    await json(reply, 200, { bytes: this.bytesSent(), cdn: this.cdnUrl, log: this.log });
  }

  async #api(asked: Asked): Promise<void> {
    const { request, reply, url } = asked;
    const fault = this.faults.strike("api", request.method, asked.log.path);
    if (await strikes(reply, fault)) return;
    const match = asked.log.path.match(/^\/api\/models\/([^/]+\/[^/]+)(?:\/(revision|tree)\/(.+?))?\/?$/);
    const repo = match && this.#visible(match[1], request);
    if (!match || !repo) return await this.#missing(asked, "RepoNotFound", "Repository not found");
    const found = revisionOf(repo, match[3] ?? "main");
    if (!found) return await this.#missing(asked, "RevisionNotFound", `Invalid rev id: ${match[3]}`);
    if (match[2] !== "tree") {
      const siblings = found.files.map(({ path }) => ({ rfilename: path }));
      const { isGated, isPrivate } = repo;
      return await json(reply, 200, {
        id: match[1],
        sha: found.commit,
        private: isPrivate,
        gated: isGated && "auto",
        siblings,
      });
    }
    const size = this.#options.pageSize ?? 1_000;
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const next = new URL(url);
    next.searchParams.set("cursor", String(from + size));
    const link = from + size < found.files.length ? `<${next.href}>; rel="next"` : "";
    await json(reply, 200, found.files.slice(from, from + size).map(treeEntry), without({ link }));
  }

  async #file(origin: "hub" | "cdn", asked: Asked): Promise<void> {
    const { request, reply, log, url } = asked;
    const match = log.path.match(/^\/([^/]+\/[^/]+)\/resolve\/(.+)$/);
    const repo = match && (origin === "cdn" ? this.repos.get(match[1]) : this.#visible(match[1], request));
    if (!match || !repo) return await this.#missing(asked, "RepoNotFound", "Repository not found");
    const found = revisionAndFile(repo, match[2]);
    if (!found) return await this.#missing(asked, "RevisionNotFound", "Invalid rev id");
    if (origin === "hub" && repo.isGated && !this.#isAccepted(request)) {
      const status = this.#knows(request) ? 403 : 401;
      const words = `Access to model ${match[1]} is restricted.`;
      return await refuse(reply, status, "GatedRepo", words);
    }
    if (!found.file) return await this.#missing(asked, "EntryNotFound", "Entry not found");
    const isRedirect = origin === "hub" && found.file.isLfs;
    const fault = this.faults.strike(isRedirect ? "resolve" : "bytes", request.method, log.path);
    if (await strikes(reply, fault)) return;
    if (!isRedirect) {
      return await sendFile({ file: found.file, request, reply, fault, commit: found.commit });
    }
    const cdn = new URL(`${url.pathname}?X-Signature=secret-of-the-cdn`, `http://${url.hostname}:${this.#cdn.port}`);
    await reply.head(
      302,
      without({
        "content-length": "0",
        "x-repo-commit": found.commit,
        "x-linked-size": String(found.file.size),
        "x-linked-etag": `"${found.file.sha256}"`,
        "accept-ranges": "bytes",
        "location": cdn.href,
        ...fault.headers,
      }),
    );
  }

  #token({ headers }: HubRequest): string | undefined {
    return headers.get("authorization")?.match(/^Bearer (.+)$/)?.[1];
  }

  #knows(request: HubRequest): boolean {
    const { tokens = [], accepted = [] } = this.#options;
    return [...tokens, ...accepted].includes(this.#token(request) ?? "");
  }

  #isAccepted(request: HubRequest): boolean {
    return (this.#options.accepted ?? []).includes(this.#token(request) ?? "");
  }

  #visible(id: string, request: HubRequest): HubRepo | undefined {
    if (this.#token(request) !== undefined && !this.#knows(request)) return undefined;
    const repo = this.repos.get(id);
    return repo?.isPrivate && !this.#isAccepted(request) ? undefined : repo;
  }

  /** The hub does not tell strangers what is there: a repository that is not is 401 without a token, 404 with one. */
  async #missing({ request, reply }: Asked, code: string, words: string): Promise<void> {
    if (this.#token(request) !== undefined && !this.#knows(request)) {
      return await refuse(reply, 401, undefined, "Invalid credentials in Authorization header");
    }
    const isHidden = code === "RepoNotFound" && !this.#knows(request);
    await refuse(reply, isHidden ? 401 : 404, code, isHidden ? "Invalid username or password." : words);
  }

  [Symbol.dispose](): void {
    this.#hub[Symbol.dispose]();
    this.#cdn[Symbol.dispose]();
  }
}

function revisionOf(repo: HubRepo, revision: string): { commit: string; files: HubFile[] } | undefined {
  const commit = repo.revisions.get(revision) ?? revision;
  const files = repo.commits.get(commit);
  return files && { commit, files };
}

/** Both the revision and the path may have slashes; with a slash encoded the server sees the same text. */
function revisionAndFile(repo: HubRepo, rest: string): { commit: string; file?: HubFile } | undefined {
  for (let at = rest.indexOf("/"); at > 0; at = rest.indexOf("/", at + 1)) {
    const found = revisionOf(repo, rest.slice(0, at));
    if (found) return { commit: found.commit, file: found.files.find(({ path }) => path === rest.slice(at + 1)) };
  }
  return undefined;
}

function treeEntry({ path, size, sha256, isLfs }: HubFile): Record<string, unknown> {
  const oid = createHash("sha1").update(sha256).digest("hex");
  return { type: "file", oid, size, path, ...(isLfs && { lfs: { oid: sha256, size, pointerSize: 134 } }) };
}

const lfsBytesMin = 64 * 1024;

async function describe(path: string, source: Uint8Array | string): Promise<HubFile> {
  const hash = createHash("sha256");
  let size = 0;
  const add = (piece: Uint8Array) => {
    hash.update(piece);
    size += piece.length;
  };
  if (typeof source === "string") { for await (const piece of (await Deno.open(source)).readable) add(piece); }
  else add(source);
  const isLfs = /\.(gguf|bin|safetensors)$/.test(path) || size >= lfsBytesMin;
  return { path, source, size, sha256: hash.digest("hex"), isLfs };
}

function counted(reply: HubReply, log: HubLogEntry): HubReply {
  return {
    head: (status, headers) => {
      log.status = status;
      return reply.head(status, headers);
    },
    write: async (bytes) => {
      await reply.write(bytes);
      log.bytes += bytes.length;
    },
    end: reply.end,
    gone: reply.gone,
  };
}

/** Returns whether the fault was the whole answer. */
async function strikes(reply: HubReply, fault: Partial<Record<string, unknown>>): Promise<boolean> {
  const { delayMs, redirectTo, status, body, headers } = fault as { delayMs?: number; redirectTo?: string } & {
    status?: number;
    body?: string;
    headers?: Record<string, string>;
  };
  if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
  if (redirectTo !== undefined) {
    await reply.head(status ?? 302, { "content-length": "0", location: redirectTo, ...headers });
    return true;
  }
  if (status === undefined && body === undefined) return false;
  const bytes = new TextEncoder().encode(body ?? "");
  await reply.head(status ?? 200, { "content-length": String(bytes.length), ...headers });
  await reply.write(bytes);
  return true;
}

async function json(reply: HubReply, status: number, value: unknown, headers: Record<string, string> = {}) {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  await reply.head(status, { "content-type": "application/json", "content-length": String(bytes.length), ...headers });
  await reply.write(bytes);
}

async function refuse(reply: HubReply, status: number, code: string | undefined, words: string): Promise<void> {
  await json(reply, status, { error: words }, { ...(code && { "x-error-code": code }), "x-error-message": words });
}

/** Returns the headers without those that are empty. */
export function without(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== ""));
}
