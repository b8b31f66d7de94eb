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

/**
 * Returns the arguments of `ssh` for one command. The names in `target` were checked (`ssh_names.ts`). Port 22 is left
 * out: then a `Port` of the user's configuration applies. A shared connection of the user is not used: a test through
 * it would pass with a key that is rejected, and a new one would outlive us.
 */
export function sshArguments(target: SshTarget, command: string): string[] {
  const options = {
    BatchMode: "yes",
    ConnectTimeout: limits.sshConnectTimeoutMs / 1_000,
    ServerAliveInterval: limits.sshKeepAliveMs / 1_000,
    ServerAliveCountMax: limits.sshKeepAlivesLostMax,
    ForwardAgent: "no",
    ForwardX11: "no",
    ClearAllForwardings: "yes",
    RemoteCommand: "none",
    ControlMaster: "no",
    ControlPath: "none",
    LogLevel: "INFO",
  };
  return [
    ...Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]),
    "-T",
    ...(target.port === defaultSshPort ? [] : ["-p", String(target.port)]),
    ...(target.keyPath === undefined ? [] : ["-i", target.keyPath]),
    "--",
    `${target.user}@${target.host}`,
    command,
  ];
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
  const key = target.keyPath === undefined ? undefined : await lookAtKey(target.keyPath);
  if (key === "missing") throw sshError(target, keyMissing(target));
  if (key === "open") throw sshError(target, keyTooOpen(target));
  const output = await runOnce("ssh", sshArguments(target, testCommand), { timeoutMs: limits.sshTestMs, signal });
  signal?.throwIfAborted();
  if (!output) throw sshError(target, sshMissing());
  const read = output.code === 0 ? readTest(output.stdout) : undefined;
  if (read) return read;
  throw sshError(target, classify(target, { ...output, keyIsEncrypted: key === "encrypted" }));
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
