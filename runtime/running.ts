/**
 * Where a running daemon can be found: `queen.json` and `hive.json` in `RBEE_HOME` (0600, removed at exit). Such a file
 * is a hint and nothing more: never trusted without an answer from the address it names.
 *
 * @module
 */
import * as z from "zod";

const schema = z.object({
  pid: z.number().int(),
  url: z.string(),
  version: z.string(),
  mode: z.enum(["ephemeral", "persistent"]).optional(),
  started_unix: z.number(),
  /** Where a damaged registry was moved at this start, for whoever started it to tell. */
  moved_aside: z.string().optional(),
});

/** What such a file says. */
export type Running = z.infer<typeof schema>;

/** Returns what the file says; undefined when it is missing or not whole. */
export function readRunning(path: string): Running | undefined {
  try {
    return schema.parse(JSON.parse(Deno.readTextFileSync(path)));
  } catch {
    return undefined; // a missing or half-written file says the same: nobody to be found here
  }
}

/** Writes the file, whole or not at all. Returns what removes it again, only while it is still ours. */
export function publishRunning(path: string, running: Running): Disposable {
  const temporary = `${path}.${running.pid}.tmp`;
  Deno.writeTextFileSync(temporary, JSON.stringify(running) + "\n", { mode: 0o600 });
  Deno.renameSync(temporary, path);
  return {
    [Symbol.dispose]() {
      if (readRunning(path)?.pid !== running.pid) return;
      try {
        Deno.removeSync(path);
      } catch {
        // removed by hand meanwhile
      }
    },
  };
}
