/**
 * Turns the named permission sets of the root deno.json into flags of `deno compile`. The set itself can't be handed to
 * `deno compile`: it would bake in the build folder's absolute paths, and a program from source runs `deno` besides
 * (queen and hive to start the next program, the worker for node-llama-cpp's self-test of its libraries).
 */
import workspace from "../deno.json" with { type: "json" };

/** The programs that have a permission set of their own. */
export type ProgramFolder = "keeper" | "queen" | "hive" | "worker";

type Grant = boolean | readonly string[];

/** Returns the flags for one program's executable, `--no-prompt` first: a missing permission must fail, not ask. */
export function permissionFlags(program: ProgramFolder): string[] {
  const set: Record<string, Grant> = workspace.permissions[program];
  const flags = ["--no-prompt"];
  for (const name of ["read", "write", "run", "net", "env", "ffi", "sys"]) {
    const grant = set[name];
    if (grant === true) flags.push(`--allow-${name}`);
    const listed = Array.isArray(grant) ? grant.filter((value) => value !== "deno") : [];
    if (listed.length > 0) flags.push(`--allow-${name}=${listed.join(",")}`);
  }
  return flags;
}
