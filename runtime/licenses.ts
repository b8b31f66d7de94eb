/**
 * The licence notices of everything inside an executable. The compiled keeper carries them as a file; from source they
 * are put together from the installed libraries.
 */
import { IS_COMPILED } from "./version.ts";

interface Library {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly text: string;
}

interface LockEntry {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

/** Returns the text of `rbee --licenses`: rbee's own licence, then the notices of what its executables contain. */
export async function licensesText(): Promise<string> {
  // The build lays licenses.txt beside the bundle.
  if (IS_COMPILED) return await Deno.readTextFile(new URL("./licenses.txt", import.meta.url));
  return await collectLicenses();
}

/** Returns the same text assembled from the checkout and its node_modules; `build/compile.ts` embeds it. */
export async function collectLicenses(): Promise<string> {
  const root = new URL("../", import.meta.url);
  const own = await Deno.readTextFile(new URL("LICENSE", root));
  const notices = await Deno.readTextFile(new URL("runtime/notices.txt", root));
  const libraries = [...await librariesOf(root), ...await librariesOf(new URL("native/", root))];
  const byText = new Map<string, Library[]>();
  for (const library of libraries) byText.set(library.text, [...(byText.get(library.text) ?? []), library]);
  const sections = [...byText].map(([text, users]) => `${users.map(title).join("\n")}\n\n${text}`);
  return [`rbee\n\n${own.trim()}`, notices.trim(), ...sections].join(`\n\n${"-".repeat(78)}\n\n`) + "\n";
}

function title({ name, version, license }: Library): string {
  return `${name} ${version} (${license})`;
}

/** Every library that a program may contain: what the lock marks as needed only for tests and builds is left out. */
async function librariesOf(root: URL): Promise<Library[]> {
  const lock = JSON.parse(await Deno.readTextFile(new URL("package-lock.json", root)));
  const libraries: Library[] = [];
  for (const [path, entry] of Object.entries(lock.packages as Record<string, LockEntry>)) {
    if (path === "" || entry.dev || entry.optional) continue;
    const name = path.split("node_modules/").at(-1)!;
    const license = entry.license ?? "see its text";
    const text = await licenseFile(new URL(`${path}/`, root)) ?? `Licensed under ${license}; its package has no text.`;
    libraries.push({ name, version: entry.version ?? "", license, text });
  }
  return libraries;
}

async function licenseFile(folder: URL): Promise<string | null> {
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (entry.isFile && /^(licen[cs]e|copying)(\.|-|$)/i.test(entry.name)) {
        return (await Deno.readTextFile(new URL(entry.name, folder))).replaceAll("\r\n", "\n").trim();
      }
    }
  } catch { /* not installed: the line above says which licence holds */ }
  return null;
}
