import assert from "node:assert/strict";
import { scriptThenFileCommand } from "./install_script.ts";

Deno.test("a script that comes before a file on stdin leaves the file whole", async () => {
  const script = `main() { printf '%s|' "$@"; cat; }\nmain "$@"; exit $?\n`;
  const command = scriptThenFileCommand(script.length, ["--a", "it's"]);
  const child = new Deno.Command("sh", { args: ["-c", command], stdin: "piped", stdout: "piped" }).spawn();
  const fed = new Blob([script + "the file\n"]).stream().pipeTo(child.stdin);
  const { stdout } = await child.output();
  await fed;
  assert.equal(new TextDecoder().decode(stdout), "--a|it's|the file\n");
});
