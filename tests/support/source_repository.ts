/**
 * What a machine needs to build rbee from a repository on this machine, without a network: the repository, the way to
 * it, and the tools.
 *
 * @module
 */
import { userInfo } from "node:os";
import { denoFolder, findBase } from "../../build/denort.ts";
import { environment } from "../../runtime/environment.ts";
import { fromFileUrl, join } from "../../runtime/path.ts";
import { NodeFolder } from "../../queen/testdata/node_folder.ts";
import { VERSION } from "../../runtime/version.ts";
import type { HostOptions } from "./cluster_folder.ts";
import type { ClusterHost } from "./cluster_host.ts";
import { type Sshd, type SshHome, startSshd } from "./sshd.ts";

const checkout = fromFileUrl(new URL("../../", import.meta.url));

/** Returns whether this machine has npm. */
export function canRunNpm(): boolean {
  return npmFolders().length > 0;
}

const npmFolders = () => (environment("PATH") ?? "").split(":").filter((folder) => isFile(join(folder, "npm")));

/** Makes a bare repository, whose branch `main` holds the files of a folder (of this checkout, as it lies here). */
export async function makeRepository(path: string, files: string = checkout): Promise<void> {
  const who = { GIT_AUTHOR_NAME: "t", GIT_AUTHOR_EMAIL: "t@t", GIT_COMMITTER_NAME: "t", GIT_COMMITTER_EMAIL: "t@t" };
  const env = { ...who, GIT_DIR: path, GIT_WORK_TREE: files };
  await git(["init", "--quiet", "--bare", "--initial-branch", "main", path], { cwd: files });
  await git(["add", "--all"], { cwd: files, env });
  const tree = await git(["write-tree"], { cwd: files, env });
  const commit = await git(["commit-tree", "-m", "All of it", tree], { cwd: files, env });
  await git(["update-ref", "refs/heads/main", commit], { cwd: files, env });
}

/** Puts the programs of a few bytes where a build has them. */
const smallBuild = "mkdir -p dist && cp -r made dist/linux-x64";

/** Makes a bare repository whose `deno task compile` makes programs of a few bytes: where git works is tried with it. */
export async function makeSmallRepository(path: string, compile: string = smallBuild): Promise<void> {
  using folder = new NodeFolder();
  const files = join(folder.root, "files");
  Deno.mkdirSync(files);
  Deno.renameSync(folder.build(VERSION), join(files, "made"));
  Deno.writeTextFileSync(join(files, ".gitignore"), "dist\n");
  Deno.writeTextFileSync(join(files, "deno.json"), JSON.stringify({ tasks: { compile } }));
  await makeRepository(path, files);
}

async function git(args: string[], options: { cwd: string; env?: Record<string, string> }): Promise<string> {
  return await output("git", args, options);
}

async function output(
  exe: string,
  args: string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(exe, { args, ...options }).output();
  if (!success) throw new Error(`Cannot run ${exe} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trim();
}

/**
 * Returns what a machine has to have in its home to build: the Deno that runs this, npm's cache and the base file of
 * `deno compile`. npm asks nobody for what lies in its cache.
 */
export async function buildTools(): Promise<Pick<HostOptions, "home" | "env">> {
  const { path } = await findBase();
  const cache = await output("npm", ["config", "get", "cache"]);
  const tools = { ".deno/bin/deno": Deno.execPath(), ".npm/_cacache": join(cache, "_cacache") };
  const npm = { npm_config_offline: "true", PATH: pathWithNode() };
  const { homedir } = userInfo(); // of the user database, as sshd has it
  if (path !== null) return { home: { ...tools, denort: path }, env: { ...npm, DENORT_BIN: join(homedir, "denort") } };
  return { home: { ...tools, ".cache/deno/dl": join(denoFolder(), "dl") }, env: npm };
}

/** The folders of a machine's own tools, and where node lies when it is elsewhere. */
function pathWithNode(): string {
  const system = ["/usr/local/bin", "/usr/bin", "/bin"];
  return [...new Set([...system, ...npmFolders().slice(0, 1)])].join(":");
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Lets machines log in to this one over their cables, with the person's own key; git needs nothing more. */
export class SourceServer implements AsyncDisposable {
  readonly #sshd: Sshd;
  readonly #address: string;

  private constructor(sshd: Sshd, address: string) {
    this.#sshd = sshd;
    this.#address = address;
  }

  /** Starts an sshd for one machine, which has the key and knows ours then. */
  static async start(
    { home, controlAddress: address }: ClusterHost,
    { ssh, folder, port }: { ssh: SshHome; folder: string; port: number },
  ): Promise<SourceServer> {
    const sshd = await startSshd({ folder, port, authorizedKeys: join(ssh.folder, "id_ed25519.pub"), address });
    Deno.mkdirSync(join(home, ".ssh"), { mode: 0o700 });
    Deno.copyFileSync(join(ssh.folder, "id_ed25519"), join(home, ".ssh/id_ed25519"));
    Deno.writeTextFileSync(join(home, ".ssh/known_hosts"), `[${address}]:${port} ${sshd.hostKey}\n`);
    return new SourceServer(sshd, address);
  }

  /** Returns how that machine names a repository here. */
  address(path: string): string {
    return `ssh://${userInfo().username}@${this.#address}:${this.#sshd.port}${path}`;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sshd[Symbol.asyncDispose]();
  }
}

/** Returns the folder of this machine's programs that a machine without some of them has instead: links to all others. */
export function linkTools(folder: string, without: readonly string[]): void {
  Deno.mkdirSync(folder, { recursive: true });
  for (const { name } of Deno.readDirSync("/usr/bin")) {
    if (!without.includes(name)) Deno.symlinkSync(join("/usr/bin", name), join(folder, name));
  }
}
