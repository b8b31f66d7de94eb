/** The executables: which program each is made of and what lies inside it besides its code. */
import type { ProgramFolder } from "./permissions.ts";

/** A file that travels inside an executable, readable there at `new URL("./" + at, import.meta.url)`. */
export interface Asset {
  /** Relative to the checkout. */
  readonly source: string;
  /** Relative to the bundle; the same as its place relative to the source file that reads it. */
  readonly at: string;
}

/** One executable to make. */
export interface Program {
  /** File name of the executable. */
  readonly name: string;
  /** The member it is made of, which also names its permission set. */
  readonly folder: ProgramFolder;
  readonly assets: readonly Asset[];
  /** The libraries inside it; other than `cpu` only for variants of the worker. */
  readonly backend: string;
}

const KEEPER: Program = { name: "rbee-keeper", folder: "keeper", assets: [], backend: "cpu" };
const QUEEN: Program = {
  name: "queen-rbee",
  folder: "queen",
  // What she sends to nodes, whose shells run it.
  assets: ["start_hive.sh", "read_log.sh", "install_node.sh"].map((name) => ({ source: `queen/${name}`, at: name })),
  backend: "cpu",
};
const HIVE: Program = {
  name: "rbee-hive",
  folder: "hive",
  // The hive unpacks it into the models folder as `builtin:tiny`.
  assets: [{ source: "native/tiny/tiny.gguf", at: "tiny/tiny.gguf" }],
  backend: "cpu",
};

/** Returns the four programs of every build, and one variant of the worker for each backend other than `cpu`. */
export function programsFor(backends: readonly string[]): Program[] {
  const worker: Program = { name: "llm-worker-rbee", folder: "worker", assets: [], backend: "cpu" };
  const variants = [...new Set(backends)].filter((backend) => backend !== "cpu")
    .map((backend) => ({ ...worker, name: `llm-worker-rbee-${backend}`, backend }));
  return [KEEPER, QUEEN, HIVE, worker, ...variants];
}
