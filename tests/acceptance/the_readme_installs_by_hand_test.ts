import assert from "node:assert/strict";
import { fromRoot } from "../../build/files.ts";
import { NodeFolder } from "../../queen/testdata/node_folder.ts";
import { environment } from "../../runtime/environment.ts";
import { join } from "../../runtime/path.ts";
import { canRunSshd, me, SshHome } from "../support/sshd.ts";
import { World } from "../support/world.ts";

const lines = Deno.readTextFileSync(fromRoot("README.md")).split("\n").filter((line) => line.startsWith("ssh me@box "));

Deno.test({
  name: "the README's lines that install by hand do so over a real sshd",
  ignore: !canRunSshd(),
  async fn() {
    await using world = new World();
    using node = new NodeFolder("rbee");
    const home = new SshHome(world);
    await using _sshd = await home.startHost(world, "box");
    Deno.renameSync(node.build("0.1.0"), join(node.home, "rbee-files"));
    const type = async (line: string) => {
      // The login's home is the tester's own: what the README keeps there lies elsewhere here.
      const typed = line.replaceAll("~/", `${node.home}/`)
        .replace("ssh me@box", `ssh -i ${join(home.folder, "id_ed25519")} ${me()}@box`);
      const { code, stdout, stderr } = await new Deno.Command("sh", {
        args: ["-c", typed],
        cwd: fromRoot(""),
        env: { PATH: `${home.bin}:${environment("PATH")}` },
      }).output();
      assert.equal(code, 0, line + new TextDecoder().decode(stderr));
      return new TextDecoder().decode(stdout);
    };
    assert.equal(lines.length, 4);
    assert.match(await type(lines[0]), /rbee-install: done 0\.1\.0\n$/);
    assert.equal(node.current, "0.1.0");
    assert.deepEqual(node.faults(), []);
    assert.match(await type(lines[1]), /\nrbee-install: current 0\.1\.0\n/);
    assert.match(await type(lines[2]), /rbee-install: done uninstall\n$/);
    assert.equal(node.current, undefined);
    assert.match(await type(lines[3]), /--prefix FOLDER/);
  },
});
