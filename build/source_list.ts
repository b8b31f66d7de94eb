/** Which files belong to the project: what git tracks or would track. */
import { fromRoot } from "./files.ts";

const LEFT_OUT = /^(\.git|node_modules|dist|coverage)$/;

/** Returns every TypeScript source, relative to the checkout and sorted. */
export async function sourceFiles(): Promise<string[]> {
  return (await projectFiles()).filter((path) => path.endsWith(".ts"));
}

/** Returns every file that is committed or would be, relative to the checkout and sorted. */
export async function projectFiles(): Promise<string[]> {
  return (await listedByGit() ?? await walk("")).sort();
}

async function listedByGit(): Promise<string[] | null> {
  try {
    const { success, stdout } = await new Deno.Command("git", {
      args: ["-C", fromRoot(""), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
      stderr: "null",
    }).output();
    if (!success) return null;
    const paths = new TextDecoder().decode(stdout).split("\0").filter(Boolean);
    const present = await Promise.all(paths.map((path) => Deno.lstat(fromRoot(path)).then(() => true, () => false)));
    return paths.filter((_, index) => present[index]);
  } catch {
    return null;
  }
}

async function walk(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(fromRoot(folder || "."))) {
    if (LEFT_OUT.test(entry.name)) continue;
    if (entry.isDirectory) found.push(...await walk(`${folder}${entry.name}/`));
    else found.push(folder + entry.name);
  }
  return found;
}
