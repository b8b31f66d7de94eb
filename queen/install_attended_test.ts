import assert from "node:assert/strict";
import { environment } from "../runtime/environment.ts";
import { join } from "../runtime/path.ts";
import { VERSION } from "../runtime/version.ts";
import { eventually, withinTime } from "../tests/support/eventually.ts";
import { processesOf } from "../tests/support/processes.ts";
import { makeSmallRepository } from "../tests/support/source_repository.ts";
import { namesIn, NodeFolder, type ScriptOptions, scriptPath } from "./testdata/node_folder.ts";

/** As sshd starts it, in a group of its own; or by a wrapper, whose group it then is. */
const shells: readonly (readonly string[])[] = [
  ["dash"],
  ["busybox", "sh"],
  ["bash", "--posix"],
  ["mksh"],
  ["sh", "-c", 'sh "$@"; exit $?', "sh"],
];

function isThere([exe]: readonly string[]): boolean {
  return new Deno.Command("sh", { args: ["-c", `command -v ${exe}`], stdout: "null" }).outputSync().success;
}

const pathOf = (tool: string) =>
  (environment("PATH") ?? "/usr/bin").split(":").map((folder) => join(folder, tool))
    .find((path) => namesIn(join(path, "..")).includes(tool));

/** A node with git and a deno that take for ever at one step, with children of their own, for as long as it is slow. */
class SlowNode extends NodeFolder {
  readonly bin: string = join(this.root, "bin");
  readonly repository: string = join(this.root, "repository");
  readonly #rbeeHome = join(this.home, ".rbee");

  static async create(): Promise<SlowNode> {
    const node = new SlowNode();
    await makeSmallRepository(node.repository);
    return node;
  }

  constructor() {
    super();
    Deno.mkdirSync(this.bin);
    const forEver = '{ : >"$HOME/stuck"; sleep 600 & (sleep 600; :); }';
    const isSlow = (step: string) => `grep -qs '^${step}$' "$HOME/slow"`;
    const git = pathOf("git");
    this.#tool(
      "deno",
      `[ "$1" != --version ] || { echo "deno 2.7.11 (test)"; exit; }\n` +
        `! ${isSlow("build")} || ${forEver}\nmkdir -p dist && cp -r made dist/linux-x64\n`,
    );
    // A checkout that was cut off has written some files, and holds git's lock.
    this.#tool(
      "git",
      `case "$1" in\nclone) ! ${isSlow("clone")} || { '${git}' "$@"; ${forEver}; } ;;\n` +
        `checkout) ! ${isSlow("checkout")} || { echo half >deno.json; : >.git/index.lock; ${forEver}; } ;;\nesac\n` +
        `exec '${git}' "$@"\n`,
    );
  }

  /** A script for machines without /proc, with a `ps` that rounds no time: that of Linux gives one second or the next. */
  withoutProc(): string {
    this.#tool(
      "ps",
      `[ "$2" = lstart= ] || exec '${pathOf("ps")}' "$@"\n` +
        'read -r line <"/proc/$4/stat" && set -- ${line##*) } && echo "Thu Nov 26 ${20} 2026"\n',
    );
    return Deno.readTextFileSync(scriptPath).replaceAll("-r /proc/self/stat", "-r /proc/none");
  }

  #tool(name: string, text: string): void {
    Deno.writeTextFileSync(join(this.bin, name), `#!/bin/sh\n${text}`, { mode: 0o755 });
  }

  /** Which step takes for ever from now on; none when absent. */
  slow(step = ""): void {
    Deno.writeTextFileSync(join(this.home, "slow"), `${step}\n`);
    Deno.removeSync(join(this.home, "stuck"), { recursive: true });
  }

  readonly source: readonly string[] = ["--action", "source", "--repo", this.repository];

  options(more: ScriptOptions = {}): ScriptOptions {
    return { bin: this.bin, env: { RBEE_HOME: this.#rbeeHome }, ...more };
  }

  /** Starts a build that stays at a step. */
  async stuckAt(step: string, more: ScriptOptions = {}): Promise<Deno.ChildProcess> {
    Deno.writeTextFileSync(join(this.home, "stuck"), "");
    this.slow(step);
    const child = this.start(this.source, this.options({ isAttended: true, ...more }));
    await eventually(() => namesIn(this.home).includes("stuck"), { withinMs: 5_000, what: `it stays at ${step}` });
    return child;
  }

  processes(): string[] {
    return processesOf(this.#rbeeHome).map(({ pid, args }) => `${pid} ${args.join(" ").slice(0, 80)}`);
  }

  async nothingRuns(): Promise<void> {
    await eventually(() => this.processes().length === 0, {
      withinMs: 2_000,
      what: "nothing runs any more",
      seen: () => this.processes().join(", "),
    });
  }

  /** Asserts that nothing runs here and nobody holds the lock. */
  async isLeft(child: Deno.ChildProcess): Promise<void> {
    await this.nothingRuns();
    await withinTime(child.output(), { withinMs: 2_000, what: "its output ends" });
    assert.deepEqual(this.versions.filter((name) => !name.startsWith(".rbee") && name !== ".incoming"), []);
  }

  /** Asserts that the same again comes to its end. */
  async isMadeWhole(): Promise<void> {
    Deno.writeTextFileSync(join(this.home, "stuck"), "");
    this.slow();
    const child = this.start(this.source, this.options({ isAttended: true }));
    const { code, stdout, stderr } = await child.output();
    await child.stdin.close().catch(() => {});
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.equal(code, 0, text);
    assert.equal(text.trimEnd().split("\n").at(-1), `rbee-install: done ${VERSION}`);
    assert.deepEqual(this.faults(), []);
    assert.deepEqual(this.versions, [".rbee", VERSION]);
    await this.nothingRuns();
  }
}

for (const shell of shells.filter(isThere)) {
  Deno.test(`a build ends with whoever waits for it: ${shell.join(" ")}`, async () => {
    using node = await SlowNode.create();
    const child = await node.stuckAt("build", { shell });
    await eventually(() => node.processes().length >= 4, {
      withinMs: 5_000,
      what: "the build has started all its processes",
      seen: () => node.processes().join(", "),
    });
    await child.stdin.close();
    await node.isLeft(child);
    await node.isMadeWhole();
  });
}

Deno.test({
  name: "a build ends with whoever waits for it, where ps tells of processes and the script is in another one's group",
  ignore: pathOf("ps") === undefined,
  async fn() {
    using node = await SlowNode.create();
    const child = await node.stuckAt("build", { shell: shells.at(-1), script: node.withoutProc() });
    await child.stdin.close();
    await node.isLeft(child);
    await node.isMadeWhole();
  },
});

for (const step of ["clone", "checkout"]) {
  Deno.test(`a ${step} that was cut off is done again`, async () => {
    using node = await SlowNode.create();
    const child = await node.stuckAt(step);
    await child.stdin.close();
    await node.isLeft(child);
    await node.isMadeWhole();
  });
}

Deno.test("a checkout that was cut off on its way to the next commit is done again; a person's changes are not", async () => {
  using node = await SlowNode.create();
  await node.isMadeWhole();
  const child = await node.stuckAt("checkout");
  await child.stdin.close();
  await node.nothingRuns();
  await child.output();
  await node.isMadeWhole();
  assert.doesNotMatch(Deno.readTextFileSync(join(node.prefix, "deno.json")), /half/);
  Deno.writeTextFileSync(join(node.prefix, ".gitignore"), "dist\nmine\n");
  await node.isMadeWhole();
  assert.match(Deno.readTextFileSync(join(node.prefix, ".gitignore")), /mine/);
});

Deno.test("by hand, standard input ends behind the script and the build goes on", async () => {
  using node = await SlowNode.create();
  const { code, stdout, stderr } = await node.run(node.source, node.options());
  assert.equal(code, 0, stdout + stderr);
  assert.equal(node.current, VERSION);
});

/** The script, but it waits for another one a second only. */
const impatient = Deno.readTextFileSync(scriptPath).replace("lock_wait=30", "lock_wait=1");

Deno.test("one that is at work is waited for, and the way out is named", async () => {
  using node = await SlowNode.create();
  const child = await node.stuckAt("build");
  const from = node.build("0.1.0");
  const second = await node.run(["--from", from], { script: impatient });
  const lock = join(node.prefix, "versions/.lock");
  assert.equal(second.code, 1);
  const [pid] = Deno.readLinkSync(lock).split(":");
  assert.ok(second.stdout.includes(`at work there (process ${pid}); if that is none, remove ${lock}\n`), second.stdout);
  await child.stdin.close();
  await node.isLeft(child);
  assert.equal((await node.run(["--from", from], { script: impatient })).code, 0);
});

Deno.test("a lock whose process number another process has by now is nobody's", async () => {
  using node = new NodeFolder();
  const from = node.build("0.1.0");
  const versions = join(node.prefix, "versions");
  await node.run(["--from", from]);
  for (const owner of [`${Deno.pid}:1.00000000-0000-0000-0000-000000000000`, String(Deno.pid), "what"]) {
    Deno.symlinkSync(owner, join(versions, ".lock"));
    const ran = await node.run(["--from", from], { script: impatient });
    assert.equal(ran.code, 0, `${owner}: ${ran.stdout}`);
    assert.deepEqual(node.versions, [".rbee", "0.1.0"], owner);
  }
});
