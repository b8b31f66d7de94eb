/**
 * Whether the ports of queen and hive are free, or who has them.
 *
 * @module
 */
import { readRunning } from "../runtime/running.ts";
import { runOnce } from "../runtime/process.ts";
import type { Check } from "./doctor_check.ts";
import type { Keeper } from "./keeper.ts";

interface Port {
  readonly program: string;
  readonly port: number;
  readonly listen: string;
  readonly file: string;
  readonly fix: string;
}

/** Returns one check for each port. A taken one is a warning: queens that end with their command take another. */
export async function checkPorts(keeper: Keeper): Promise<Check[]> {
  const loaded = await keeper.config().catch(() => undefined);
  if (!loaded) return []; // the configuration's own check tells
  const { queen, hive } = loaded.config;
  return await Promise.all([
    checkPort({
      ...{ program: "queen-rbee", port: queen.port, listen: queen.listen, file: keeper.paths.queenFile },
      fix: "Another port: rbee up --port 8090, or [queen] port in config.toml",
    }),
    checkPort({
      ...{ program: "rbee-hive", port: hive.port, listen: hive.listen, file: keeper.paths.hiveFile },
      fix: "Another port: [hive] port in config.toml",
    }),
  ]);
}

async function checkPort({ program, port, listen, file, fix }: Port): Promise<Check> {
  const name = `port ${port}`;
  const found = { name, essential: false };
  const running = readRunning(file);
  const ours = running !== undefined && new URL(running.url).port === String(port);
  if (isFree(listen, port)) return { ...found, ok: true, text: `free for ${program}` };
  if (ours) return { ...found, ok: true, text: `${program} of yours (pid ${running.pid}) listens there` };
  return { ...found, ok: false, text: `taken by ${await holder(port)}, wanted by ${program}`, fix };
}

function isFree(hostname: string, port: number): boolean {
  try {
    Deno.listen({ hostname, port }).close();
    return true;
  } catch {
    return false;
  }
}

/** Returns who listens on a port, as far as the system tells us. */
async function holder(port: number): Promise<string> {
  const output = await runOnce("ss", ["-H", "-ltnp", `sport = :${port}`]);
  const [, program, pid] = output?.stdout.match(/users:\(\("([^"]+)",pid=(\d+)/) ?? [];
  return program === undefined ? "another program" : `${program} (pid ${pid})`;
}
