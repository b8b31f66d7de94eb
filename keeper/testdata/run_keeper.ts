/**
 * Runs the keeper from source as a process of its own, with nothing of the tester's environment.
 *
 * @module
 */
import { environment } from "../../runtime/environment.ts";
import { fromFileUrl } from "../../runtime/path.ts";

const root = fromFileUrl(new URL("../../", import.meta.url));

/** How to run it. */
export interface RunOptions {
  readonly home: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Written to its standard input; nothing (`/dev/null`) when absent. */
  readonly stdin?: string;
}

/** What it gave. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the keeper. */
export function startKeeper(args: readonly string[], options: RunOptions): Deno.ChildProcess {
  const main = `${root}keeper/main.ts`;
  const flags = ["--quiet", "--no-check", "--no-prompt", "--config", `${root}deno.json`, "-P=keeper"];
  const path = environment("PATH") ?? "/usr/bin:/bin";
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", ...flags, main, ...args],
    clearEnv: true,
    env: { PATH: path, HOME: options.home, RBEE_HOME: options.home, DENO_DIR: denoDir(), ...options.env },
    cwd: options.home,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (options.stdin !== undefined) feed(child, options.stdin);
  return child;
}

/** Code cache and npm stay where they are; a new HOME would make Deno begin anew. */
function denoDir(): string {
  return environment("DENO_DIR") ?? `${environment("HOME") ?? "/root"}/.cache/deno`;
}

async function feed(child: Deno.ChildProcess, text: string): Promise<void> {
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text)).catch(() => {}); // it may end without reading
  await writer.close().catch(() => {});
}

/** Runs the keeper to its end. */
export async function runKeeper(args: readonly string[], options: RunOptions): Promise<Ran> {
  const output = await startKeeper(args, options).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: text(output.stdout), stderr: text(output.stderr) };
}

/** Resolves when `holds`, looking every 10 ms. Throws after `ms`. */
export async function until(holds: () => boolean, ms = 5_000): Promise<void> {
  for (const end = performance.now() + ms; !holds();) {
    if (performance.now() > end) throw new Error(`Cannot go on: not true within ${ms} ms: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
