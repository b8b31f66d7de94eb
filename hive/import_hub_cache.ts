/**
 * Finds the models of a Hugging Face cache: `models--<org>--<repo>/snapshots/<commit>/<file>` are links to
 * `blobs/<etag>`, and `refs/main` holds the commit of the main branch.
 * Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import { basename } from "../runtime/path.ts";
import { entriesOf, walkFolder } from "./folder_walk.ts";
import { type Candidate, fileWithin, type Finding } from "./import_candidate.ts";
import { filesOfModel, quantOfName, splitOf } from "./model_names.ts";
import { placeOf } from "./model_places.ts";

const repositoryFolder = /^models--([A-Za-z0-9][A-Za-z0-9._-]*?)--([A-Za-z0-9][A-Za-z0-9._-]*)$/;
const commitName = /^[0-9a-f]{7,64}$/;
const fileName = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/;
const snapshotDepthMax = 5;
const snapshotsMax = 64;

/** Returns the folders of repositories that are meant: this one, or those in it or in its `hub`; none when it is no cache. */
export async function cachedRepositories(path: string): Promise<string[]> {
  if (basename(path).startsWith("models--")) return [path];
  for (const folder of [path, `${path}/hub`]) {
    const found = (await entriesOf(folder, limits.importEntriesMax))
      .filter(({ name, isDirectory }) => isDirectory && name.startsWith("models--"));
    if (found.length > 0) return found.map(({ name }) => `${folder}/${name}`);
  }
  return [];
}

/** Yields the models of repositories, and what is wrong with some of them. */
export async function* cachedModels(repositories: readonly string[]): AsyncGenerator<Finding> {
  for (const folder of repositories) {
    const name = basename(folder).match(repositoryFolder);
    if (!name) {
      yield { path: folder, reason: "its name tells no <org>/<repo>" };
      continue;
    }
    const root = await Deno.realPath(folder).catch(() => undefined);
    if (root === undefined) continue; // gone meanwhile
    const main = await mainCommit(root);
    for (const snapshot of await entriesOf(`${root}/snapshots`, snapshotsMax)) {
      if (!snapshot.isDirectory || !commitName.test(snapshot.name)) continue;
      const revision = main === undefined || main === snapshot.name ? undefined : snapshot.name;
      yield* modelsOf({ root, org: name[1], repo: name[2], commit: snapshot.name, revision });
    }
  }
}

async function mainCommit(root: string): Promise<string | undefined> {
  try {
    const path = `${root}/refs/main`;
    if ((await Deno.lstat(path)).size > 100) return undefined;
    const commit = (await Deno.readTextFile(path)).trim();
    return commitName.test(commit) ? commit : undefined;
  } catch {
    return undefined; // none
  }
}

interface Snapshot {
  readonly root: string;
  readonly org: string;
  readonly repo: string;
  readonly commit: string;
  /** When it is not that of the main branch. */
  readonly revision?: string;
}

async function* modelsOf(snapshot: Snapshot): AsyncGenerator<Finding> {
  const { root, commit } = snapshot;
  const folder = `${root}/snapshots/${commit}`;
  const bounds = { entriesMax: limits.importEntriesMax, depthMax: snapshotDepthMax };
  const files: string[] = [];
  for await (const { relative } of walkFolder(folder, bounds)) {
    if (relative.endsWith(".gguf") && (splitOf(relative)?.number ?? 1) === 1) files.push(relative);
  }
  for (const file of files) {
    const path = `${folder}/${file}`;
    if (!fileName.test(file)) yield { path, reason: "its name is odd" };
    else {yield await modelOf(
        snapshot,
        file,
        files.filter((one) => quantOfName(one) === quantOfName(file)).length === 1,
      );}
  }
}

async function modelOf(snapshot: Snapshot, file: string, isOnly: boolean): Promise<Finding> {
  const { root, org, repo, commit, revision } = snapshot;
  const folder = `${root}/snapshots/${commit}`;
  const files: Candidate["files"][number][] = [];
  let blob = "";
  for (const one of filesOfModel(file)) {
    const within = await fileWithin(root, `${folder}/${one}`);
    if ("reason" in within) return { path: `${folder}/${one}`, reason: within.reason };
    blob = basename(within.real);
    files.push({ from: `${folder}/${one}`, to: placeOf({ provider: "hf", org, repo, revision }, one) });
  }
  const variant = (isOnly ? quantOfName(file) : undefined) ?? file;
  return {
    source: `${folder}/${file}`,
    name: { provider: "hf", reference: `${org}/${repo}`, variant: revision ? `${variant}@${revision}` : variant },
    files,
    ...(files.length === 1 && /^[0-9a-f]{64}$/.test(blob) && { digest: `sha256:${blob}` }),
    mayBeRenamed: false,
  };
}
