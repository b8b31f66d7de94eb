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

/** Why it failed. */
export interface Failure {
  readonly code: ErrorCode;
  /** A few words: `connection timeout`. */
  readonly reason: string;
  readonly hint: string;
}

/** The far side forbids a forward: sshd for all (`AllowTcpForwarding`), or its authorized_keys for this key. */
const forbidden = /administratively prohibited/;

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
  // On the way through a jump host, whose word comes before the connection's own end.
  [forbidden, forwardingForbidden],
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
  [/Load key .*: (error in libcrypto|invalid format)/, (t) => ({
    code: "SSH_AUTH_FAILED",
    reason: "the key's file holds no private key that ssh can read",
    hint: `Give the private key, not its .pub: ssh-keygen -y -f ${keyOf(t)} tells whether it is one`,
  })],
  [/Load key .*: Permission denied/, (t) => ({
    code: "SSH_AUTH_FAILED",
    reason: "the key's file may not be read",
    hint: `Make it yours: ls -l ${keyOf(t)}`,
  })],
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
  return { code: "SSH_AUTH_FAILED", reason: "the key's file is open to others", hint: `chmod 600 ${keyOf(target)}` };
}

const keyOf = ({ keyPath }: SshTarget) => quoted(keyPath ?? "KEY");

function forwardingForbidden({ host }: SshTarget): Failure {
  return {
    code: "SSH_FORWARDING_FORBIDDEN",
    reason: "forwarding is forbidden there",
    hint: `Allow it: AllowTcpForwarding yes in sshd_config of ${host} (or of the jump host before it), and no ` +
      "restrict, no-port-forwarding or permitopen before the key in ~/.ssh/authorized_keys",
  };
}

/**
 * Returns why a forward through a standing connection is of no use, from what that connection wrote to stderr: it says
 * so only when the forward is used. Undefined when the forward is fine: then what it leads to does not answer.
 */
export function classifyForward(target: SshTarget, stderr: string): Failure | undefined {
  return forbidden.test(stderr) ? forwardingForbidden(target) : undefined;
}

/**
 * Returns why a command failed that a shell there carried out, when the machine is the reason: its disk is full, or the
 * user may not write. Undefined for any other failure.
 */
export function classifyCommand(target: SshTarget, { code, stderr }: SshOutcome): Failure | undefined {
  if (code === 0 || code === sshFailed) return undefined;
  if (/No space left on device|Disk quota exceeded/.test(stderr)) {
    return { code: "DISK_FULL", reason: "the disk there is full", hint: `Free space on ${target.host} and try again` };
  }
  if (code !== notRunnable && /Permission denied|Operation not permitted|Read-only file system/.test(stderr)) {
    return {
      code: "HOME_NOT_WRITABLE",
      reason: `${target.user} may not write there`,
      hint: `Choose a folder of ${target.user}'s: --install-path; or make it that user's: ${loginLine(target)}`,
    };
  }
  return undefined;
}

/**
 * Returns why a command did not begin over a connection that stands, when sshd allows no more sessions on it. Undefined
 * when it is something else: 255 is also what a command may end with.
 */
export function classifySession({ host }: SshTarget, { code, stderr }: SshOutcome): Failure | undefined {
  if (code !== sshFailed || !/^mux_client_request_session: .*Session open refused by peer/m.test(stderr)) {
    return undefined;
  }
  return {
    code: "SSH_CONNECTION_FAILED",
    reason: "sshd there allows no more sessions on one connection",
    hint: `Allow more in sshd_config of ${host}: MaxSessions 10; then reload sshd there`,
  };
}

/** A shell's words for a program that it may not run, and for one that is not there. */
const [notRunnable, notThere] = [126, 127];

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
  if (outcome.code !== sshFailed) return classifyCommand(target, outcome) ?? shellUnusable(target, outcome);
  const rule = rules.find(([pattern]) => pattern.test(outcome.stderr));
  if (rule) return rule[1](target, outcome);
  const last = outcome.stderr.trim().split("\n").at(-1)?.slice(0, 200).replaceAll(/\p{Cc}/gu, "") ||
    "no reason was given";
  return connection(last, (t) => `Try it by hand: ${loginLine(t)}`)(target);
}

/** The test prints two lines in any POSIX shell: whatever came instead is the word of something else. */
function shellUnusable({ user }: SshTarget, { code, stdout, stderr }: SshOutcome): Failure {
  if (/'connection test'|not recognized as an internal|CommandNotFoundException|=[A-Za-z]:\\/.test(stdout + stderr)) {
    return {
      code: "SSH_SHELL_UNUSABLE",
      reason: "a Windows shell answers there",
      hint: "Run an sshd inside WSL2 and register that one",
    };
  }
  const isMissing = code === notRunnable || code === notThere;
  const isClosed = /currently not available/.test(stdout);
  return {
    code: "SSH_SHELL_UNUSABLE",
    reason: isMissing
      ? "the shell of that login is missing"
      : isClosed
      ? "that login has no shell"
      : "no POSIX shell answers there",
    hint:
      `Give ${user} a login shell such as /bin/sh (chsh -s /bin/sh ${user}); also a ForceCommand can be in its place`,
  };
}

/** Returns the error for a failure; `details.reason` are the few words of it. */
export function sshError(target: SshTarget, failure: Failure): RbeeError {
  return new RbeeError(failure.code, {
    message: `Cannot connect to ${target.user}@${target.host} by SSH: ${failure.reason}`,
    details: { reason: failure.reason, ssh_host: target.host },
    hint: failure.hint,
  });
}
