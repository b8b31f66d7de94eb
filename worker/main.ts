import { versionLine } from "../runtime/version.ts";

if (Deno.args.includes("--version")) {
  Deno.stdout.writeSync(new TextEncoder().encode(versionLine("llm-worker-rbee") + "\n"));
} else {
  Deno.stderr.writeSync(new TextEncoder().encode("[llm-worker-rbee] only --version is answered so far\n"));
  Deno.exit(2);
}
