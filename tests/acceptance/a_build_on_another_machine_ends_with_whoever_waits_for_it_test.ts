import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { VERSION } from "../../runtime/version.ts";
import { eventually } from "../support/eventually.ts";
import { assertOneClearError, inWorld } from "../support/flows.ts";
import { LoopbackNode } from "../support/loopback_node.ts";
import { programOf, send } from "../support/processes.ts";
import type { Program } from "../support/program.ts";
import { makeSmallRepository } from "../support/source_repository.ts";
import { canRunSshd, SshHome } from "../support/sshd.ts";
import { World } from "../support/world.ts";

/** What that machine's git finds elsewhere. */
const address = "ssh://git@source.home.arpa/rbee.git";
const install = ["setup", "install", "--node", "box", "--from-source"];
/** A build that takes for ever there, with a child, as long as no file says otherwise. */
const compile =
  'sh -c \'[ -e "$HOME/quick" ] || { : >"$HOME/building"; sleep 600 & sleep 600; }; mkdir -p dist; cp -r made dist/linux-x64\'';

interface Stage {
  readonly world: World;
  readonly node: LoopbackNode;
}

/** Runs a test with a registered machine that builds for ever. */
function withBuilder(test: (stage: Stage) => Promise<void>): Promise<void> {
  return inWorld(async (world) => {
    const ssh = new SshHome(world);
    world.env.PATH = `${ssh.bin}:${world.environment().PATH}`;
    await using node = await LoopbackNode.start(world, { ssh, host: "box" });
    Deno.mkdirSync(join(node.home, ".deno/bin"), { recursive: true });
    Deno.symlinkSync(Deno.execPath(), join(node.home, ".deno/bin/deno"));
    const repository = join(world.root, "repository");
    await makeSmallRepository(repository, compile);
    const gitconfig = `[url "${repository}"]\n\tinsteadOf = ${address}\n`;
    Deno.writeTextFileSync(join(node.home, ".gitconfig"), gitconfig);
    // rbee's own checkout stands elsewhere than what is installed there already.
    world.configure({ remote: { git_repo_dir: join(node.home, "checkout") } });
    const args = ["setup", "add-node", "--name", "box", ...node.flags, "--git-repo", address];
    const { code, stderr } = await world.run("rbee", args);
    assert.equal(code, 0, stderr);
    await test({ world, node });
  }, () => new World());
}

async function midBuild({ world, node }: Stage): Promise<Program> {
  const keeper = world.start("rbee", install);
  await eventually(() => Deno.statSync(join(node.home, "building")).isFile, {
    withinMs: 20_000,
    what: "it builds there",
    seen: () => keeper.account(),
  });
  assert.ok(atWork(node).length >= 4, `the script, deno and a build of two: ${atWork(node)}`);
  return keeper;
}

/** What runs there but what a queen that stays has there: the far side of her connection, and a hive. */
const atWork = (node: LoopbackNode) =>
  node.processes().filter((one) => !["cat", "rbee-hive"].includes(programOf(one))).map(({ args }) =>
    args.join(" ").slice(0, 80)
  );

async function nothingAtWork({ node }: Stage): Promise<void> {
  await eventually(() => atWork(node).length === 0, {
    withinMs: 2_000,
    what: "nothing is at work there",
    seen: () => atWork(node).join(", "),
  });
}

async function again({ world, node }: Stage): Promise<void> {
  Deno.writeTextFileSync(join(node.home, "quick"), "");
  const { code, stderr } = await world.run("rbee", install);
  assert.equal(code, 0, stderr);
  assert.match(stderr, new RegExp(`Installation complete on box: v${VERSION}`));
  assert.equal(Deno.readLinkSync(join(node.home, "rbee/current")), `versions/${VERSION}`);
  const left = [...Deno.readDirSync(join(node.home, "rbee/versions"))].map(({ name }) => name).sort();
  assert.deepEqual(left, [".rbee", VERSION]);
}

const options = { ignore: !canRunSshd() };

for (const stays of [false, true]) {
  Deno.test(
    `Ctrl+C in a build on another machine leaves nothing ${stays ? "but a queen that stays" : "on either side"}`,
    options,
    () =>
      withBuilder(async (stage) => {
        if (stays) await stage.world.up();
        const keeper = await midBuild(stage);
        keeper.interrupt();
        const { code, stderr } = await keeper.ends(10_000);
        assert.equal(code, 130, stderr);
        await nothingAtWork(stage);
        if (!stays) await stage.world.nothingLeft(5_000);
        await again(stage);
      }),
  );
}

Deno.test(
  "a queen that is killed leaves no build on another machine, and no connection here",
  options,
  () =>
    withBuilder(async (stage) => {
      const keeper = await midBuild(stage);
      assert.ok(send(stage.world.queenPid(), "SIGKILL"));
      assertOneClearError(await keeper.ends(10_000), { code: "CONNECTION_LOST" });
      await nothingAtWork(stage);
      await eventually(() => stage.world.processes().length === 0, {
        withinMs: 2_000,
        what: "nothing of it runs here",
        seen: () => stage.world.living().join(", "),
      });
      await again(stage);
    }),
);
