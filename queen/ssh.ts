/**
 * The system's OpenSSH client. The user's configuration, agent and known_hosts apply; nothing is ever asked, no host
 * key is ever accepted, and no shell stands between us and `ssh`.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import { runOnce } from "../runtime/process.ts";
import {
  classify,
  defaultSshPort,
  keyMissing,
  keyTooOpen,
  sshError,
  sshMissing,
  type SshTarget,
} from "./ssh_failure.ts";

/** What the test prints there: a text that must come back, and the home that `~` means on that machine. */
const testCommand = `echo 'connection test'; echo "rbee-home=$HOME"`;

/** What every call of `ssh` is told. The names in `target` were checked (`ssh_names.ts`). */
function commonOptions(connectMs: number): Record<string, string | number> {
  return {
    BatchMode: "yes",
    ConnectTimeout: Math.max(1, Math.ceil(connectMs / 1_000)),
    ServerAliveInterval: limits.sshKeepAliveMs / 1_000,
    ServerAliveCountMax: limits.sshKeepAlivesLostMax,
    ForwardAgent: "no",
    ForwardX11: "no",
    RemoteCommand: "none",
    LogLevel: "INFO",
  };
}

const flags = (options: Record<string, string | number>) =>
  Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);

/** Port 22 is left out: then a `Port` of the user's configuration applies. */
function destination(target: SshTarget): string[] {
  return [
    "-T",
    ...(target.port === defaultSshPort ? [] : ["-p", String(target.port)]),
    ...(target.keyPath === undefined ? [] : ["-i", target.keyPath]),
    "--",
    `${target.user}@${target.host}`,
  ];
}

/**
 * Returns the arguments of `ssh` for one command over a connection of its own. A shared connection of the user is not
 * used: a test through it would pass with a key that is rejected, and a new one would outlive us.
 */
export function sshArguments(target: SshTarget, command: string): string[] {
  const own = { ClearAllForwardings: "yes", ControlMaster: "no", ControlPath: "none" };
  return [...flags({ ...commonOptions(limits.sshConnectTimeoutMs), ...own }), ...destination(target), command];
}

/** A path as ssh's own expansion of `%` leaves it. */
const controlPath = (socket: string) => socket.replaceAll("%", "%%");

/**
 * Returns the arguments of the one connection that everything to a node shares (processes.md P6). Forwarded sockets are
 * made for this user alone (mask), over one that a killed connection left.
 */
export function masterArguments(target: SshTarget, socket: string, connectMs: number): string[] {
  const own = {
    ControlMaster: "yes",
    ControlPath: controlPath(socket),
    ControlPersist: "no",
    ClearAllForwardings: "yes",
    StreamLocalBindUnlink: "yes",
    StreamLocalBindMask: "0177",
  };
  // Its stdin ends with us, and `cat` with it: so does the connection, however we end.
  const command = `echo ${masterReady}; exec cat`;
  return [...flags({ ...commonOptions(connectMs), ...own }), ...destination(target), command];
}

/** What the shared connection prints when it stands. */
export const masterReady = "rbee-up";

/**
 * Returns the arguments for one command, or one control request (`-O`), over a shared connection. When that is gone
 * `ssh` would silently make one of its own: the proxy command that fails keeps it from it.
 */
export function sharedArguments(
  target: SshTarget,
  socket: string,
  what: { control?: string[]; command?: string },
): string[] {
  const own = { BatchMode: "yes", RemoteCommand: "none", ProxyCommand: "false" };
  const shared = { ControlMaster: "no", ControlPath: controlPath(socket), ForwardAgent: "no", LogLevel: "INFO" };
  const command = what.command === undefined ? [] : [what.command];
  return [...flags({ ...own, ...shared }), ...(what.control ?? []), ...destination(target), ...command];
}

/** Returns what the test's stdout tells: the home there. Undefined when it is no POSIX shell's; rc files may add lines. */
export function readTest(stdout: string): { home: string } | undefined {
  const lines = stdout.split(/\r?\n/);
  const at = lines.indexOf("connection test");
  const home = lines.slice(at + 1).find((line) => line.startsWith("rbee-home=/"))?.slice("rbee-home=".length);
  return at >= 0 && home !== undefined ? { home } : undefined;
}

/**
 * Logs in once, and returns the home of that user there. Throws `SSH_CONNECTION_FAILED`, `SSH_AUTH_FAILED`,
 * `SSH_KEY_NOT_FOUND`, `SSH_HOST_KEY_UNKNOWN`, `SSH_HOST_KEY_CHANGED`, `SSH_SHELL_UNUSABLE` or `SSH_NOT_INSTALLED`.
 */
export async function testConnection(target: SshTarget, signal?: AbortSignal): Promise<{ home: string }> {
  const key = await checkKey(target);
  const output = await runOnce("ssh", sshArguments(target, testCommand), { timeoutMs: limits.sshTestMs, signal });
  signal?.throwIfAborted();
  if (!output) throw sshError(target, sshMissing());
  const read = output.code === 0 ? readTest(output.stdout) : undefined;
  if (read) return read;
  throw sshError(target, classify(target, { ...output, keyIsEncrypted: key === "encrypted" }));
}

/** Returns whether the key of a target is locked by a passphrase. Throws `SSH_KEY_NOT_FOUND`, `SSH_AUTH_FAILED`. */
export async function checkKey(target: SshTarget): Promise<"encrypted" | "fine"> {
  const key = target.keyPath === undefined ? "fine" : await lookAtKey(target.keyPath);
  if (key === "missing") throw sshError(target, keyMissing(target));
  if (key === "open") throw sshError(target, keyTooOpen(target));
  return key;
}

/** Returns the state of a key's file, as far as ssh's own answer would not tell it. */
async function lookAtKey(path: string): Promise<"missing" | "open" | "encrypted" | "fine"> {
  try {
    const { isFile, mode } = await Deno.stat(path);
    if (!isFile) return "missing";
    if (mode !== null && (mode & 0o077) !== 0) return "open";
    return isEncryptedKey(await Deno.readTextFile(path)) ? "encrypted" : "fine";
  } catch (error) {
    return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ? "missing" : "fine";
  }
}

/** Returns whether a private key's file is locked by a passphrase: PEM says so, OpenSSH's own form names the cipher. */
export function isEncryptedKey(text: string): boolean {
  if (/^Proc-Type: 4,ENCRYPTED|BEGIN ENCRYPTED PRIVATE KEY/m.test(text)) return true;
  const body = text.match(/BEGIN OPENSSH PRIVATE KEY-+\s+([A-Za-z0-9+/=]+)/)?.[1];
  if (body === undefined) return false;
  // "openssh-key-v1\0", a length of four bytes, the cipher's name: `none` of an open one
  return !atob(body.slice(0, 64)).startsWith("none", 19);
}
