import assert from "node:assert/strict";
import { join } from "../runtime/path.ts";
import { NodeFolder, scriptPath } from "./testdata/node_folder.ts";

/** What lies beside the versions all the time. */
const installed = [".rbee"];

/** Starts four installations of two versions at once, and looks whether each ended well. */
async function installAtOnce(node: NodeFolder, bin?: string): Promise<void> {
  const builds = ["0.1.0", "0.1.1"].map((version) => node.build(version)); // before the first one reads there
  const runs = await Promise.all([...builds, ...builds].map((build) => node.run(["--from", build], { bin })));
  for (const { code, stdout, stderr } of runs) assert.equal(code, 0, stdout + stderr);
  assert.deepEqual(node.faults(), []);
  assert.deepEqual(node.versions, [...installed, "0.1.0", "0.1.1"]);
}

Deno.test("installations at once end well, one after the other", async () => {
  using node = new NodeFolder();
  await installAtOnce(node);
});

/** Puts these programs first in PATH, as ones that take their time after what they did: the rest of the world goes on. */
function slow(node: NodeFolder, ...tools: string[]): string {
  const bin = join(node.root, "slow");
  Deno.mkdirSync(bin);
  for (const tool of tools) {
    const text = `#!/bin/sh\nPATH=/usr/bin:/bin\n${tool} "$@"\ncode=$?\nsleep 0.3\nexit $code\n`;
    Deno.writeTextFileSync(join(bin, tool), text, { mode: 0o755 });
  }
  return bin;
}

Deno.test("first installations at once do not take each other's folder for a stranger's", async () => {
  for (let run = 0; run < 2; run++) {
    using node = new NodeFolder();
    await installAtOnce(node, slow(node, "mkdir"));
  }
});

/** Returns the text of a function of the script. */
function functionOf(script: string, name: string): string {
  const found = script.match(new RegExp(`^${name}\\(\\) \\{(.*\\}$|[^]*?^\\})`, "m"));
  assert.ok(found, `the script has a function ${name}`);
  return found[0];
}

Deno.test("one alone holds the lock, also when those who held it or took it away were killed", async () => {
  const script = Deno.readTextFileSync(scriptPath);
  const names = ["born", "is_number", "is_alive", "lock_text", "is_at_work", "remove_dead", "lock"];
  // Waits are short here, so that many get into each other's way; each tenth holder dies with the lock.
  const holder = `${names.map((name) => functionOf(script, name)).join("\n")}
versions=$1 lock_wait=100000
sleep() { command sleep 0.002; }
fail() { echo "$*"; exit 1; }
write_failed() { echo "cannot write: $*"; exit 1; }
lock
mkdir "$versions/held" || echo "two hold the lock"
command sleep 0.001
rmdir "$versions/held"
[ "$2" -ne 0 ] || kill -9 $$
rm -f "$my_lock"
`;
  using node = new NodeFolder();
  const hold = async (dies: boolean) => {
    const args = ["-c", holder, "sh", node.home, dies ? "0" : "1"];
    const { stdout, stderr } = await new Deno.Command("sh", { args, stdin: "null" }).output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  };
  const said = await Promise.all(Array.from({ length: 6 }, async (_none, lane) => {
    let all = "";
    for (let run = 0; run < 40; run++) all += await hold((run + lane) % 10 === 0);
    return all;
  }));
  assert.equal(said.join(""), "");
});
