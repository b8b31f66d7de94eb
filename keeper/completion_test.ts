import assert from "node:assert/strict";
import { environment } from "../runtime/environment.ts";
import { buildCommands } from "./commands.ts";
import { complete, completionScript } from "./completion.ts";

const root = buildCommands(() => Promise.resolve());
const asked: string[] = [];
const candidates = async (...words: string[]) =>
  (await complete(root, words, (path, name) => {
    asked.push(`${path} ${name}`);
    return Promise.resolve(["value-1", "other"]);
  })).map(([value]) => value);

Deno.test("commands are completed, hidden ones are not", async () => {
  assert.deepEqual(await candidates("in"), ["infer", "install"]);
  const all = await candidates("");
  assert.ok(all.includes("workers") && all.includes("doctor"));
  assert.ok(!all.includes("__complete") && !all.includes("daemon"));
  assert.deepEqual(await candidates("workers", "s"), ["start", "shutdown", "stop"]);
});

Deno.test("flags and the values of flags are completed", async () => {
  assert.deepEqual(await candidates("infer", "--max"), ["--max-tokens"]);
  assert.deepEqual(await candidates("infer", "--backend", "c"), ["cpu", "cuda"]);
  assert.deepEqual(await candidates("infer", "--model", "v"), ["value-1"]);
  assert.deepEqual(await candidates("workers", "shutdown", "v"), ["value-1"]);
  assert.deepEqual(asked.slice(-2), ["infer --model", "workers shutdown id"]);
  assert.deepEqual(await candidates("completion", ""), ["bash", "zsh", "fish"]);
});

Deno.test("zsh gets a file that answers at the first key press, when zsh runs it as the function it defines", () => {
  const lines = completionScript("zsh").trimEnd().split("\n");
  assert.equal(lines[0], "#compdef rbee rbee-keeper");
  assert.equal(lines.at(-1), 'if [ "$funcstack[1]" = "_rbee" ]; then _rbee "$@"; fi');
});

Deno.test("bash takes the script and completes by it", async () => {
  using at = { path: Deno.makeTempDirSync(), [Symbol.dispose]: () => Deno.removeSync(at.path, { recursive: true }) };
  Deno.writeTextFileSync(`${at.path}/rbee`, '#!/bin/sh\nprintf "infer\\tgenerate text\\n$4\\t\\n"\n', { mode: 0o755 });
  Deno.writeTextFileSync(
    `${at.path}/try.sh`,
    `${completionScript("bash")}COMP_WORDS=(rbee workers st); COMP_CWORD=2; _rbee; printf '%s,' "\${COMPREPLY[@]}"\n`,
  );
  const { stdout, success } = await new Deno.Command("bash", {
    args: ["--norc", `${at.path}/try.sh`],
    env: { PATH: `${at.path}:${environment("PATH")}` },
  }).output();
  assert.ok(success);
  assert.equal(new TextDecoder().decode(stdout), "infer,st,");
});
