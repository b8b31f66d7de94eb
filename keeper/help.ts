/**
 * `rbee help setup add-node`: what is asked for, however deep it lies. commander's own `help` reads one name only.
 *
 * @module
 */
import type { Command } from "commander";

/** Returns the command that a command line means, as far as it can be followed, and the words after it. */
export function follow(root: Command, args: readonly string[]): { command: Command; path: string; rest: string[] } {
  let command = root;
  let at = 0;
  for (; at < args.length; at++) {
    const next = command.commands.find((c) => c.name() === args[at]);
    if (!next) break;
    command = next;
  }
  return { command, path: [root.name(), ...args.slice(0, at)].join(" "), rest: args.slice(at) };
}

/**
 * Returns a command line without its `help`: the same command with `--help`, or with the name that no command has, for
 * commander to refuse. One that asks for no help comes back as it is.
 */
export function withoutHelp(root: Command, args: readonly string[]): string[] {
  const group = follow(root, args);
  if (group.rest[0] !== "help" || group.command.commands.length === 0) return [...args];
  const names = group.rest.slice(1).filter((word) => !word.startsWith("-"));
  const { command, rest } = follow(group.command, names);
  const path = args.slice(0, args.length - group.rest.length);
  if (rest.length > 0 && command.commands.length > 0) return [...path, ...names];
  return [...path, ...names.slice(0, names.length - rest.length), "--help"];
}
