import assert from "node:assert/strict";
import { dirname, join } from "../../runtime/path.ts";
import { inWorld } from "../support/flows.ts";
import { World } from "../support/world.ts";

/** Stands in for systemd: writes down what it is told, and fails while a file `deaf` lies beside it. */
function standIn(folder: string): void {
  Deno.mkdirSync(folder, { recursive: true });
  const script = `#!/bin/sh\n[ -e "${folder}/deaf" ] && exit 1\necho "$@" >> "${folder}/told"\n`;
  Deno.writeTextFileSync(join(folder, "systemctl"), script, { mode: 0o755 });
}

function told(folder: string): string[] {
  try {
    const lines = Deno.readTextFileSync(join(folder, "told")).trim().split("\n");
    Deno.removeSync(join(folder, "told"));
    return lines;
  } catch {
    return []; // nothing
  }
}

const onLinux = Deno.build.os === "linux";

Deno.test({
  name: "a service is written, enabled and started, brought up to date, and taken away again",
  ignore: !onLinux,
  fn: () =>
    inWorld(async (world) => {
      const stand = join(world.root, "stand-in");
      standIn(stand);
      const env = { PATH: `${stand}:/usr/bin:/bin`, RBEE_HOME: world.home };
      const unit = join(world.userHome, ".config/systemd/user/rbee-queen.service");
      const run = async (...args: string[]) => {
        const { code, stdout, stderr } = await world.run("rbee", args, { env, withinMs: 30_000 });
        assert.equal(code, 0, stderr);
        return stdout;
      };

      assert.match(
        await run("install", "--service"),
        /service: .*rbee-queen\.service\n\s+enabled, and the queen is up/,
      );
      assert.deepEqual(told(stand), ["--user daemon-reload", "--user enable --now rbee-queen.service"]);
      const text = Deno.readTextFileSync(unit);
      assert.match(text, new RegExp(`^ExecStart=${world.userHome}/\\.local/bin/queen-rbee daemon$`, "m"));
      assert.match(
        text,
        new RegExp(`^Environment=RBEE_HOME=${world.home}$`, "m"),
        "the person's RBEE_HOME is hers as well",
      );

      Deno.writeTextFileSync(unit, text.replace("RestartSec=2", "RestartSec=90"));
      await run("install", "--service");
      assert.equal(Deno.readTextFileSync(unit), text, "a second installation brings it up to date");
      told(stand);

      assert.equal((await world.run("rbee", ["up"])).code, 0);
      assert.match(await run("install", "--service"), /is not the service's; .*rbee down && systemctl --user start/);
      assert.deepEqual(told(stand), ["--user daemon-reload", "--user enable rbee-queen.service"], "no second queen");
      assert.equal((await world.run("rbee", ["down"])).code, 0);

      await run("uninstall");
      assert.deepEqual(told(stand), ["--user disable --now rbee-queen.service"]);
      assert.throws(() => Deno.statSync(unit), Deno.errors.NotFound);
    }, () => new World()),
});

Deno.test({
  name: "where systemd does not answer the lines to type are printed; a unit of somebody else stays",
  ignore: !onLinux,
  fn: () =>
    inWorld(async (world) => {
      const stand = join(world.root, "stand-in");
      standIn(stand);
      Deno.writeTextFileSync(join(stand, "deaf"), "");
      const unit = join(world.userHome, ".config/systemd/user/rbee-queen.service");
      const options = { env: { PATH: `${stand}:/usr/bin:/bin` }, withinMs: 30_000 };
      const deaf = await world.run("rbee", ["install", "--service"], options);
      assert.equal(deaf.code, 0, deaf.stderr);
      assert.match(
        deaf.stdout,
        /systemctl --user daemon-reload\n\s+systemctl --user enable --now rbee-queen\.service\n/,
      );
      assert.ok(Deno.statSync(unit).isFile);

      Deno.mkdirSync(dirname(unit), { recursive: true });
      Deno.writeTextFileSync(unit, "[Unit]\nDescription=my own\n");
      const refused = await world.run("rbee", ["install", "--service"], options);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /FILE_NOT_OURS/);
      const gone = await world.run("rbee", ["uninstall"], options);
      assert.equal(gone.code, 0, gone.stderr);
      assert.match(Deno.readTextFileSync(unit), /my own/);
    }, () => new World()),
});
