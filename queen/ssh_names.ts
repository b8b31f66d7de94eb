/**
 * What may become an argument of `ssh` or part of a remote command: names, users, hosts, ports, paths. Whatever a shell,
 * OpenSSH's own expansion (`%h`, `${HOME}`, `~`) or a flag could make something else of is refused, on either side.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { localNodeName } from "../protocol/node.ts";
import type { FieldError } from "../protocol/validation.ts";

/** The fields of a node that reach `ssh` or the node's shell. */
export interface SshNames {
  readonly node_name?: string;
  readonly ssh_host?: string;
  readonly ssh_user?: string;
  readonly ssh_port?: number;
  readonly ssh_key_path?: string | null;
  readonly git_repo_url?: string | null;
  readonly git_branch?: string | null;
  readonly install_path?: string;
}

const word = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;
const hostName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}$/;
const ipv6 = /^[0-9A-Fa-f:][0-9A-Fa-f:.]{1,44}(%[A-Za-z0-9_.-]{1,15})?$/;
const pathCharsMax = 1_024;
/** Control, format and lone surrogate characters, and what sh, ssh's config parser or its `%` and `$` expansion read. */
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}%$`"'\\;&|<>*?![\]{}()#]/u;

/** Whether a text can be a node's name; `local` is this machine's own. */
export function isNodeName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text) && text !== localNodeName;
}

/** Whether a text can be a user of the node. */
export function isSshUser(text: string): boolean {
  return word.test(text);
}

/** Whether a text can be a host: a name, an alias of the ssh configuration, an IPv4 or IPv6 address. */
export function isSshHost(text: string): boolean {
  return hostName.test(text) || (text.includes(":") && ipv6.test(text));
}

/** Whether a number can be the port of an sshd. */
export function isSshPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}

/** Whether a text can be a key's file here: an absolute path, `~` expanded by whoever sends it. */
export function isKeyPath(text: string): boolean {
  return text.startsWith("/") && isSafePath(text);
}

/** Whether a text can be the folder of rbee on the node: absolute, or below that user's home by `~`. */
export function isInstallPath(text: string): boolean {
  return /^(~$|~\/|\/[^/])/.test(text) && isSafePath(text) && !/~./.test(text.replace(/^~\//, ""));
}

function isSafePath(text: string): boolean {
  if (text.length > pathCharsMax || unsafe.test(text)) return false;
  return text.split("/").every((part) => part !== ".." && !part.startsWith("-"));
}

/**
 * Whether a text can be what `git clone` is given: an address with a scheme that only transports, or `user@host:path`.
 * Never with a password or token in it: the address is shown, and stands in command lines.
 */
export function isGitUrl(text: string): boolean {
  if (text.length > pathCharsMax || unsafe.test(text) || /\s/.test(text) || /\/(-|\.\.(\/|$))/.test(text)) return false;
  if (/^(https?|git):\/\/[^/]*@/.test(text) || /^ssh:\/\/[^/@]*:[^/]*@/.test(text)) return false;
  return /^(https?|ssh|git):\/\/[A-Za-z0-9_]/.test(text) ||
    /^[A-Za-z0-9_.]+@[A-Za-z0-9_][A-Za-z0-9_.-]*:[^:-]/.test(text);
}

/** Whether a text can be a branch or a tag. */
export function isGitBranch(text: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}$/.test(text) && !text.includes("..");
}

type Check = (names: SshNames) => boolean;
const absent = (value: unknown) => value === undefined || value === null;

const checks: readonly [keyof SshNames, Check, string][] = [
  ["node_name", (n) => isNodeName(n.node_name!), "must be a name of letters, digits, . _ - and not local"],
  ["ssh_host", (n) => isSshHost(n.ssh_host!), "must be a host name, an address or a Host of ~/.ssh/config"],
  ["ssh_user", (n) => isSshUser(n.ssh_user!), "must be a user name of letters, digits, . _ -"],
  ["ssh_port", (n) => isSshPort(n.ssh_port!), "must be from 1 to 65535"],
  [
    "ssh_key_path",
    (n) => isKeyPath(n.ssh_key_path!),
    "must be an absolute path without % $ quotes or control characters",
  ],
  [
    "git_repo_url",
    (n) => isGitUrl(n.git_repo_url!),
    "must be https://…, ssh://… or user@host:path, without a password or token in it",
  ],
  ["git_branch", (n) => isGitBranch(n.git_branch!), "must be the name of a branch or tag"],
  ["install_path", (n) => isInstallPath(n.install_path!), "must be absolute or begin with ~/, in plain characters"],
];

/** Returns nothing. Throws `INVALID_REQUEST` that names every field which cannot be used; absent ones are fine. */
export function checkNames(names: SshNames): void {
  const errors = checks.filter(([field, holds]) => !absent(names[field]) && !holds(names))
    .map(([field, , why]): FieldError => ({ field, constraint: "form", message: `${field}: ${why}` }));
  if (errors.length === 0) return;
  const named = errors.map((e) => e.field).join(", ");
  throw new RbeeError("INVALID_REQUEST", {
    message: `Cannot use this node: ${errors.length === 1 ? errors[0].message : `check ${named}`}`,
    details: { errors },
  });
}
