import assert from "node:assert/strict";
import { type ErrorCode, RbeeError } from "../protocol/error.ts";
import type { Beehive } from "../protocol/node.ts";
import type { ProgressEvent } from "../protocol/progress.ts";
import { environment } from "../runtime/environment.ts";
import { join } from "../runtime/path.ts";
import { shippedFiles } from "../runtime/shipped.ts";
import { CommandShell } from "../tests/support/command_shell.ts";
import { installNode, type InstallSite, uninstallNode } from "./install.ts";
import { sending } from "./install_sending.ts";
import type { RemoteRunOptions, RemoteShell } from "./remote_shell.ts";
import { namesIn, NodeFolder, sha256 } from "./testdata/node_folder.ts";

interface Told {
  readonly said: string[];
  readonly progress: ProgressEvent[];
  readonly replaced: number[];
}

function rowOf(node: NodeFolder, more: Partial<Beehive> = {}): Beehive {
  return {
    ...{ node_name: "box", transport: "ssh", status: "reachable", hive_port: 9200, last_connected_unix: null },
    ...{ last_error: null, ssh_host: "box", ssh_port: 22, ssh_user: "me", ssh_key_path: null, platform: null },
    ...{ git_repo_url: null, git_branch: "main", worker_port_start: 8081, worker_port_end: 8999 },
    install_path: node.prefix,
    ...more,
  };
}

function siteOf(
  node: NodeFolder,
  more: { row?: Partial<Beehive>; shell?: RemoteShell; signal?: AbortSignal } = {},
): InstallSite & { told: Told } {
  const env = { HOME: node.home, PATH: environment("PATH") ?? "/usr/bin:/bin" };
  const told: Told = { said: [], progress: [], replaced: [] };
  return {
    node: rowOf(node, more.row),
    shell: more.shell ?? new CommandShell({ words: ["sh", "-c"], env }),
    beforeReplace: () => Promise.resolve(void told.replaced.push(told.said.length)),
    steps: {
      signal: more.signal ?? new AbortController().signal,
      narrate: (_action, human) => void told.said.push(human),
      say: ({ human }) => void told.said.push(human),
      progress: (event) => void told.progress.push(event),
    },
    told,
  };
}

async function refusal(run: Promise<unknown>, code: ErrorCode): Promise<RbeeError> {
  try {
    await run;
  } catch (error) {
    assert.ok(error instanceof RbeeError && error.code === code, String(error));
    return error;
  }
  throw new Error("it was not refused");
}

Deno.test("the real executables come onto a node, the second time nothing is sent, and they go again", async () => {
  using node = new NodeFolder();
  const { manifest } = await shippedFiles();
  const first = siteOf(node);
  const sizes = manifest.files["rbee-hive"].size + manifest.files["llm-worker-rbee"].size;
  const about = { node_name: "box", version: manifest.version, platform: manifest.platform, install_path: node.prefix };
  assert.deepEqual(await installNode(first, { backend: "cpu" }), {
    ...about,
    ...{ backend: "cpu", files_sent: 2, bytes_sent: sizes, files_kept: 0 },
  });
  assert.deepEqual(node.faults(), []);
  assert.deepEqual(namesIn(join(node.prefix, "versions")), [".rbee", manifest.version]);
  assert.ok(namesIn(join(node.prefix, "current")).includes(".llm-worker-rbee"), "the worker has unpacked itself");
  assert.match(first.told.said[0], /^📦 Sending v0\.1\.0 for linux-x64 to box \(\d+ MB\)$/);
  assert.match(first.told.said.at(-1)!, /^✅ Installation complete on box: /);
  assert.deepEqual(first.told.replaced, [1], "the hive is stopped when all is there, and not before");
  const last = first.told.progress.at(-1)!;
  assert.ok(last.stage === "sending" && last.bytes_sent === sizes && last.bytes_total === sizes, JSON.stringify(last));
  assert.ok(last.file === "llm-worker-rbee" && last.speed_mbps > 0);

  const second = siteOf(node);
  assert.deepEqual(await installNode(second, { backend: "cpu" }), {
    ...about,
    ...{ backend: "cpu", files_sent: 0, bytes_sent: 0, files_kept: 2 },
  });
  assert.deepEqual([second.told.progress, second.told.replaced], [[], []], "a hive that runs is left alone");
  assert.equal((second.shell as CommandShell).lines.length, 1);

  // One program is damaged: that one is sent again.
  Deno.writeTextFileSync(join(node.prefix, "current/rbee-hive"), "damaged");
  const third = await installNode(siteOf(node), { backend: "cpu" });
  assert.deepEqual([third.files_sent, third.files_kept], [1, 1]);
  assert.deepEqual(node.faults(), []);

  const { notes } = await uninstallNode(siteOf(node), { purge: false });
  assert.deepEqual(notes, []);
  assert.deepEqual(namesIn(node.home), []);
});

Deno.test("cut off anywhere, an installation can be done again and uses what came whole", async () => {
  using node = new NodeFolder();
  const { manifest } = await shippedFiles();
  const cut = new AbortController();
  const site = siteOf(node, { signal: cut.signal });
  const hive = manifest.files["rbee-hive"].size;
  const running = installNode({
    ...site,
    steps: {
      ...site.steps,
      progress: (event) =>
        event.stage === "sending" && event.bytes_sent > hive + 10_000_000 &&
        cut.abort(new RbeeError("REQUEST_CANCELED")),
    },
  }, { backend: "cpu" });
  await refusal(running, "REQUEST_CANCELED");
  assert.equal(node.current, undefined);
  const again = siteOf(node);
  const result = await installNode(again, { backend: "cpu" });
  assert.deepEqual([result.files_sent, result.files_kept], [1, 1]);
  assert.deepEqual(node.faults(), []);
  assert.deepEqual(namesIn(join(node.prefix, "versions")), [".rbee", manifest.version]);
});

/** A node that says something else of itself than this machine would. */
function pretending(node: NodeFolder, change: (text: string) => string): RemoteShell & { lines: string[] } {
  const { shell } = siteOf(node);
  return {
    lines: (shell as CommandShell).lines,
    run: async (command: string, options?: RemoteRunOptions) => {
      const result = await shell.run(command, options);
      return { ...result, stdout: change(result.stdout) };
    },
  };
}

Deno.test("what can't be installed is refused by one look, and the node is left alone", async () => {
  using node = new NodeFolder();
  const { manifest } = await shippedFiles();
  // This checkout may have made one of them.
  const notMade = ["vulkan", "cuda"].find((backend) => !(`llm-worker-rbee-${backend}` in manifest.files)) ?? "metal";
  const cases: [ErrorCode, (text: string) => string][] = [
    ["PLATFORM_NOT_AVAILABLE", (text) => text.replace("platform linux-x64", "platform macos-arm64")],
    ["PLATFORM_NOT_AVAILABLE", (text) => text.replace(/libc .*/, "libc musl")],
    ["EXECUTABLES_NOT_FOUND", (text) => text.replace(/gpu .*/, `gpu ${notMade}`)],
    ["INSUFFICIENT_DISK", (text) => text.replace(/disk_free_mb .*/, "disk_free_mb 10")],
    ["INSTALL_PATH_NOT_WRITABLE", (text) => text.replace("writable yes", "writable no because")],
    ["INSTALL_FAILED", () => "Welcome to Windows\n"],
  ];
  for (const [code, change] of cases) {
    const shell = pretending(node, change);
    await refusal(installNode(siteOf(node, { shell }), {}), code);
    assert.equal(shell.lines.length, 1, code);
    assert.deepEqual(namesIn(node.home), []);
  }
});

Deno.test("noise of a login's own files does no harm", async () => {
  using node = new NodeFolder();
  const env = { HOME: node.home, PATH: environment("PATH") ?? "/usr/bin:/bin" };
  const noisy = new CommandShell({
    words: ["sh", "-c", 'echo "Last login"; echo "rbee: hi" >&2; eval "$1"', "sh"],
    env,
  });
  const result = await installNode(siteOf(node, { shell: noisy }), { backend: "cpu" });
  assert.equal(result.files_sent, 2);
  assert.deepEqual(node.faults(), []);
});

Deno.test("a node with a repository builds there, unless it is told to ship", async () => {
  using node = new NodeFolder();
  const { repo, env } = await repository(node);
  const shell = new CommandShell({ words: ["sh", "-c"], env });
  const site = siteOf(node, { shell, row: { git_repo_url: repo } });
  const result = await installNode(site, {});
  assert.deepEqual([result.files_sent, result.version], [0, "0.1.0"]);
  assert.deepEqual(node.faults(), []);
  assert.deepEqual(site.told.said, [
    `📦 Cloning ${repo} on box`,
    "📦 Checking out main on box",
    "🔨 Building rbee-hive and llm-worker-rbee on box",
    "📦 Installing rbee-hive on box",
    "📦 Installing llm-worker-rbee on box",
    "✅ Installation complete on box: v0.1.0, cpu",
  ]);
  // A new commit there, and the checkout is brought up to it.
  await git(repo, env, "commit", "--quiet", "--allow-empty", "-m", "second");
  await installNode(siteOf(node, { shell, row: { git_repo_url: repo } }), {});
  assert.equal(await git(node.prefix, env, "log", "-1", "--format=%s"), "second");
  assert.equal(await git(node.prefix, env, "status", "--porcelain"), "", "what we put there is no change");
  await refusal(installNode(siteOf(node), { mode: "source" }), "INVALID_REQUEST");
});

Deno.test("a build that can't be says why, and how else", async () => {
  using node = new NodeFolder();
  const { repo, env } = await repository(node);
  const bare = join(node.root, "bare");
  Deno.mkdirSync(bare);
  const tools =
    "cat chmod cut dd df dirname env find git grep head id ldd ln ls mkdir mv od ps readlink rm rmdir sed sh " +
    "sha256sum sleep tail tee tr uname wc";
  for (const tool of tools.split(" ")) {
    const path = [`/usr/bin/${tool}`, `/bin/${tool}`].find((one) =>
      namesIn(one.replace(/\/[^/]*$/, "")).includes(tool)
    );
    if (path) Deno.symlinkSync(path, join(bare, tool));
  }
  const shell = new CommandShell({ words: ["/bin/sh", "-c"], env: { ...env, PATH: bare } });
  const missing = await refusal(
    installNode(siteOf(node, { shell, row: { git_repo_url: repo } }), {}),
    "TOOLCHAIN_MISSING",
  );
  assert.match(missing.message, /Deno 2\.7\.11 is missing/);
  assert.match(missing.hint, /--ship$/);
  Deno.removeSync(join(bare, "git"));
  const noGit = await refusal(
    installNode(siteOf(node, { shell, row: { git_repo_url: repo } }), {}),
    "TOOLCHAIN_MISSING",
  );
  assert.match(noGit.message, /git is missing/);
  assert.deepEqual(namesIn(node.home), [], "nothing was made");
  const whole = new CommandShell({ words: ["sh", "-c"], env });
  const wrong = { git_repo_url: `${repo}-gone` };
  const failed = await refusal(installNode(siteOf(node, { shell: whole, row: wrong }), {}), "INSTALL_FAILED");
  assert.match(failed.message, /Cannot clone .*-gone: /);
  const branch = { git_repo_url: repo, git_branch: "gone" };
  const noBranch = await refusal(installNode(siteOf(node, { shell: whole, row: branch }), {}), "INSTALL_FAILED");
  assert.match(noBranch.message, /Cannot checkout /);
});

/** A repository whose `deno task compile` makes programs of a few bytes: the node's part is what is tried here. */
async function repository(node: NodeFolder): Promise<{ repo: string; env: Record<string, string> }> {
  const repo = join(node.root, "repo");
  const build = node.build("0.1.0");
  Deno.mkdirSync(repo);
  Deno.writeTextFileSync(join(repo, ".gitignore"), "dist\n");
  const compile = `mkdir -p dist && cp -r made dist/linux-x64`;
  Deno.writeTextFileSync(join(repo, "deno.json"), JSON.stringify({ tasks: { compile } }));
  await new Deno.Command("cp", { args: ["-r", build, join(repo, "made")] }).output();
  const path = `${Deno.execPath().replace(/\/[^/]*$/, "")}:${environment("PATH")}`;
  const who = { GIT_AUTHOR_NAME: "t", GIT_AUTHOR_EMAIL: "t@t", GIT_COMMITTER_NAME: "t", GIT_COMMITTER_EMAIL: "t@t" };
  const env = { HOME: node.home, PATH: path, ...who };
  await git(repo, env, "init", "--quiet", "--initial-branch", "main");
  await git(repo, env, "add", "-A");
  await git(repo, env, "commit", "--quiet", "-m", "first");
  return { repo, env };
}

async function git(folder: string, env: Record<string, string>, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("git", { args: ["-C", folder, ...args], env }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

/** A file that goes when the test ends, however that is. */
async function temporaryFile(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempFile();
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}

Deno.test("a file that is sent waits for its reader, and is closed when that one leaves", async () => {
  await using file = await temporaryFile();
  const { path } = file;
  await Deno.writeFile(path, new Uint8Array(64 * 1024 * 1024));
  for (const isPacked of [true, false]) {
    let read = 0;
    const head = new TextEncoder().encode("head");
    const reader = sending({ head, path, isPacked, onBytes: (bytes) => read += bytes }).getReader();
    assert.deepEqual((await reader.read()).value, head);
    await reader.read();
    await new Promise((resolve) => setTimeout(resolve, 50));
    // Zeros are packed a thousandfold: what is held back is a few packed pieces.
    assert.ok(read < (isPacked ? 64 : 1) * 1024 * 1024, `${read} bytes were read ahead`);
    await reader.cancel(); // a file that stays open fails the test
  }
});

Deno.test("a file goes out packed over a slow link, and comes out as it was over any", async () => {
  await using file = await temporaryFile();
  const { path } = file;
  const size = 48 * 1024 * 1024;
  const words = new TextEncoder().encode("what is written here again and again packs well\n");
  await Deno.writeFile(path, Uint8Array.from({ length: size }, (_byte, at) => words[at % words.length]));
  for (const bytesPerMs of [10 * 1024, Infinity]) {
    const sent = sending({ head: new Uint8Array(), path, isPacked: true, onBytes: () => {} });
    const gzip = new Deno.Command("gzip", { args: ["-dc"], stdin: "piped", stdout: "piped" }).spawn();
    let bytes = 0;
    const link = new TransformStream<Uint8Array, Uint8Array>({
      async transform(piece, controller) {
        bytes += piece.length;
        if (Number.isFinite(bytesPerMs)) await new Promise((r) => setTimeout(r, piece.length / bytesPerMs));
        controller.enqueue(piece);
      },
    });
    const [{ stdout }] = await Promise.all([gzip.output(), sent.pipeThrough(link).pipeTo(gzip.stdin)]);
    assert.equal(sha256(stdout), sha256(await Deno.readFile(path)));
    assert.ok(bytesPerMs === Infinity || bytes < size / 2, `${bytes} bytes over a slow link`);
  }
});
