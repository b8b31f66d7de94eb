import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { inWorld } from "../support/flows.ts";
import { canMount } from "../support/mounts.ts";
import { Program } from "../support/program.ts";
import { executablePath, World } from "../support/world.ts";

/** The home of this script is a disk of 4 MB; after `rbee up` and one inference it is filled to the last byte. */
const script = `
set -u
rbee=$1; home=$2
mkdir -p "$home"
mount -t tmpfs -o size=8m tmpfs "$home" || exit 99
"$rbee" up || exit 90
"$rbee" infer --prompt hello --max-tokens 4 || exit 91
dd if=/dev/zero of="$home/filler" bs=4k 2>/dev/null
for round in 1 2 3; do "$rbee" infer --prompt "hello again" --max-tokens 4 || exit 92; done
"$rbee" status >&2 || exit 93
rm "$home/filler"
"$rbee" infer --prompt "and again" --max-tokens 4 || exit 94
"$rbee" down || exit 95
`;

Deno.test({
  name: `a full disk for logs ends no daemon: inference goes on${
    canMount() ? "" : " [not run: needs unshare -rm; where it works: deno task test tests/acceptance]"
  }`,
  ignore: !canMount(),
  fn: () =>
    inWorld(async (world) => {
      const program = new Program({
        exe: "/usr/bin/unshare",
        args: ["-rm", "/bin/sh", "-c", script, "sh", executablePath("rbee"), world.home],
        cwd: world.userHome,
        env: world.environment(),
      });
      world.programs.push(program);
      const { code, stderr } = await program.ends(30_000);
      assert.equal(code, 0, `the step that failed is told by the exit code: ${stderr}`);
    }, () => new World()),
});

Deno.test({
  name: `a disk without any room is one clear message before anything is started${
    canMount() ? "" : " [not run: needs unshare -rm; where it works: deno task test tests/acceptance]"
  }`,
  ignore: !canMount(),
  fn: () =>
    inWorld(async (world) => {
      const full =
        `mkdir -p "$2" && mount -t tmpfs -o size=8k tmpfs "$2" && dd if=/dev/zero of="$2/filler" bs=1k 2>/dev/null
exec "$1" infer --prompt hello`;
      const program = new Program({
        exe: "/usr/bin/unshare",
        args: ["-rm", "/bin/sh", "-c", full, "sh", executablePath("rbee"), join(world.root, "r")],
        cwd: world.userHome,
        env: world.environment(),
      });
      world.programs.push(program);
      const { code, stderr } = await program.ends(10_000);
      assert.equal(code, 1, stderr);
      assert.match(stderr, /DISK_FULL|HOME_NOT_WRITABLE/);
      assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+/m);
    }, () => new World()),
});
