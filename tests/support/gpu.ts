/**
 * Which GPU the executables under test can compute on: one that their hive detects, and a worker that was made for it.
 *
 * @module
 */
import { isFile } from "../../runtime/files.ts";
import { executables } from "./world.ts";

const backends = ["cuda", "vulkan", "metal"] as const;

/** The backend to test with; undefined on a machine without a GPU, or without `deno task compile --backend …`. */
export const gpuBackend: string | undefined = find();

function find(): string | undefined {
  const made = backends.filter((backend) => isFile(`${executables}/llm-worker-rbee-${backend}`));
  if (made.length === 0) return undefined;
  try {
    const { stdout } = new Deno.Command(`${executables}/rbee-hive`, { args: ["detect", "--json"] }).outputSync();
    const detected: { name: string }[] = JSON.parse(new TextDecoder().decode(stdout)).backends;
    return made.find((backend) => detected.some(({ name }) => name === backend));
  } catch {
    return undefined; // no executables yet: then nothing can be tested on a GPU either
  }
}
