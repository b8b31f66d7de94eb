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
import { tlsFileNames, type TlsFiles } from "../runtime/serve.ts";
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

/** By name alone: what else lies on this machine we may not read. */
function readTls(): TlsFiles {
  try {
    return { cert: Deno.readTextFileSync(tlsFileNames.cert), key: Deno.readTextFileSync(tlsFileNames.key) };
  } catch (cause) {
    throw new RbeeError("CONFIG_INVALID", {
      message: `Cannot speak TLS: ${tlsFileNames.cert} and ${tlsFileNames.key} cannot be read`,
      hint: `Put both into the working directory (PEM), or leave --tls out`,
      cause,
    });
  }
}

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
    const tls = flags.tls ? readTls() : undefined;
    return await runWorker({ flags, tls, key, engine: new LlamaEngine(), log, signal });
  }, {
    onError: (error) => {
      log.error(error.message, { code: error.code, hint: error.hint });
      return 1;
    },
    onFault: (fault) => log.error("a fault that nobody caught", { error: fault }),
  });
}
