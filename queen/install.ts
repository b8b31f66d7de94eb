/**
 * rbee comes onto a node, and off it again: look, plan, send what is missing, switch. Each step is one command there,
 * and each can be cut off anywhere and done again.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { InstallBackend, InstallResult, InstallWish, UninstallResult } from "../protocol/install.ts";
import { limits } from "../protocol/limits.ts";
import type { Beehive } from "../protocol/node.ts";
import { join } from "../runtime/path.ts";
import { shippedFiles } from "../runtime/shipped.ts";
import { VERSION } from "../runtime/version.ts";
import { installLines, type NodeFacts, readFacts, scriptError } from "./install_facts.ts";
import { type InstallPlan, planInstall } from "./install_plan.ts";
import { installScript, openInput, scriptCommand, scriptThenFileCommand } from "./install_script.ts";
import { sending, SendProgress } from "./install_sending.ts";
import type { RemoteShell } from "./remote_shell.ts";
import type { Steps } from "./step_stream.ts";

/** What an installation works with. */
export interface InstallSite {
  readonly node: Beehive;
  readonly shell: RemoteShell;
  readonly steps: Steps;
  /** Called before programs that may be running are replaced: stops that node's hive. */
  readonly beforeReplace: () => Promise<void>;
  /** Where a node that builds has its checkout; absent: the install path. */
  readonly gitRepoDir?: string;
}

type Wish = Omit<InstallWish, "node_name">;

const action = "node-install";

/** Installs on a node. Returns what came of it. Throws every code of `planInstall` and `scriptError`, and the shell's. */
export async function installNode(site: InstallSite, wish: Wish): Promise<InstallResult> {
  const { node } = site;
  const mode = wish.mode ?? (node.git_repo_url === null ? "ship" : "source");
  const facts = await inspect(site);
  const result = mode === "ship" ? await ship(site, facts, wish) : await buildThere(site, facts, wish);
  site.steps.narrate(action, `✅ Installation complete on ${node.node_name}: v${result.version}, ${result.backend}`);
  return result;
}

/** Takes rbee off a node whose hive was stopped. Returns what stayed there. Throws `HIVE_RUNNING` and the shell's codes. */
export async function uninstallNode(site: InstallSite, { purge }: { purge: boolean }): Promise<UninstallResult> {
  const { node, steps } = site;
  steps.narrate("node-uninstall", `🧹 Removing rbee from ${node.node_name}`);
  await site.beforeReplace();
  const args = ["--action", "uninstall", ...place(node), ...(purge ? ["--purge"] : [])];
  const text = await run(site, args, { timeoutMs: limits.installFinishMs });
  const notes = notesOf(text);
  for (const note of notes) steps.narrate("node-uninstall", note);
  steps.narrate("node-uninstall", `✅ rbee is removed from ${node.node_name}`);
  return { node_name: node.node_name, install_path: node.install_path, notes };
}

const place = (node: Beehive) => ["--prefix", node.install_path];
const notesOf = (text: string) => installLines(text).flatMap(([key, rest]) => key === "note" ? [rest] : []);

async function inspect(site: InstallSite): Promise<NodeFacts> {
  const args = ["--action", "inspect", ...place(site.node), "--version", VERSION];
  return readFacts(await run(site, args, { timeoutMs: limits.installLookMs }));
}

interface RunOptions {
  readonly timeoutMs: number;
  readonly onStdout?: (text: string) => void;
}

/** Runs the script there and returns what it said. What it does there ends when we no longer wait for it. */
async function run(site: InstallSite, args: readonly string[], options: RunOptions): Promise<string> {
  const { signal } = site.steps;
  const input = openInput(await installScript());
  try {
    signal.throwIfAborted();
    const command = scriptCommand([...args, "--attended"]);
    const result = await site.shell.run(command, { input: input.stream, signal, ...options });
    signal.throwIfAborted();
    if (result.code !== 0) throw scriptError(site.node.node_name, result);
    return result.stdout;
  } finally {
    input.close();
  }
}

async function ship(site: InstallSite, facts: NodeFacts, wish: Wish): Promise<InstallResult> {
  const { node_name } = site.node;
  const { folder, manifest } = await shippedFiles();
  const plan = planInstall(facts, manifest, { node: node_name, backend: wish.backend, version: VERSION });
  const { steps } = site;
  const total = plan.send.reduce((sum, { size }) => sum + size, 0);
  if (plan.send.length > 0) {
    steps.narrate(action, `📦 Sending v${plan.version} for ${facts.platform} to ${node_name} (${megabytes(total)})`);
    await sendAll(site, facts, { folder, plan, total });
  } else steps.narrate(action, `📦 ${node_name} has the executables of v${plan.version} already`);
  if (!plan.isDone || wish.service !== undefined) {
    await site.beforeReplace();
    const files = plan.files.flatMap(({ name, sha256 }) => ["--file", `${name}:${sha256}`]);
    const args = [
      "--action",
      "finish",
      ...place(site.node),
      "--version",
      plan.version,
      ...files,
      ...service(site, wish),
    ];
    tellNotes(steps, await run(site, args, { timeoutMs: limits.installFinishMs }));
  }
  return {
    ...about(site, facts, plan.backend),
    version: plan.version,
    files_sent: plan.send.length,
    bytes_sent: total,
    files_kept: plan.files.length - plan.send.length,
  };
}

const megabytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(0)} MB`;

const about = ({ node }: InstallSite, facts: NodeFacts, backend: InstallBackend) => ({
  node_name: node.node_name,
  platform: facts.platform,
  backend,
  install_path: facts.prefix,
});

function tellNotes(steps: Steps, text: string): void {
  for (const note of notesOf(text)) steps.narrate(action, note);
}

/** A service's hive has to be found where the registry says. */
function service({ node }: InstallSite, wish: Wish): string[] {
  if (wish.service === undefined) return [];
  if (!wish.service) return ["--no-service"];
  const settings: [string, number | null][] = [
    ["RBEE_HIVE_PORT", node.hive_port],
    ["RBEE_WORKERS_PORT_START", node.worker_port_start],
    ["RBEE_WORKERS_PORT_END", node.worker_port_end],
  ];
  return ["--service", ...settings.flatMap(([key, v]) => v === null ? [] : ["--hive-env", `${key}=${v}`])];
}

async function sendAll(
  site: InstallSite,
  facts: NodeFacts,
  { folder, plan, total }: { folder: string; plan: InstallPlan; total: number },
): Promise<void> {
  const head = new TextEncoder().encode(await installScript());
  const progress = new SendProgress(total, (event) => site.steps.progress(event));
  const isPacked = facts.tools.includes("gzip");
  const { signal } = site.steps;
  for (const { name, sha256, size } of plan.send) {
    const what = ["--name", name, "--sha256", sha256, "--size", String(size), ...(isPacked ? ["--gzip"] : [])];
    const command = scriptThenFileCommand(head.length, ["--action", "receive", ...place(site.node), ...what]);
    const path = join(folder, name);
    await checkFile(path, size);
    signal.throwIfAborted();
    const input = sending({ head, path, isPacked, onBytes: (bytes) => progress.add(name, bytes) });
    const result = await site.shell.run(command, { input, signal, timeoutMs: limits.installSendMs });
    signal.throwIfAborted();
    if (result.code !== 0) throw scriptError(site.node.node_name, result);
  }
}

/** Before anything is sent: a file of another size is not the manifest's. */
async function checkFile(path: string, size: number): Promise<void> {
  const found = await Deno.stat(path).catch(() => undefined);
  if (found?.isFile && found.size === size) return;
  throw new RbeeError("EXECUTABLES_NOT_FOUND", {
    message: `Cannot ship ${path}: it is ${found ? "not what the manifest says" : "not there"}`,
    details: { path },
  });
}

async function buildThere(site: InstallSite, facts: NodeFacts, wish: Wish): Promise<InstallResult> {
  const { node, steps } = site;
  const { git_repo_url: repo, node_name: name } = node;
  if (repo === null) {
    throw new RbeeError("INVALID_REQUEST", {
      message: `Cannot build on ${name}: no repository is known for it`,
      details: { node: name },
      hint: `Name it: rbee setup update-node --name ${name} --git-repo ADDRESS; or send the executables: ` +
        `rbee setup install --node ${name} --ship`,
    });
  }
  await site.beforeReplace();
  const args = [
    ...["--action", "source", ...place(node), "--repo", repo, "--branch", node.git_branch ?? "main"],
    ...(site.gitRepoDir === undefined ? [] : ["--dir", site.gitRepoDir]),
    ...(wish.backend === undefined ? [] : ["--backend", wish.backend]),
    ...service(site, wish),
  ];
  const text = await run(site, args, { timeoutMs: limits.installBuildMs, onStdout: narrateSteps(site) });
  tellNotes(steps, text);
  const version = installLines(text).findLast(([key]) => key === "done")?.[1] ?? "";
  if (version !== VERSION) steps.narrate(action, `⚠️ ${name} has v${version} now, this queen is v${VERSION}`);
  const backend = wish.backend ?? (facts.gpu === "none" ? "cpu" : facts.gpu);
  return { ...about(site, facts, backend), version, files_sent: 0, bytes_sent: 0, files_kept: 0 };
}

/** Returns what tells a person the script's steps as they begin. */
function narrateSteps({ node, steps }: InstallSite): (text: string) => void {
  const name = node.node_name;
  const words: Record<string, (rest: string) => string> = {
    clone: (rest) => `📦 Cloning ${rest} on ${name}`,
    checkout: (rest) => `📦 Checking out ${rest} on ${name}`,
    build: (rest) => `🔨 Building ${rest.split(" ").join(" and ")} on ${name}`,
    copy: (rest) => `📦 Installing ${rest} on ${name}`,
  };
  let unfinished = "";
  return (text) => {
    const lines = (unfinished + text).split("\n");
    unfinished = lines.pop()!.slice(-limits.logLineBytesMax);
    for (const [key, rest] of installLines(lines.join("\n"))) {
      const space = rest.indexOf(" ");
      const [step, about] = space < 0 ? [rest, ""] : [rest.slice(0, space), rest.slice(space + 1)];
      if (key === "step" && Object.hasOwn(words, step)) steps.narrate(action, words[step](about));
    }
  };
}
