import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { builtManifest, installedManifest, readManifest } from "../../runtime/shipped.ts";
import { inWorld } from "../support/flows.ts";
import { canMount } from "../support/mounts.ts";
import { type Finished, Program } from "../support/program.ts";
import { executablePath, executables, World } from "../support/world.ts";

const four = ["llm-worker-rbee", "queen-rbee", "rbee-hive", "rbee-keeper"];

/** A person's environment: RBEE_HOME would move the models. */
const person = { env: { RBEE_HOME: "" }, withinMs: 30_000 };

const binOf = (world: World) => join(world.userHome, ".local/bin");

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

/** Runs the installed `rbee` of a world, in that world. */
async function installed(world: World, args: string[], env: Record<string, string> = {}): Promise<Finished> {
  const bin = binOf(world);
  const program = new Program({
    exe: join(bin, "rbee"),
    args,
    cwd: world.userHome,
    env: world.environment({ PATH: `${bin}:/usr/bin:/bin`, ...env }),
  });
  world.programs.push(program);
  return await program.ends(30_000);
}

Deno.test("a build that was cut short is told by its file, and nothing is installed", () =>
  inWorld(async (world) => {
    const build = join(world.root, "build");
    Deno.mkdirSync(build);
    for (const name of ["rbee-keeper", builtManifest]) await Deno.copyFile(join(executables, name), join(build, name));
    for (const name of ["rbee-hive", "llm-worker-rbee"]) Deno.symlinkSync(join(executables, name), join(build, name));
    await Deno.copyFile(join(executables, "queen-rbee"), join(build, "queen-rbee"));
    const { size } = Deno.statSync(join(build, "queen-rbee"));
    await Deno.truncate(join(build, "queen-rbee"), size - 1);
    const run = async (): Promise<Finished> => {
      const program = new Program({
        ...{ exe: join(build, "rbee-keeper"), args: ["install"] },
        ...{ cwd: world.userHome, env: world.environment(person.env) },
      });
      world.programs.push(program);
      return await program.ends(20_000);
    };
    const cut = await run();
    assert.equal(cut.code, 1);
    assert.match(cut.stderr, /Cannot install .*build\/queen-rbee: .*CHECKSUM_MISMATCH/);
    assert.match(cut.stderr, /Suggestion: .*deno task compile/);
    assert.deepEqual(namesIn(binOf(world)), []);
    Deno.removeSync(join(build, builtManifest));
    const without = await run();
    assert.equal(without.code, 1);
    assert.match(without.stderr, /EXECUTABLES_NOT_FOUND[^]*Suggestion: .*deno task compile/);
    assert.deepEqual(namesIn(binOf(world)), []);
  }, () => new World()));

Deno.test("another tool named rbee stays what it was", () =>
  inWorld(async (world) => {
    Deno.mkdirSync(binOf(world), { recursive: true });
    Deno.writeTextFileSync(join(binOf(world), "rbee"), "another tool");
    const refused = await world.run("rbee", ["install"], person);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /FILE_NOT_OURS[^]*Suggestion: .*rbee install --force/);
    assert.deepEqual(namesIn(binOf(world)), ["rbee"]);
    const gone = await world.run("rbee", ["uninstall"], person);
    assert.equal(gone.code, 0, gone.stderr);
    assert.match(gone.stdout, /^No rbee is installed in /);
    assert.equal(Deno.readTextFileSync(join(binOf(world), "rbee")), "another tool");
  }, () => new World()));

Deno.test("two installations at once both succeed, and JSON tells what each did", () =>
  inWorld(async (world) => {
    const both = await Promise.all([1, 2].map(() => world.run("rbee", ["install", "--json"], person)));
    const states = both.map(({ code, stdout, stderr }) => {
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout).files[0].state;
    });
    assert.deepEqual(states.sort(), ["kept", "new"]);
    const { manifest } = await readManifest(executables);
    assert.deepEqual((await readManifest(binOf(world))).manifest, manifest);
  }, () => new World()));

Deno.test("nothing is uninstalled or purged while a queen runs from there; after rbee down it is", () =>
  inWorld(async (world) => {
    assert.equal((await world.run("rbee", ["install"], { withinMs: 30_000 })).code, 0);
    assert.equal((await installed(world, ["up"])).code, 0);
    for (const args of [["uninstall"], ["uninstall", "--purge"]]) {
      const refused = await installed(world, args);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /Cannot uninstall: a queen runs[^]*Suggestion: .*rbee down/);
    }
    // Root who purges for another home sees her as well: by her process.
    const other = await installed(world, ["uninstall"], { RBEE_HOME: join(world.root, "elsewhere") });
    assert.equal(other.code, 1, "a queen of this folder, whosever she is");
    assert.deepEqual(namesIn(binOf(world)).filter((name) => four.includes(name)), four);
    const again = await installed(world, ["install"]);
    assert.equal(again.code, 0, "installing beside a running queen is fine");
    assert.equal((await installed(world, ["down"])).code, 0);
    const gone = await installed(world, ["uninstall", "--purge"]);
    assert.equal(gone.code, 0, gone.stderr);
    assert.deepEqual(namesIn(binOf(world)), []);
    assert.throws(() => Deno.statSync(world.home), Deno.errors.NotFound);
  }, () => new World()));

Deno.test("a purge leaves what is not rbee's in a folder that RBEE_HOME names", () =>
  inWorld(async (world) => {
    assert.equal((await world.run("rbee", ["infer", "--prompt", "hi", "--max-tokens", "2"])).code, 0);
    Deno.writeTextFileSync(join(world.home, "diary.txt"), "mine");
    const purged = await world.run("rbee", ["uninstall", "--purge"]);
    assert.equal(purged.code, 0, purged.stderr);
    assert.deepEqual(namesIn(world.home), ["diary.txt"]);
  }, () => new World()));

/** `$1` the keeper, `$2` the bin folder, `$3` options of a small disk there; an old version lies on it already. */
const onSmallDisk = `
set -u
rbee=$1; bin=$2
mkdir -p "$bin" && mount -t tmpfs -o "size=210m" tmpfs "$bin" && cp -a "$4/." "$bin/" || exit 99
[ "$3" = ro ] && { mount -o remount,ro tmpfs "$bin" || exit 98; }
"$rbee" install --quiet
code=$?
(cd "$bin" && ls -A && cat queen-rbee .rbee-manifest.json)
exit $code
`;

for (const [kind, expected] of [["full", "DISK_FULL"], ["ro", "HOME_NOT_WRITABLE"]]) {
  Deno.test({
    name: `on a disk that is ${kind === "full" ? "too small" : "read-only"} the old version stays whole${
      canMount() ? "" : " [not run: needs unshare -rm; where it works: deno task test tests/acceptance]"
    }`,
    ignore: !canMount(),
    fn: () =>
      inWorld(async (world) => {
        const old = join(world.root, "old");
        Deno.mkdirSync(old);
        for (const name of four) Deno.writeTextFileSync(join(old, name), `old ${name}\n`);
        const { manifest } = await readManifest(executables);
        const text = JSON.stringify({ ...manifest, version: "0.0.1" });
        Deno.writeTextFileSync(join(old, installedManifest), text);
        const script = ["sh", executablePath("rbee"), binOf(world), kind, old];
        const program = new Program({
          ...{ exe: "/usr/bin/unshare", args: ["-rm", "/bin/sh", "-c", onSmallDisk, ...script] },
          ...{ cwd: world.userHome, env: world.environment(person.env) },
        });
        world.programs.push(program);
        const { code, stdout, stderr } = await program.ends(20_000);
        assert.equal(code, 1, stderr);
        assert.ok(stderr.includes(expected), stderr);
        assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+/m);
        assert.equal(stdout, [installedManifest, ...four, "old queen-rbee", text].join("\n"));
      }, () => new World()),
  });
}
