import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { join } from "../runtime/path.ts";
import { canMount } from "../tests/support/mounts.ts";
import { eventually, withinTime } from "../tests/support/eventually.ts";
import { readFacts } from "./install_facts.ts";
import { namesIn, NodeFolder, scriptPath, sha256 } from "./testdata/node_folder.ts";

const shells: readonly (readonly string[])[] = [["dash"], ["busybox", "sh"], ["bash", "--posix"], ["mksh"], ["sh"]];

function isThere([exe]: readonly string[]): boolean {
  return new Deno.Command("sh", { args: ["-c", `command -v ${exe}`], stdout: "null" }).outputSync().success;
}

const lastLine = (text: string) => text.trimEnd().split("\n").at(-1);
const installed = [".rbee"];

for (const shell of shells.filter(isThere)) {
  Deno.test(`install_node.sh in ${shell.join(" ")}: install, again, upgrade twice, take away`, async () => {
    using node = new NodeFolder();
    const builds = ["0.1.0", "0.1.1", "0.2.0-rc.1"].map((version) => node.build(version));
    for (const [at, from] of [builds[0], builds[0], builds[1], builds[2]].entries()) {
      const ran = await node.run(["--from", from], { shell });
      assert.equal(ran.code, 0, ran.stdout + ran.stderr);
      assert.equal(ran.stderr, "");
      assert.equal(lastLine(ran.stdout), `rbee-install: done ${["0.1.0", "0.1.0", "0.1.1", "0.2.0-rc.1"][at]}`);
      assert.deepEqual(node.faults(), []);
    }
    assert.equal(node.current, "0.2.0-rc.1");
    assert.deepEqual(node.versions, [...installed, "0.1.1", "0.2.0-rc.1"], "one older version is kept");
    assert.deepEqual(namesIn(node.prefix), ["current", "versions"]);
    const ran = await node.run(["--action", "uninstall"], { shell });
    assert.equal(ran.code, 0, ran.stdout + ran.stderr);
    assert.deepEqual(namesIn(node.home), []);
  });
}

Deno.test("what the script tells of a machine, it changes nothing", async () => {
  using node = new NodeFolder();
  const before = await node.run(["--version", "0.1.0"]);
  assert.equal(before.code, 0, before.stdout + before.stderr);
  const facts = readFacts(`motd\nrbee-installed: no\n${before.stdout}`);
  assert.equal(facts.prefix, node.prefix);
  assert.equal(facts.platform, `linux-${Deno.build.arch === "x86_64" ? "x64" : "arm64"}`);
  assert.match(facts.libc, /^glibc 2\.\d+$/);
  assert.ok(facts.diskFreeMb > 0);
  assert.deepEqual([facts.current, facts.notWritable, facts.hasService], [undefined, undefined, false]);
  assert.deepEqual([facts.files, facts.incoming, facts.running], [[], [], []]);
  assert.deepEqual(namesIn(node.home), []);
  await node.run(["--from", node.build("0.1.0")]);
  const after = readFacts((await node.run(["--version", "0.1.0"])).stdout);
  assert.equal(after.current, "0.1.0");
  assert.deepEqual(after.files.map(({ name }) => name), ["rbee-hive", "llm-worker-rbee"]);
  for (const { name, sha256: digest, size } of after.files) {
    const bytes = Deno.readFileSync(join(node.prefix, "current", name));
    assert.deepEqual([digest, size], [sha256(bytes), bytes.length]);
  }
});

Deno.test("a GPU is seen by what its driver says, and its worker comes along", async () => {
  using node = new NodeFolder();
  const bin = join(node.root, "bin");
  Deno.mkdirSync(bin);
  Deno.writeTextFileSync(join(bin, "nvidia-smi"), "#!/bin/sh\necho 'GPU 0: NVIDIA L4 (UUID: GPU-1)'\n", {
    mode: 0o755,
  });
  assert.equal(readFacts((await node.run([], { bin })).stdout).gpu, "cuda");
  const without = await node.run(["--from", node.build("0.1.0")], { bin });
  assert.match(without.stdout, /note This machine has cuda/);
  const wanted = await node.run(["--from", node.build("0.1.0"), "--backend", "cuda"], { bin });
  assert.match(wanted.stdout, /error EXECUTABLES_NOT_FOUND Cannot find llm-worker-rbee-cuda/);
  await node.run(["--from", node.build("0.1.1", { variants: ["llm-worker-rbee-cuda"] })], { bin });
  const files = () => namesIn(join(node.prefix, "current"));
  assert.deepEqual(files(), ["llm-worker-rbee", "llm-worker-rbee-cuda", "manifest.json", "rbee-hive"]);
  await node.run(["--from", node.build("0.1.1"), "--backend", "cpu"], { bin });
  assert.deepEqual(files(), ["llm-worker-rbee", "manifest.json", "rbee-hive"], "a hive would start the old variant");
  assert.deepEqual(node.faults(), []);
});

async function prepared(...versions: string[]): Promise<NodeFolder> {
  const node = new NodeFolder();
  for (const version of versions) await node.run(["--from", node.build(version)]);
  return node;
}

/** Every change is cut off by one run in three; which ones changes from run to run. */
const stride = 3;
const anyOf = (count: number) => 1 + Math.floor(Math.random() * count);

/** Puts programs first in PATH that end the whole script at the n-th change, before it is made. */
function killer(node: NodeFolder, at: number): string {
  const bin = join(node.root, `kill-${at}`);
  Deno.mkdirSync(bin);
  for (const tool of ["mv", "rm", "ln", "mkdir", "rmdir", "chmod", "tee"]) {
    const real = ["/usr/bin", "/bin"].map((folder) => join(folder, tool)).find((path) => Deno.statSync(path).isFile);
    const text = `#!/bin/sh\necho x >>'${bin}/count'\n` +
      `[ "$(wc -l <'${bin}/count')" -ne ${at} ] || kill -KILL 0\nexec ${real} "$@"\n`;
    Deno.writeTextFileSync(join(bin, tool), text, { mode: 0o755 });
  }
  return bin;
}

Deno.test("killed before any of its changes, an upgrade leaves a whole version in use and can be done again", async () => {
  let kills = 0;
  using before = await prepared("0.0.8", "0.0.9");
  for (let at = anyOf(stride);; at += stride) {
    using node = before.copy();
    const args = ["--from", node.build("0.1.0")];
    const cut = await node.run(args, { bin: killer(node, at) });
    assert.deepEqual(node.faults(), [], `killed at change ${at}: ${cut.stdout}`);
    assert.ok(node.current === "0.0.9" || node.current === "0.1.0", `killed at change ${at}: ${node.current}`);
    if (cut.code === 0) break;
    kills++;
    const again = await node.run(args);
    assert.equal(again.code, 0, `killed at change ${at}: ${again.stdout}${again.stderr}`);
    assert.deepEqual(node.faults(), []);
    assert.equal(node.current, "0.1.0");
    assert.deepEqual(node.versions, [...installed, "0.0.9", "0.1.0"], `killed at change ${at}`);
    assert.deepEqual(namesIn(node.prefix), ["current", "versions"], `killed at change ${at}`);
  }
  assert.ok(kills > 5, `${kills} changes were cut off`);
});

Deno.test("killed before any of its changes, a removal can be done again and leaves nothing", async () => {
  let kills = 0;
  using before = await prepared("0.0.9", "0.1.0");
  for (let at = anyOf(stride);; at += stride) {
    using node = before.copy();
    const cut = await node.run(["--action", "uninstall"], { bin: killer(node, at) });
    if (cut.code === 0) break;
    kills++;
    const again = await node.run(["--action", "uninstall"]);
    assert.equal(again.code, 0, `killed at change ${at}: ${again.stdout}${again.stderr}`);
    assert.deepEqual(namesIn(node.home), [], `killed at change ${at}`);
  }
  assert.ok(kills > 1, `${kills} changes were cut off`);
});

Deno.test("a file is received whole or not at all", async () => {
  using node = new NodeFolder();
  const bytes = crypto.getRandomValues(new Uint8Array(50_000));
  const what = ["--action", "receive", "--name", "rbee-hive", "--sha256", sha256(bytes), "--size", "50000"];
  const incoming = join(node.prefix, "versions/.incoming");
  const wrong: [string, Uint8Array, string[]][] = [
    ["cut off", bytes.subarray(0, 40_000), []],
    ["nothing", new Uint8Array(0), []],
    ["another one", bytes.toReversed(), []],
    ["longer", new Uint8Array([...bytes, 0]), []],
    ["packed and cut off", gzipSync(bytes).subarray(0, 30_000), ["--gzip"]],
    ["not packed", bytes, ["--gzip"]],
  ];
  for (const [name, input, more] of wrong) {
    const ran = await node.run([...what, ...more], { input });
    assert.equal(ran.code, 1, name);
    assert.match(lastLine(ran.stdout)!, /^rbee-install: error CHECKSUM_MISMATCH Cannot use rbee-hive: /, name);
    assert.deepEqual(namesIn(incoming), [], name);
  }
  for (const [input, more] of [[bytes, []], [gzipSync(bytes), ["--gzip"]]] as const) {
    const ran = await node.run([...what, ...more], { input });
    assert.equal(ran.code, 0, ran.stdout + ran.stderr);
    assert.deepEqual(Deno.readFileSync(join(incoming, "rbee-hive")), bytes);
  }
  const facts = readFacts((await node.run(["--version", "0.1.0"])).stdout);
  assert.deepEqual(facts.incoming, [{ name: "rbee-hive", sha256: sha256(bytes), size: 50_000 }]);
});

Deno.test("a part whose script was killed is swept away by the next one", async () => {
  using node = new NodeFolder();
  const incoming = join(node.prefix, "versions/.incoming");
  const what = ["--action", "receive", "--name", "rbee-hive", "--sha256", sha256("x"), "--size", "1"];
  const child = new Deno.Command("setsid", {
    args: ["sh", scriptPath, "--prefix", node.prefix, ...what],
    env: { HOME: node.home },
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await eventually(() => namesIn(incoming).some((name) => name.endsWith(".part")), {
    withinMs: 2_000,
    what: "a part is there",
  });
  const [part] = namesIn(incoming);
  Deno.kill(-Number(part.split(".").at(-2)), "SIGKILL");
  await child.status;
  await child.stdin.close().catch(() => {});
  assert.deepEqual(namesIn(incoming), [part]);
  const ran = await node.run(what, { input: new TextEncoder().encode("x") });
  assert.equal(ran.code, 0, ran.stdout);
  assert.deepEqual(namesIn(incoming), ["rbee-hive"]);
});

Deno.test("programs that can't be used there change nothing", async () => {
  using node = new NodeFolder();
  await node.run(["--from", node.build("0.1.0")]);
  const elf = (machine: number) =>
    String.fromCharCode(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, ...Array(9).fill(0), 2, 0, machine, 0, ...Array(50).fill(0));
  const arm = Deno.build.arch === "x86_64" ? 0x37 : 0x3e;
  const wrong: [string, Parameters<NodeFolder["build"]>[1], RegExp][] = [
    ["another version", { says: "0.9.9" }, /it is not of version 0\.2\.0: rbee-hive 0\.9\.9/],
    ["fails", { text: '#!/bin/sh\necho "version GLIBC_2.99 not found" >&2\nexit 1\n' }, /GLIBC_2\.99 not found/],
    ["another machine's", { text: elf(arm) }, /it is no program for linux-/],
    ["no program", { text: "echo rbee-hive 0.2.0; touch gotcha\n" }, /it is no program for linux-/],
    ["no interpreter", { text: "#!/no/such/sh\n" }, /it does not run here/],
  ];
  for (const [name, more, words] of wrong) {
    const ran = await node.run(["--from", node.build("0.2.0", more)]);
    assert.equal(ran.code, 1, name);
    assert.match(lastLine(ran.stdout)!, /^rbee-install: error INSTALL_FAILED Cannot use rbee-hive: /, name);
    assert.match(ran.stdout, words, name);
    assert.equal(node.current, "0.1.0", name);
    assert.deepEqual(node.faults(), [], name);
    assert.ok(!node.versions.includes("0.2.0"), name);
  }
  const folder = node.build("0.2.0");
  Deno.writeTextFileSync(join(folder, "rbee-hive"), "another one");
  const ran = await node.run(["--from", folder]);
  assert.match(ran.stdout, /error CHECKSUM_MISMATCH Cannot use rbee-hive/);
  Deno.removeSync(join(folder, "rbee-hive"));
  assert.match((await node.run(["--from", folder])).stdout, /error EXECUTABLES_NOT_FOUND Cannot find rbee-hive/);
  const manifest = Deno.readTextFileSync(join(folder, "manifest.json"));
  Deno.writeTextFileSync(join(folder, "manifest.json"), manifest.replace("linux-x64", "macos-arm64"));
  assert.match((await node.run(["--from", folder])).stdout, /error PLATFORM_NOT_AVAILABLE .* for macos-arm64/);
  assert.equal(node.current, "0.1.0");
});

Deno.test("what others put there is not touched", async () => {
  using node = new NodeFolder();
  const from = node.build("0.1.0");
  const versions = join(node.prefix, "versions");
  Deno.mkdirSync(versions, { recursive: true });
  Deno.writeTextFileSync(join(versions, "thesis.txt"), "mine");
  for (const args of [["--from", from], ["--action", "uninstall"]]) {
    const ran = await node.run(args);
    assert.match(ran.stdout, /error INSTALL_FAILED .*versions is (there and )?not rbee's/);
  }
  Deno.renameSync(versions, join(node.prefix, "mine"));
  assert.match((await node.run(["--action", "uninstall"])).stdout, /error INSTALL_FAILED .* holds nothing of rbee's/);
  for (
    const make of [
      () => Deno.mkdirSync(join(node.prefix, "current")),
      () => Deno.symlinkSync("mine", join(node.prefix, "current")),
    ]
  ) {
    make();
    assert.equal(readFacts((await node.run([])).stdout).foreign, join(node.prefix, "current"));
    assert.match((await node.run(["--from", from])).stdout, /error INSTALL_FAILED .*current is there and not rbee's/);
    Deno.removeSync(join(node.prefix, "current"));
  }
  assert.deepEqual(namesIn(node.prefix), ["mine"]);
  assert.equal((await node.run(["--from", from])).code, 0);
  const gone = await node.run(["--action", "uninstall"]);
  assert.equal(gone.code, 0, gone.stdout);
  assert.match(gone.stdout, /stays: other files are in it/);
  assert.equal(Deno.readTextFileSync(join(node.prefix, "mine/thesis.txt")), "mine");
});

Deno.test("a folder that can't be written is refused before anything is made", async () => {
  using node = new NodeFolder("file/rbee");
  const from = node.build("0.1.0");
  Deno.writeTextFileSync(join(node.home, "file"), "");
  const ran = await node.run(["--from", from]);
  assert.match(ran.stdout, /error INSTALL_PATH_NOT_WRITABLE Cannot install to .*file is no folder/);
  assert.match(readFacts((await node.run([])).stdout).notWritable!, /file is no folder/);
  if (Deno.uid() !== 0) return;
  // root may write everywhere: somebody else tries.
  using other = new NodeFolder();
  Deno.chmodSync(other.root, 0o755);
  const shell = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh"];
  const denied = await other.run(["--from", other.build("0.1.0")], { shell });
  assert.match(denied.stdout, /error INSTALL_PATH_NOT_WRITABLE Cannot install to .*: nobody may not write to /);
  assert.deepEqual(namesIn(other.home), []);
});

Deno.test({
  name: "a full disk is told, leaves the version in use, and no part",
  ignore: !canMount(),
  async fn() {
    using node = new NodeFolder("rbee");
    const [small, big] = [node.build("0.1.0"), node.build("0.2.0", { bytes: 3_000_000 })];
    const bin = join(node.root, "bin");
    for (const folder of [node.prefix, bin]) Deno.mkdirSync(folder);
    // Somebody else fills the disk just when a program is copied.
    const fill = `dd if=/dev/zero of=${node.prefix}/fill bs=64k 2>/dev/null`;
    Deno.writeTextFileSync(join(bin, "tee"), `#!/bin/sh\n${fill}\nexec /usr/bin/tee "$@"\n`, { mode: 0o755 });
    const run = (from: string) => `sh ${scriptPath} --prefix ${node.prefix} --from ${from}`;
    const script = [
      `mount -t tmpfs -o size=80m none ${node.prefix}`,
      run(small),
      `PATH=${bin}:$PATH ${run(big)}`,
      `cd ${node.prefix}; rm fill; ls -A versions; readlink current; current/rbee-hive --version`,
      run(big),
      `dd if=/dev/zero of=fill bs=1M count=20 2>/dev/null`,
      run(small),
    ];
    const { stdout, stderr } = await new Deno.Command("unshare", {
      args: ["-rm", "sh", "-c", script.join("\n")],
      env: { HOME: node.home },
    }).output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.match(text, /error DISK_FULL Cannot write to .*: no space is left\n/, text);
    assert.match(text, /\n\.rbee\n0\.1\.0\nversions\/0/, text); // and nothing else
    assert.match(text, /\nversions\/0\.1\.0\nrbee-hive 0\.1\.0/, text);
    assert.match(text, /done 0\.2\.0\n/, text);
    assert.match(text, /error INSUFFICIENT_DISK Cannot install to .*: 64 MB are needed, \d+ MB are free\n$/, text);
  },
});

Deno.test("a hive that runs is not removed from under itself", async () => {
  using node = new NodeFolder();
  await node.run(["--from", node.build("0.1.0")]);
  // A real process whose program lies there: a copy of sleep.
  const program = join(node.prefix, "versions/0.1.0/rbee-hive");
  Deno.copyFileSync("/usr/bin/sleep", program);
  const child = new Deno.Command(join(node.prefix, "current/rbee-hive"), { args: ["60"] }).spawn();
  const ran = await node.run(["--action", "uninstall"]);
  assert.match(ran.stdout, new RegExp(`error HIVE_RUNNING .*rbee-hive runs \\(process ${child.pid}\\)`));
  assert.equal(node.current, "0.1.0");
  assert.deepEqual(readFacts((await node.run([])).stdout).running, [`${child.pid} ${Deno.realPathSync(program)}`]);
  child.kill("SIGKILL");
  await child.status;
  assert.equal((await node.run(["--action", "uninstall"])).code, 0);
});

Deno.test("data and models stay, and go with --purge; a queen's registry stays", async () => {
  using node = new NodeFolder();
  const data = join(node.home, ".rbee");
  const models = join(node.home, ".local/share/rbee/models");
  const config = join(node.home, ".config/rbee");
  for (const folder of [join(data, "logs"), models, config]) Deno.mkdirSync(folder, { recursive: true });
  const files = [
    join(data, "hive.token"),
    join(data, "logs/hive.log"),
    join(models, "a.gguf"),
    join(config, "config.toml"),
  ];
  for (const path of files) Deno.writeTextFileSync(path, "x");
  await node.run(["--from", node.build("0.1.0")]);
  const kept = await node.run(["--action", "uninstall"]);
  for (const folder of [data, join(node.home, ".local/share/rbee"), join(config, "config.toml")]) {
    assert.ok(kept.stdout.includes(`note ${folder} stays`), kept.stdout);
  }
  for (const path of files) assert.ok(Deno.statSync(path).isFile);
  Deno.writeTextFileSync(join(data, "beehives.db"), "x");
  const purged = await node.run(["--action", "uninstall", "--purge"]);
  assert.equal(purged.code, 0, purged.stdout);
  assert.deepEqual(namesIn(data), ["beehives.db"]);
  assert.deepEqual(namesIn(join(node.home, ".local/share")), []);
  assert.deepEqual(namesIn(config), ["config.toml"]);
  Deno.removeSync(join(data, "beehives.db"));
  await node.run(["--action", "uninstall", "--purge"]);
  assert.deepEqual(namesIn(node.home), [".config", ".local"]);
});

Deno.test("a command line that can't be understood does nothing", async () => {
  using node = new NodeFolder();
  const lines: string[][] = [
    ["--action", "format"],
    ["--action"],
    ["--frm", "/tmp"],
    ["--version", "../1.0.0"],
    ["--version", "1.0"],
    ["--action", "receive", "--name", "../x", "--sha256", sha256("x"), "--size", "1"],
    ["--action", "receive", "--name", "llm-worker-rbee-", "--sha256", sha256("x"), "--size", "1"],
    ["--action", "receive", "--name", "rbee-hive", "--sha256", "x", "--size", "1"],
    ["--action", "finish", "--version", "1.0.0", "--file", "rbee-hive"],
    ["--action", "finish", "--version", "1.0.0"],
    ["--hive-env", "A=$(touch x)"],
    ["--prefix", "/"],
    ["--prefix", "relative"],
    ["--prefix", "~/a/../../b"],
    ["--prefix", "~/a\nb"],
  ];
  for (const args of lines) {
    const ran = await node.run(args);
    assert.equal(ran.code, 1, args.join(" "));
    assert.match(ran.stdout, /^rbee-install: error INSTALL_FAILED Cannot [^\n]*\n$/, args.join(" "));
  }
  assert.deepEqual(namesIn(node.home), []);
});

Deno.test("a script that was cut off on its way does nothing", async () => {
  using node = new NodeFolder();
  const text = Deno.readTextFileSync(scriptPath);
  const lines = text.split("\n");
  const from = node.build("0.1.0");
  for (let at = 40; at < lines.length - 1; at += 61) {
    const part = join(node.root, "part.sh");
    Deno.writeTextFileSync(part, lines.slice(0, at).join("\n"));
    await new Deno.Command("sh", {
      args: ["-c", 'exec sh -s -- --prefix "$1" --from "$2" <"$3"', "sh", node.prefix, from, part],
      env: { HOME: node.home },
      stdout: "null",
      stderr: "null",
    }).output();
    assert.deepEqual(namesIn(node.home), [], `cut at line ${at}`);
  }
});

Deno.test("a file of which nothing more comes is given up", async () => {
  using node = new NodeFolder();
  const impatient = join(node.root, "install_node.sh");
  Deno.writeTextFileSync(impatient, Deno.readTextFileSync(scriptPath).replace("quiet_max=60", "quiet_max=1"));
  const what = ["--name", "rbee-hive", "--sha256", sha256("never comes"), "--size", "1000"];
  const child = new Deno.Command("sh", {
    args: [impatient, "--prefix", node.prefix, "--action", "receive", ...what],
    clearEnv: true,
    env: { HOME: node.home, PATH: "/usr/bin:/bin" },
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new Uint8Array(10));
  const { signal } = await withinTime(child.status, { withinMs: 10_000, what: "it ends" });
  assert.equal(signal, "SIGKILL");
  await writer.close().catch(() => {});
  assert.deepEqual(namesIn(join(node.prefix, "versions/.incoming")), []);
});
