/** Which commit a build is made from. */

/**
 * Returns the short commit hash of the checkout, with `+` behind it when a tracked file differs, or `unknown` where
 * there is no git or no commit yet.
 */
export async function commitOf(folder: string): Promise<string> {
  const [hash, changes] = await Promise.all([
    git(folder, ["rev-parse", "--short=7", "HEAD"]),
    git(folder, ["status", "--porcelain", "--untracked-files=no"]),
  ]);
  if (!hash) return "unknown";
  return changes ? `${hash}+` : hash;
}

async function git(folder: string, args: string[]): Promise<string | null> {
  try {
    const command = new Deno.Command("git", { args: ["-C", folder, ...args], stdout: "piped", stderr: "null" });
    const { success, stdout } = await command.output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch {
    return null;
  }
}
