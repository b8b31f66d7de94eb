/**
 * What a person is told after `rbee install`.
 *
 * @module
 */
import { isFile } from "../runtime/files.ts";
import { environment } from "../runtime/environment.ts";
import { dirname, join } from "../runtime/path.ts";
import type { Completion } from "./install_completions.ts";
import { shellWord } from "./install_errors.ts";
import type { Places } from "./install_places.ts";
import type { Placed } from "./install_programs.ts";
import type { RunningQueen } from "./install_queens.ts";
import type { Service } from "./service.ts";

/** What an installation did. */
export interface Installed {
  readonly version: string;
  readonly places: Places;
  readonly files: readonly Placed[];
  readonly configCreated: boolean;
  readonly completions: readonly Completion[];
  readonly service?: Service;
  /** A queen that was running before. */
  readonly queen?: RunningQueen;
}

/** Returns the lines: what was made, what needs a hand, and what to type next. */
export function installLines(done: Installed): string[] {
  return [
    headline(done),
    ...programLines(done),
    ...configLines(done),
    `  models: ${done.places.models}`,
    ...completionLines(done),
    ...(done.service ? serviceLines(done.service, done.places) : []),
    ...queenLines(done),
    ...pathLines(done.places.bin),
    "",
    "Next:",
    '  rbee infer --prompt "write a short story"',
    "  rbee up        # a queen that stays",
    "  rbee help",
  ];
}

function headline({ version, places, files }: Installed): string {
  const isCurrent = files.every(({ state }) => state === "kept");
  return isCurrent
    ? `✓ rbee ${version} in ${places.bin} is up to date`
    : `✓ rbee ${version} is installed in ${places.bin}`;
}

function programLines({ files }: Installed): string[] {
  const words = { new: "new", replaced: "replaced", removed: "removed", kept: "up to date" };
  return files.map(({ name, state }) => `  ${name}${name === "rbee" ? " → rbee-keeper" : ""}: ${words[state]}`);
}

function configLines({ places, configCreated }: Installed): string[] {
  if (configCreated) return [`  configuration: ${places.configFile}, every key in it as a comment`];
  const line = `  configuration: ${places.configFile} was there already: left as it is`;
  return places.system
    ? [line, `    models that all share need this there: [models] dir = "${places.models}"`]
    : [line];
}

function completionLines({ completions, places }: Installed): string[] {
  const lines = completions.map(({ shell, file, state }) =>
    `  completion for ${shell}: ${file}${state === "foreign" ? " is somebody else's: left as it is" : ""}`
  );
  const usesZsh = environment("SHELL")?.endsWith("/zsh") ?? false;
  if (usesZsh && !places.system) {
    const folder = shellWord(dirname(places.completions.zsh));
    lines.push(`    zsh finds it with this line in ~/.zshrc, before compinit: fpath=(${folder} $fpath)`);
  }
  return lines;
}

function serviceLines({ file, state, enabled, started, lines }: Service, { system }: Places): string[] {
  const found = [`  service: ${file}${state === "kept" ? " (up to date)" : ""}`];
  if (enabled) found.push(started ? "    enabled, and the queen is up" : "    enabled");
  if (lines.length > 0) {
    found.push(
      "    the service manager was not told; where it answers, type:",
      ...lines.map((line) => `      ${line}`),
    );
  }
  if (!system && Deno.build.os === "linux") {
    found.push("    it runs while you are logged in; always: loginctl enable-linger");
  }
  return found;
}

function queenLines({ queen, files, service, places }: Installed): string[] {
  if (!queen) return [];
  const who = `The queen that runs already (pid ${queen.pid}${queen.version ? `, v${queen.version}` : ""})`;
  const isNew = files.some(({ state }) => state !== "kept");
  const start = Deno.build.os === "darwin" ? "" : ` && systemctl ${places.system ? "" : "--user "}start rbee-queen`;
  if (service?.busy) return [`⚠️ ${who} is not the service's; end her and start that one: rbee down${start}`];
  return isNew ? [`⚠️ ${who} goes on with the programs she was started from; end her: rbee down`] : [];
}

/** Returns what to do when a shell would not find the program, or would find another one. */
function pathLines(bin: string): string[] {
  const folders = (environment("PATH") ?? "").split(":").filter((folder) => folder !== "");
  const first = folders.find((folder) => isFile(join(folder, "rbee")));
  const place = folders.includes(bin) ? first ?? bin : undefined;
  if (place === undefined) return ["", `${bin} is not in your PATH. This line puts it there:`, `  ${pathLine(bin)}`];
  if (place === bin || real(join(place, "rbee")) === real(join(bin, "rbee"))) return [];
  return ["", `⚠️ \`rbee\` means ${join(place, "rbee")} in this shell: ${place} comes before ${bin} in PATH`];
}

function pathLine(bin: string): string {
  const shell = environment("SHELL")?.split("/").at(-1);
  if (shell === "fish") return `fish_add_path ${shellWord(bin)}`;
  const file = shell === "zsh" ? "~/.zshrc" : shell === "bash" ? "~/.bashrc" : "~/.profile";
  return `echo ${shellWord(`export PATH=${shellWord(bin)}:"$PATH"`)} >> ${file} && . ${file}`;
}

function real(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    return path;
  }
}
