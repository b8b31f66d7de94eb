import { versionLine } from "../runtime/version.ts";

if (Deno.args.includes("--version")) {
  Deno.stdout.writeSync(new TextEncoder().encode(versionLine("rbee-keeper") + "\n"));
} else {
  Deno.stderr.writeSync(new TextEncoder().encode("[rbee-keeper] only --version is answered so far\n"));
  Deno.exit(2);
}
