/**
 * llm-worker-rbee: one model in one process.
 *
 * @module
 */
import { LlamaEngine } from "../native/llama.ts";
import { RbeeError } from "../protocol/error.ts";
import { environment } from "../runtime/environment.ts";
import { openLog } from "../runtime/log.ts";
import { dieWithParent } from "../runtime/parent.ts";
import { runProgram } from "../runtime/program.ts";
import { parseFlags, type WorkerFlags } from "./flags.ts";
import { program, runWorker } from "./worker.ts";

dieWithParent();
const encoder = new TextEncoder();
const parsed = parseFlags(Deno.args, {
  stdout: (text) => Deno.stdout.writeSync(encoder.encode(text)),
  stderr: (text) => Deno.stderr.writeSync(encoder.encode(text)),
});
if (typeof parsed === "number") Deno.exit(parsed);
await runMain(parsed);

async function runMain(flags: WorkerFlags): Promise<never> {
  const log = openLog({ program, level: "info", stderr: true }).with({ worker_id: flags.workerId });
  return await runProgram(async ({ signal }) => {
    const key = environment("RBEE_WORKER_KEY");
    if (!key) {
      throw new RbeeError("MISSING_API_KEY", {
        message: "Cannot start: the environment variable RBEE_WORKER_KEY is not set",
        hint: "Set RBEE_WORKER_KEY to the key that clients must send as a bearer token",
      });
    }
    return await runWorker({ flags, key, engine: new LlamaEngine(), log, signal });
  }, {
    onError: (error) => {
      log.error(error.message, { code: error.code, hint: error.hint });
      return 1;
    },
    onFault: (fault) => log.error("a fault that nobody caught", { error: fault }),
  });
}
