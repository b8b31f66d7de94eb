import assert from "node:assert/strict";
import { join } from "../runtime/path.ts";
import { namesIn, NodeFolder } from "./testdata/node_folder.ts";

/** Puts a `systemctl` and a `loginctl` first in PATH that note how they were called, and end with that code. */
function systemd(node: NodeFolder, code: number): { bin: string; calls: () => string[] } {
  const bin = join(node.root, `systemd-${code}`);
  Deno.mkdirSync(bin);
  for (const tool of ["systemctl", "loginctl"]) {
    const text = `#!/bin/sh\necho "${tool} $*" >>'${bin}/calls'\nexit ${code}\n`;
    Deno.writeTextFileSync(join(bin, tool), text, { mode: 0o755 });
  }
  const calls = () => {
    const path = join(bin, "calls");
    const lines = Deno.readTextFileSync(path).trimEnd().split("\n");
    Deno.removeSync(path);
    return lines;
  };
  return { bin, calls };
}

/** Lets the real systemd read the unit, where there is one: it must find no fault in it. */
async function verify(node: NodeFolder): Promise<void> {
  const runtime = join(node.root, "run");
  Deno.mkdirSync(runtime, { recursive: true });
  try {
    const { stderr } = await new Deno.Command("systemd-analyze", {
      args: ["--user", "verify", unitOf(node)],
      env: { XDG_RUNTIME_DIR: runtime },
    }).output();
    // What it says of this machine is not ours.
    const faults = new TextDecoder().decode(stderr).split("\n").filter((line) => line.includes("rbee-hive"));
    assert.deepEqual(faults, []);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // this machine has no systemd
  }
}

const unitOf = (node: NodeFolder) => join(node.home, ".config/systemd/user/rbee-hive.service");
const settings = ["--hive-env", "RBEE_HIVE_PORT=9300", "--hive-env", "RBEE_WORKERS_PORT_START=9301"];

Deno.test({
  name: "a service is written, started, restarted by the next version, and removed with it",
  ignore: Deno.build.os !== "linux",
  async fn() {
    using node = new NodeFolder('my "50%" $rbee');
    const { bin, calls } = systemd(node, 0);
    const first = await node.run(["--from", node.build("0.1.0"), "--service", ...settings], { bin });
    assert.equal(first.code, 0, first.stdout + first.stderr);
    assert.ok(!first.stdout.includes("note"), first.stdout);
    const unit = Deno.readTextFileSync(unitOf(node));
    const path = node.prefix.replaceAll('"', '\\"').replaceAll("%", "%%").replaceAll("$", "$$$$");
    const shell = `/bin/sh -c "exec \\"$$0\\" \\"$$@\\""`;
    assert.ok(unit.includes(`\nExecStart=${shell} "${path}/current/rbee-hive" daemon\n`), unit);
    await verify(node);
    for (const line of ['Environment="RBEE_HIVE_PORT=9300"', "Restart=on-failure", "StandardError=journal"]) {
      assert.ok(unit.includes(`\n${line}\n`), unit);
    }
    const user = "loginctl enable-linger ";
    const began = calls();
    assert.deepEqual(began.slice(0, 3), [
      "systemctl --user daemon-reload",
      "systemctl --user enable rbee-hive.service",
      "systemctl --user restart rbee-hive.service",
    ]);
    assert.ok(began[3].startsWith(user) && began.length === 4, began.join("\n"));
    assert.match((await node.run([], { bin })).stdout, /rbee-install: service yes\n/);

    await node.run(["--from", node.build("0.1.1")], { bin });
    assert.deepEqual(calls(), ["systemctl --user try-restart rbee-hive.service"]);
    assert.equal(Deno.readTextFileSync(unitOf(node)), unit, "it names the link, not the version");

    assert.equal((await node.run(["--action", "uninstall"], { bin })).code, 0);
    assert.deepEqual(calls(), ["systemctl --user disable --now rbee-hive.service", "systemctl --user daemon-reload"]);
    assert.deepEqual(namesIn(join(node.home, ".config/systemd/user")), []);
  },
});

Deno.test({
  name: "without a systemd of that user the line to type is said; --no-service takes the service back",
  ignore: Deno.build.os !== "linux",
  async fn() {
    using node = new NodeFolder("my 50% rbee");
    const { bin } = systemd(node, 1);
    const from = node.build("0.1.0");
    const ran = await node.run(["--from", from, "--service"], { bin });
    assert.equal(ran.code, 0);
    assert.match(
      ran.stdout,
      /note The service is written, .*enable-linger \S+ && systemctl --user enable --now rbee-hive\n/,
    );
    assert.match(Deno.readTextFileSync(unitOf(node)), /\nExecStart="\/.*\/my 50%% rbee\/current\/rbee-hive" daemon\n/);
    await verify(node);
    await node.run(["--from", from, "--no-service"], { bin });
    assert.deepEqual(namesIn(join(node.home, ".config/systemd/user")), []);
    assert.equal(node.current, "0.1.0");
  },
});

Deno.test({
  name: "somebody else's service of that name is refused before anything is made, and left alone",
  ignore: Deno.build.os !== "linux",
  async fn() {
    using node = new NodeFolder();
    Deno.mkdirSync(join(node.home, ".config/systemd/user"), { recursive: true });
    Deno.writeTextFileSync(unitOf(node), "mine");
    const from = node.build("0.1.0");
    const refused = await node.run(["--from", from, "--service"]);
    assert.match(
      refused.stdout,
      /error INSTALL_FAILED Cannot write the service: .* is there and not this installation's/,
    );
    assert.deepEqual(namesIn(node.prefix), []);
    assert.equal((await node.run(["--from", from])).code, 0);
    assert.equal((await node.run(["--action", "uninstall"])).code, 0);
    assert.equal(Deno.readTextFileSync(unitOf(node)), "mine");
    // Nor is the service of rbee in another folder.
    const other = [...["--prefix", join(node.home, "other"), "--from", from], "--service"];
    Deno.removeSync(unitOf(node));
    assert.equal((await node.run(other)).code, 0);
    const unit = Deno.readTextFileSync(unitOf(node));
    assert.equal((await node.run(["--from", from, "--no-service"])).code, 0);
    assert.equal((await node.run(["--action", "uninstall"])).code, 0);
    assert.equal(Deno.readTextFileSync(unitOf(node)), unit);
  },
});
