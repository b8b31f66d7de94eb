/**
 * Finds the models of an Ollama folder: `manifests/<host>/<namespace>/<name>/<tag>` are JSON texts that name blobs by
 * digest, `blobs/sha256-<hex>` are the files.
 *
 * @module
 */
import * as z from "zod";
import { limits } from "../protocol/limits.ts";
import { entriesOf, walkFolder } from "./folder_walk.ts";
import { fileWithin, type Finding, whyUnreadable } from "./import_candidate.ts";

const digest = /^sha256:[0-9a-f]{64}$/;
const layer = z.object({ mediaType: z.string(), digest: z.string().regex(digest, "a digest that is none") });
const manifest = z.object({ layers: z.array(layer).max(64) });
const kind = (name: string) => `application/vnd.ollama.image.${name}`;
const namePart = /^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$/;
/** Host, up to two namespaces, name, tag. */
const depthMax = 5;

/** Returns the folder with `manifests` and `blobs` that is meant: this one, or one below it; undefined when none is. */
export async function ollamaFolder(path: string): Promise<string | undefined> {
  for (const folder of [path, `${path}/models`, `${path}/.ollama/models`]) {
    const names = (await entriesOf(folder, limits.importEntriesMax)).map(({ name }) => name);
    if (names.includes("manifests") && names.includes("blobs")) return folder;
  }
}

/** Yields the models of an Ollama folder, and what is wrong with some of them. */
export async function* ollamaModels(folder: string): AsyncGenerator<Finding> {
  const root = await Deno.realPath(folder);
  const walk = walkFolder(`${root}/manifests`, { entriesMax: limits.importEntriesMax, depthMax });
  for (let next = await walk.next();; next = await walk.next()) {
    if (next.done) {
      if (next.value) {
        yield { path: folder, reason: `it has more than ${limits.importEntriesMax} manifests, or is too deep` };
      }
      return;
    }
    const { path, relative, isSymlink } = next.value;
    if (relative.split("/").at(-1)!.startsWith(".")) continue; // what a file manager leaves behind
    yield isSymlink ? { path, reason: "it is a link" } : await modelOf(root, path, relative);
  }
}

async function modelOf(root: string, path: string, relative: string): Promise<Finding> {
  const parts = relative.split("/");
  if (parts.length < 3 || !parts.every((part) => namePart.test(part))) return { path, reason: "its name is odd" };
  const layers = await layersOf(path);
  if (typeof layers === "string") return { path, reason: layers };
  const [model, ...more] = layers.filter(({ mediaType }) => mediaType === kind("model"));
  if (!model) return { path, reason: "its manifest names no model" };
  if (more.length > 0) return { path, reason: "its manifest names several files of one model" };
  if (layers.some(({ mediaType }) => mediaType === kind("adapter"))) {
    return { path, reason: "it is a model with an adapter, of which rbee can use the model alone" };
  }
  const blob = await blobOf(root, model.digest);
  if ("reason" in blob) return { path, reason: `the file of its model: ${blob.reason}` };
  const tag = parts.pop()!;
  const name = parts[0] === "registry.ollama.ai" ? parts.slice(parts[1] === "library" ? 2 : 1) : parts;
  const reference = ["ollama", ...name].join("/");
  return {
    source: path,
    name: { provider: "import", reference, variant: tag },
    files: [{ from: blob.real, to: `import/${reference}/${tag}.gguf` }],
    digest: model.digest,
    mayBeRenamed: false,
  };
}

/** Returns the layers, or why there are none. */
async function layersOf(path: string): Promise<z.infer<typeof layer>[] | string> {
  try {
    const info = await Deno.lstat(path);
    if (!info.isFile) return "it is no regular file";
    if (info.size > limits.importManifestBytesMax) return "it is too large for a manifest";
    const parsed = manifest.safeParse(JSON.parse(await Deno.readTextFile(path)));
    return parsed.success ? parsed.data.layers : "it is no manifest of Ollama";
  } catch (error) {
    return error instanceof SyntaxError ? "it is no JSON" : whyUnreadable(error);
  }
}

/** Older versions wrote a colon into the name. */
async function blobOf(root: string, digest: string): Promise<{ real: string } | { reason: string }> {
  const blob = await fileWithin(root, `${root}/blobs/${digest.replace(":", "-")}`);
  return "real" in blob ? blob : await fileWithin(root, `${root}/blobs/${digest}`);
}
