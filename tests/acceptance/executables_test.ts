import assert from "node:assert/strict";
import { digestFile } from "../../runtime/digest.ts";
import type { Manifest } from "../../runtime/shipped.ts";
import { executables } from "../support/world.ts";
import { newTemporaryFolder, removeFolder } from "../support/temporary.ts";

const UNSHARE = "/usr/bin/unshare";
const NAMES = ["llm-worker-rbee", "queen-rbee", "rbee-hive", "rbee-keeper"];

async function manifest(): Promise<Manifest> {
  return JSON.parse(await Deno.readTextFile(`${executables}manifest.json`));
}

/** Whether this machine lets us cut a program off from every network. */
async function canUnshare(): Promise<boolean> {
  return await new Deno.Command(UNSHARE, { args: ["-n", "true"], stderr: "null" }).output()
    .then(({ success }) => success, () => false);
}

Deno.test("the manifest tells size and SHA-256 of each executable", async () => {
  const { files } = await manifest();
  for (const name of NAMES) {
    const { sha256, size } = await digestFile(`${executables}${name}`);
    assert.deepEqual({ sha256: files[name]?.sha256, size: files[name]?.size }, { sha256, size }, name);
  }
});

Deno.test("the executables start in an empty folder without network, Deno, Node, home or environment", async () => {
  const { version, platform } = await manifest();
  const folder = newTemporaryFolder();
  const cutOff = await canUnshare();
  try {
    for (const name of NAMES) {
      await Deno.copyFile(`${executables}${name}`, `${folder}/${name}`);
      const command = cutOff ? [UNSHARE, "-n", `${folder}/${name}`] : [`${folder}/${name}`];
      const { code, stdout, stderr } = await new Deno.Command(command[0], {
        args: [...command.slice(1), "--version"],
        cwd: folder,
        clearEnv: true,
        // A listed --allow-run is looked up in PATH at start: without any, Deno itself refuses to start the queen.
        env: { PATH: folder },
      }).output();
      assert.equal(code, 0, `${name}: ${new TextDecoder().decode(stderr)}`);
      const line = new TextDecoder().decode(stdout);
      assert.match(line, new RegExp(`^${name} ${version.replaceAll(".", "\\.")} \\(\\S+, ${platform}\\)\n$`));
    }
  } finally {
    removeFolder(folder);
  }
});

Deno.test("rbee is a link to rbee-keeper that survives a move of the folder", async () => {
  assert.equal(await Deno.readLink(`${executables}rbee`), "rbee-keeper");
});
