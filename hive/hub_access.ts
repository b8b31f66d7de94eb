/**
 * Where the hub is, with which token it is asked, and what its refusals mean.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { environment } from "../runtime/environment.ts";
import { userFolders } from "../runtime/paths.ts";

/** How the hub is reached. */
export interface HubAccess {
  /** Without a slash at the end. */
  readonly endpoint: string;
  readonly token?: string;
  /** Where the token came from, for messages: `HF_TOKEN`, or a file. */
  readonly tokenFrom?: string;
}

const publicHub = "https://huggingface.co";

/** `[models] hf_endpoint` of this process. */
let configured: string | undefined;

/** Sets the mirror that is asked where the environment names none. */
export function setHubEndpoint(endpoint: string | undefined): void {
  configured = endpoint;
}

/**
 * Returns how the hub is reached: `HF_ENDPOINT` or the configured mirror; the token of `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file that
 * `HF_TOKEN_PATH` names, `$HF_HOME/token` or `~/.cache/huggingface/token`. Read anew each time, because a person logs in
 * while a hive runs. Throws `CONFIG_INVALID` for an endpoint that is no address.
 */
export function hubAccess(read: (name: string) => string | undefined = environment): HubAccess {
  const endpoint = (read("HF_ENDPOINT") ?? configured ?? publicHub).replace(/\/+$/, "");
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search) {
    throw new RbeeError("CONFIG_INVALID", {
      message: "Cannot use HF_ENDPOINT: it is no http or https address",
      details: { key: "HF_ENDPOINT" },
      hint: `Set it to the address of a mirror, such as ${publicHub}, or unset it`,
    });
  }
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
    const token = usable(read(name));
    if (token !== undefined) return { endpoint, token, tokenFrom: name };
  }
  for (const path of tokenFiles(read)) {
    const token = usable(textOf(path));
    if (token !== undefined) return { endpoint, token, tokenFrom: path };
  }
  return { endpoint };
}

function tokenFiles(read: (name: string) => string | undefined): string[] {
  const named = read("HF_TOKEN_PATH");
  if (named !== undefined) return [named];
  const cache = read("XDG_CACHE_HOME") ?? `${userFolders(read).home}/.cache`;
  return [`${read("HF_HOME") ?? `${cache}/huggingface`}/token`];
}

function textOf(path: string): string | undefined {
  try {
    if (Deno.statSync(path).size > limits.hubTokenCharsMax) return undefined;
    return Deno.readTextFileSync(path);
  } catch {
    return undefined; // nobody has logged in
  }
}

/** A token goes into a header: what could not stand there is none. */
function usable(text: string | undefined): string | undefined {
  const token = text?.trim();
  return token && token.length <= limits.hubTokenCharsMax && /^[\x21-\x7e]+$/.test(token) ? token : undefined;
}

/** What was asked for when the hub refused. */
export interface Wanted {
  /** `org/repo`; of another server the host's name. */
  readonly name: string;
  readonly revision?: string;
  readonly file?: string;
}

/**
 * Returns the error for an answer of the hub that is none of success: `ACCESS_DENIED` that says what is missing,
 * `MODEL_NOT_FOUND`, or `DOWNLOAD_FAILED` (`details.status`) for what may pass.
 */
export function refusalOf(response: Response, wanted: Wanted, access: HubAccess): RbeeError {
  const code = response.headers.get("x-error-code") ?? "";
  const { status } = response;
  const page = `${access.endpoint}/${wanted.name}`;
  if (status === 404 || code === "RepoNotFound") return notFound(code, wanted, access);
  if (status !== 401 && status !== 403) {
    return new RbeeError("DOWNLOAD_FAILED", {
      message: `Cannot download ${wanted.name}: ${hostOf(access)} answers with status ${status}`,
      details: { status },
    });
  }
  const denied = (why: string, hint: string) =>
    new RbeeError("ACCESS_DENIED", {
      message: `Cannot download ${wanted.name}: ${why}`,
      details: { status, page, token_from: access.tokenFrom ?? null },
      hint,
    });
  if (access.token === undefined) {
    return denied(
      "it is gated or private, and HF_TOKEN is not set",
      `Accept its terms at ${page}, make a token at ${access.endpoint}/settings/tokens, and set HF_TOKEN for the hive`,
    );
  }
  if (status === 401) return wrongToken(denied, access);
  if (code === "GatedRepo") {
    return denied("its terms are not accepted by the owner of the token", `Accept them at ${page}, and try again`);
  }
  return denied(
    `the token of ${access.tokenFrom} may not read it`,
    `Give the token the right to read it at ${access.endpoint}/settings/tokens`,
  );
}

function wrongToken(denied: (why: string, hint: string) => RbeeError, { endpoint, tokenFrom }: HubAccess): RbeeError {
  const hint = `Make a new one at ${endpoint}/settings/tokens, and set HF_TOKEN for the hive`;
  return denied(`the token of ${tokenFrom} is wrong`, hint);
}

function notFound(code: string, { name, revision, file }: Wanted, access: HubAccess): RbeeError {
  const host = hostOf(access);
  const isHidden = access.token === undefined ? ", or it is private and HF_TOKEN is not set" : "";
  const what = code === "RevisionNotFound"
    ? `${name} has no revision ${revision ?? "main"}`
    : code === "EntryNotFound" && file !== undefined
    ? `${name} has no file ${file}`
    : `${host} has no repository ${name}${isHidden}`;
  return new RbeeError("MODEL_NOT_FOUND", {
    message: `Cannot find the model: ${what}`,
    details: { repository: name, ...(revision && { revision }) },
    hint: `Look at ${access.endpoint}/${name}`,
  });
}

const hostOf = ({ endpoint }: HubAccess) => new URL(endpoint).host;
