/**
 * Why `ssh` failed: from its exit code and what it wrote to one code with one hint. Pure; the texts are OpenSSH's own
 * and are compared with recorded ones in the test.
 *
 * @module
 */
import { type ErrorCode, RbeeError } from "../protocol/error.ts";

/** Whom `ssh` was to reach. */
export interface SshTarget {
  readonly host: string;
  readonly user: string;
  readonly port: number;
  readonly keyPath?: string;
}

/** What `ssh` gave. */
export interface SshOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The key's file is encrypted. */
  readonly keyIsEncrypted?: boolean;
}

interface Failure {
  readonly code: ErrorCode;
  /** A few words: `connection timeout`. */
  readonly reason: string;
  readonly hint: string;
}

/** `ssh` itself failed, or the remote side ended with 255, or by a signal. */
const sshFailed = 255;
/** `runOnce` killed it at its deadline. */
const killed = 137;

/** The port by itself when ssh's configuration may decide. */
export const defaultSshPort = 22;

/** Returns the command line that a person types to log in there. */
export function loginLine({ host, user, port, keyPath }: SshTarget): string {
  const flags = [...(port === defaultSshPort ? [] : ["-p", String(port)]), ...(keyPath ? ["-i", quoted(keyPath)] : [])];
  return ["ssh", ...flags, `${user}@${host}`].join(" ");
}

const quoted = (path: string) => /^[\w./@+-]+$/.test(path) ? path : `'${path}'`;

type Rule = readonly [pattern: RegExp, failure: (target: SshTarget, outcome: SshOutcome) => Failure];

const connection = (reason: string, hint: (t: SshTarget) => string) => (t: SshTarget): Failure => ({
  code: "SSH_CONNECTION_FAILED",
  reason,
  hint: hint(t),
});

/** In the order in which they are looked for: a changed host key also says "Host key verification failed". */
const rules: readonly Rule[] = [
  [/REMOTE HOST IDENTIFICATION HAS CHANGED|host key .*has changed/i, (t) => ({
    code: "SSH_HOST_KEY_CHANGED",
    reason: "the host key has CHANGED: another machine answers there, or it was installed anew",
    hint: "Find out why before you go on. Only when you know that it was installed anew: ssh-keygen -R " +
      `${t.port === defaultSshPort ? t.host : `'[${t.host}]:${t.port}'`} and then ${loginLine(t)}`,
  })],
  [/Host key verification failed|No \S+ host key is known/, (t) => ({
    code: "SSH_HOST_KEY_UNKNOWN",
    reason: "the host key is unknown",
    hint: `Compare its fingerprint and accept it, once: ${loginLine(t)}`,
  })],
  [/Could not resolve hostname/, connection("name not found", (t) => `Check the name ${t.host}, or use an address`)],
  [
    /Connection refused/,
    connection("connection refused", (t) => `Start sshd there, or give its port: --ssh-port (now ${t.port})`),
  ],
  [
    /timed out|Timeout, server .* not responding/,
    connection("connection timeout", (t) => `Check that it is on and answers: ping ${t.host}`),
  ],
  [
    /No route to host|Network is unreachable/,
    connection("no route to the host", (t) => `Check the network: ping ${t.host}`),
  ],
  [/UNPROTECTED PRIVATE KEY FILE|bad permissions/, (t) => keyTooOpen(t)],
  [/Identity file .* not accessible: No such file/, (t) => keyMissing(t)],
  [
    /Permission denied|Too many authentication failures|no more authentication methods/i,
    (t, o) =>
      o.keyIsEncrypted ? keyLocked(t) : {
        code: "SSH_AUTH_FAILED",
        reason: "the key was rejected",
        hint: `Put the key on that machine: ssh-copy-id ${loginLine(t).slice(4)}; which keys are at hand: ssh-add -l`,
      },
  ],
  [
    /Connection closed|Connection reset|kex_exchange_identification|banner/,
    connection("the connection was closed", (t) => `Check that port ${t.port} is sshd's: ${loginLine(t)}`),
  ],
];

/** Returns the failure for a key whose file others can read. */
export function keyTooOpen(target: SshTarget): Failure {
  const path = target.keyPath ?? "KEY";
  return { code: "SSH_AUTH_FAILED", reason: "the key's file is open to others", hint: `chmod 600 ${quoted(path)}` };
}

/** Returns the failure for a key whose file is not there. */
export function keyMissing(target: SshTarget): Failure {
  return { code: "SSH_KEY_NOT_FOUND", reason: `no key at ${target.keyPath ?? "that path"}`, hint: "Check --ssh-key" };
}

function keyLocked(target: SshTarget): Failure {
  return {
    code: "SSH_AUTH_FAILED",
    reason: "the key has a passphrase and no agent holds it",
    hint: `Give it to the agent first: ssh-add ${quoted(target.keyPath ?? "")}`.trimEnd(),
  };
}

/** Returns the failure for a machine without `ssh`. */
export function sshMissing(): Failure {
  return {
    code: "SSH_NOT_INSTALLED",
    reason: "the program ssh is missing here",
    hint: "Install it: apt-get install openssh-client",
  };
}

/** Returns why an attempt failed, of which `ssh` gave that outcome. */
export function classify(target: SshTarget, outcome: SshOutcome): Failure {
  if (outcome.code === killed) {
    return connection("connection timeout", (t) => `Check that it answers: ${loginLine(t)}`)(target);
  }
  if (outcome.code !== sshFailed) {
    const isWindows = /'connection test'|not recognized as an internal|=[A-Za-z]:\\/.test(
      outcome.stdout + outcome.stderr,
    );
    return {
      code: "SSH_SHELL_UNUSABLE",
      reason: isWindows ? "a Windows shell answers there" : "no POSIX shell answers there",
      hint: isWindows
        ? "Run an sshd inside WSL2 and register that one"
        : `Give ${target.user} a login shell such as /bin/sh`,
    };
  }
  const rule = rules.find(([pattern]) => pattern.test(outcome.stderr));
  if (rule) return rule[1](target, outcome);
  const last = outcome.stderr.trim().split("\n").at(-1)?.slice(0, 200).replaceAll(/\p{Cc}/gu, "") ||
    "no reason was given";
  return connection(last, (t) => `Try it by hand: ${loginLine(t)}`)(target);
}

/** Returns the error for a failure; `details.reason` are the few words of it. */
export function sshError(target: SshTarget, failure: Failure): RbeeError {
  return new RbeeError(failure.code, {
    message: `Cannot connect to ${target.user}@${target.host} by SSH: ${failure.reason}`,
    details: { reason: failure.reason, ssh_host: target.host },
    hint: failure.hint,
  });
}
