/**
 * The checkout that this keeper belongs to, and making executables in it. A keeper that was installed elsewhere has none.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { isFile } from "../runtime/files.ts";
import { executableFolder } from "../runtime/executables.ts";
import { dirname, fromFileUrl, join } from "../runtime/path.ts";
import { runOnce, startChild } from "../runtime/process.ts";
import { IS_COMPILED, PLATFORM } from "../runtime/version.ts";
import type { Keeper } from "./keeper.ts";

/** The version that rbee is made with. */
const denoVersion = "2.7.11";

/** Returns the folder of the checkout: this keeper's own source, or the one whose `dist/<platform>` it lies in. */
export function findCheckout(): string | undefined {
  if (!IS_COMPILED) return fromFileUrl(new URL("..", import.meta.url)).replace(/\/$/, "");
  const folder = executableFolder();
  const checkout = dirname(dirname(folder));
  if (folder !== join(checkout, "dist", PLATFORM)) return undefined;
  return ["deno.json", "build/compile.ts"].every((path) => isFile(join(checkout, path))) ? checkout : undefined;
}

/**
 * Makes executables in the checkout, with the worker of that backend besides the usual ones; shows what the compiler
 * says. Throws `EXECUTABLES_NOT_FOUND` with its last words when it fails.
 */
export async function compileIn(keeper: Keeper, checkout: string, backend?: string): Promise<void> {
  const { render, signal } = keeper;
  const [exe, ...before] = await denoCommand();
  const args = ["task", "compile", ...(backend === undefined ? [] : ["--backend", backend])];
  const line = ["deno", ...args].join(" ");
  render.note("rbee-keeper", `🔨 ${line} in ${checkout}`);
  const lines = new LineReader((text) => render.note("rbee-keeper", text));
  const child = startChild({
    exe,
    args: [...before, ...args],
    cwd: checkout,
    env: { NO_COLOR: "1" },
    onOutput: (piece) => lines.add(piece),
  });
  const stop = () => void child.stop();
  signal.addEventListener("abort", stop, { once: true });
  const { code } = await child.ended;
  signal.removeEventListener("abort", stop);
  signal.throwIfAborted();
  if (code === 0) return;
  throw new RbeeError("EXECUTABLES_NOT_FOUND", {
    message: `Cannot make the executables: ${lines.last || `it ended with ${code}`}`,
    details: { checkout },
    hint: `Type it yourself and see: cd ${checkout} && ${line}`,
  });
}

/** From source Deno is what runs us; besides that the one in PATH, or npx, which brings it. */
async function denoCommand(): Promise<string[]> {
  if (!IS_COMPILED) return [Deno.execPath()];
  const found = await runOnce("deno", ["--version"]);
  if (found?.code === 0 && found.stdout.startsWith(`deno ${denoVersion} `)) return ["deno"];
  if ((await runOnce("npx", ["--version"]))?.code === 0) return ["npx", "-y", `deno@${denoVersion}`];
  throw new RbeeError("EXECUTABLES_NOT_FOUND", {
    message: `Cannot make the executables: neither Deno ${denoVersion} nor npx is here`,
    hint: "Install Node.js with npm, or Deno, and run the command again",
  });
}

/** Pieces of output as whole lines. */
class LineReader {
  /** The last line that was not empty. */
  last = "";
  readonly #tell: (line: string) => void;
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor(tell: (line: string) => void) {
    this.#tell = tell;
  }

  add(piece: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(piece, { stream: true })).split(/\r?\n|\r/);
    this.#rest = lines.pop()!.slice(-1_000);
    for (const line of lines.map((one) => one.replaceAll(/\p{Cc}/gu, "").trim()).filter(Boolean)) {
      this.last = line;
      this.#tell(line);
    }
  }
}
