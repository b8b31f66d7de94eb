/**
 * Completion in bash, zsh and fish: a script that asks `rbee __complete` at each key press, and its answers.
 *
 * @module
 */
import type { Argument, Command, Option } from "commander";
import { limits } from "../protocol/limits.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import { call } from "../runtime/call.ts";
import { exitCodes, type Keeper } from "./keeper.ts";

/** The names under which this program is installed. */
const names = ["rbee", "rbee-keeper"];

const scripts: Readonly<Record<string, (name: string) => string>> = {
  bash: (name) =>
    `_${
      id(name)
    }() { local IFS=$'\\n'; COMPREPLY=($(${name} __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1)); }\n` +
    `complete -o default -F _${id(name)} ${name}\n`,
  zsh: (name) =>
    `_${
      id(name)
    }() { local -a c; c=("\${(@f)$(${name} __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null | sed 's/:/\\\\:/g; s/\\t/:/')}"); _describe '${name}' c || _files }\n` +
    `compdef _${id(name)} ${name}\n`,
  fish: (name) => `complete -c ${name} -f -a '(${name} __complete -- (commandline -opc)[2..-1] (commandline -ct))'\n`,
};

const id = (name: string) => name.replaceAll("-", "_");

/** Returns the script of a shell. */
export function completionScript(shell: string): string {
  const script = names.map((name) => scripts[shell](name)).join("");
  if (shell !== "zsh") return script;
  // From a folder of fpath the file is run at the first key press, as the function that it defines: it has to answer.
  const first = `if [ "$funcstack[1]" = "_${id(names[0])}" ]; then _${id(names[0])} "$@"; fi\n`;
  return `#compdef ${names.join(" ")}\n${script}${first}`;
}

/** Carries out `rbee completion`. Returns 0. */
export async function completion(keeper: Keeper, shell: string): Promise<number> {
  await keeper.render.text(completionScript(shell));
  return exitCodes.success;
}

/** Gives the values of a flag (`--model`) or an argument (`id`) of a command (`workers shutdown`). */
export type Values = (path: string, name: string) => Promise<string[]>;

/** A completion and what it means. */
export type Candidate = [value: string, description: string];

/** Carries out `rbee __complete -- words…`: one candidate a line. Returns 0, whatever happens: a key press is no place for errors. */
export async function completeWords(
  keeper: Keeper,
  { root, words }: { root: Command; words: readonly string[] },
): Promise<number> {
  const found = await complete(root, words, (path, name) => valuesOf(keeper, path, name));
  await keeper.render.text(found.map(([value, description]) => `${value}\t${description}\n`).join(""));
  return exitCodes.success;
}

/** Returns what can stand in place of the last word. */
export async function complete(root: Command, words: readonly string[], values: Values): Promise<Candidate[]> {
  const current = words.at(-1) ?? "";
  const { command, path, pending, arguments: count } = follow(root, words.slice(0, -1));
  const choices = async (of: Option | Argument, name: string): Promise<Candidate[]> =>
    (of.argChoices ?? await values(path, name)).map((value) => [value, ""]);
  const found: Candidate[] = [];
  if (pending) found.push(...await choices(pending, pending.long ?? ""));
  else if (current.startsWith("-")) found.push(...flagsOf(command));
  else {
    for (const sub of command.commands) if (!isHidden(sub)) found.push([sub.name(), sub.description()]);
    const argument = command.registeredArguments[count];
    if (argument) found.push(...await choices(argument, argument.name()));
  }
  return found.filter(([value]) => value.startsWith(current));
}

interface Followed {
  readonly command: Command;
  readonly path: string;
  /** A flag whose value comes next. */
  readonly pending?: Option;
  /** How many arguments the command has had. */
  readonly arguments: number;
}

function follow(root: Command, words: readonly string[]): Followed {
  let command = root;
  const path: string[] = [];
  let pending: Option | undefined;
  let count = 0;
  for (const word of words) {
    if (pending) {
      pending = undefined;
      continue;
    }
    if (word.startsWith("-")) {
      const option = command.options.find((o) => o.short === word || o.long === word);
      if (option?.required || option?.optional) pending = option;
      continue;
    }
    const sub = command.commands.find((c) => c.name() === word || c.aliases().includes(word));
    if (sub) {
      command = sub;
      path.push(word);
      count = 0;
    } else count++;
  }
  return { command, path: path.join(" "), pending, arguments: count };
}

function flagsOf(command: Command): Candidate[] {
  const found: Candidate[] = [];
  for (let at: Command | null = command; at; at = at.parent) {
    for (const option of at.options) if (!option.hidden) found.push([option.long ?? option.short!, option.description]);
  }
  return [...found, ["--help", "show this help"]];
}

/** commander keeps this to itself; its own help asks the same. */
const isHidden = (command: Command) => (command as unknown as { _hidden?: boolean })._hidden === true;

async function valuesOf(keeper: Keeper, path: string, name: string): Promise<string[]> {
  try {
    if (name === "--model" || (name === "model" && path.startsWith("models "))) {
      return await modelsFor(keeper, path);
    }
    const isWorker = name === "--worker" || name === "--id" || (name === "id" && path.startsWith("workers"));
    const isNode = name === "--node" || (name === "--name" && /^(setup|config) (?!add-node|set-ssh)/.test(path));
    if (!isNode && !isWorker) return [];
    const { findQueen } = await import("./queen_probe.ts");
    const queen = await findQueen(keeper);
    if (!queen) return name === "--node" ? ["local"] : [];
    if (name === "--name") {
      const { nodes } = await call(queen.peer, queenRoutes.listBeehives, { deadlineMs: limits.completionMs });
      return nodes.map((node) => node.node_name);
    }
    if (name === "--node") {
      return (await call(queen.peer, queenRoutes.nodes, { deadlineMs: limits.completionMs })).nodes.map((node) =>
        node.node_name
      );
    }
    return (await call(queen.peer, queenRoutes.listWorkers, { deadlineMs: limits.completionMs })).workers.map((w) =>
      w.worker_id
    );
  } catch {
    return []; // nobody to ask
  }
}

/** Aliases, and what is on disks: of that `rm` and its like take nothing else, and nobody needs to pull it. */
async function modelsFor(keeper: Keeper, path: string): Promise<string[]> {
  const { builtinAliases } = await import("../protocol/model.ts");
  const { config } = await keeper.config();
  const aliases = ["builtin:tiny", ...Object.keys({ ...builtinAliases, ...config.models.aliases })];
  if (path === "models pull") return aliases;
  const { findQueen } = await import("./queen_probe.ts");
  const queen = await findQueen(keeper);
  const { models } = queen
    ? await call(queen.peer, queenRoutes.models, { deadlineMs: limits.completionMs }).catch(() => ({ models: [] }))
    : { models: [] };
  const ids = path.startsWith("models ") ? models.map((one) => one.id) : [];
  return [...new Set([...aliases, ...ids, ...models.map((one) => one.ref)])];
}
