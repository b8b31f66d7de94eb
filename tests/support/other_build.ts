/**
 * A build of another version, for tests of programs that don't match: the same sources, compiled once more and kept for
 * the next run.
 *
 * @module
 */
import { fromFileUrl, join } from "../../runtime/path.ts";

const checkout = fromFileUrl(new URL("../../", import.meta.url));
const compileMs = 80_000;

/** Returns the folder of the executables of that version, up to date. Throws with the compiler's words. */
export async function otherBuild(version: string): Promise<string> {
  // Beside this checkout's own: another one's executables may be of other sources, or replaced at any moment.
  const out = join(checkout, "dist", `other-${version}`);
  const args = ["run", "-A", "--no-check", "--quiet", "build/compile.ts", "--version", version, "--out", out];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: checkout,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    signal: AbortSignal.timeout(compileMs),
  }).output();
  if (!success) throw new Error(`Cannot compile version ${version}: ${new TextDecoder().decode(stderr)}`);
  return out;
}
