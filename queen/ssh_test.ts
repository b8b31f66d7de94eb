import assert from "node:assert/strict";
import { isEncryptedKey, readTest, sshArguments } from "./ssh.ts";
import { classify, classifyCommand, classifyForward, classifySession, loginLine, sshError } from "./ssh_failure.ts";

const target = { host: "workstation.home.arpa", user: "me", port: 2222, keyPath: "/home/me/.ssh/id_ed25519" };

/**
 * What OpenSSH 9.2p1 of Debian 12 writes, and what a person is told. Recorded with `ssh -F /dev/null -o BatchMode=yes
 * -o LogLevel=INFO` against the sshd of the same release on loopback.
 */
const recorded: [stderr: string, code: string, says: RegExp][] = [
  ["ssh: connect to host 10.0.0.1 port 2223: Connection refused\r\n", "SSH_CONNECTION_FAILED", /refused/],
  ["ssh: connect to host 10.0.0.1 port 22: Connection timed out\r\n", "SSH_CONNECTION_FAILED", /connection timeout/],
  ["Connection timed out during banner exchange\r\n", "SSH_CONNECTION_FAILED", /connection timeout/],
  ["Timeout, server 10.0.0.1 not responding.\r\n", "SSH_CONNECTION_FAILED", /connection timeout/],
  ["ssh: connect to host 10.0.0.1 port 22: No route to host\r\n", "SSH_CONNECTION_FAILED", /no route/],
  [
    "ssh: Could not resolve hostname nowhere.home.arpa: Name or service not known\r\n",
    "SSH_CONNECTION_FAILED",
    /name not found/,
  ],
  ["me@workstation.home.arpa: Permission denied (publickey).\r\n", "SSH_AUTH_FAILED", /rejected/],
  [
    "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\r\nDisconnected from 10.0.0.1 port 22\r\n",
    "SSH_AUTH_FAILED",
    /rejected/,
  ],
  [
    "No ED25519 host key is known for workstation.home.arpa and you have requested strict checking.\r\n" +
    "Host key verification failed.\r\n",
    "SSH_HOST_KEY_UNKNOWN",
    /unknown/,
  ],
  ["Host key verification failed.\r\n", "SSH_HOST_KEY_UNKNOWN", /unknown/],
  [
    "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n" +
    "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n" +
    "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n" +
    "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r\nHost key verification failed.\r\n",
    "SSH_HOST_KEY_CHANGED",
    /CHANGED/,
  ],
  [
    "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\r\n" +
    'Load key "/home/me/.ssh/id_ed25519": bad permissions\r\nme@h: Permission denied (publickey).\r\n',
    "SSH_AUTH_FAILED",
    /open to others/,
  ],
  [
    "Warning: Identity file /home/me/.ssh/id not accessible: No such file or directory.\n" +
    "me@h: Permission denied (publickey).\r\n",
    "SSH_KEY_NOT_FOUND",
    /no key at/,
  ],
  [
    'Load key "/home/me/.ssh/id.pub": error in libcrypto\r\nroot@127.0.0.1: Permission denied (publickey).\r\n',
    "SSH_AUTH_FAILED",
    /holds no private key/,
  ],
  [
    'Load key "/home/me/.ssh/id": Permission denied\r\nroot@127.0.0.1: Permission denied (publickey).\r\n',
    "SSH_AUTH_FAILED",
    /may not be read/,
  ],
  [ // ProxyJump through an sshd with `AllowTcpForwarding no`
    "channel 0: open failed: administratively prohibited: open failed\r\nstdio forwarding failed\r\n" +
    "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r\n",
    "SSH_FORWARDING_FORBIDDEN",
    /forbidden/,
  ],
  [ // ProxyJump to a port on which nothing listens
    "channel 0: open failed: connect failed: Connection refused\r\nstdio forwarding failed\r\n" +
    "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r\n",
    "SSH_CONNECTION_FAILED",
    /refused/,
  ],
  ["badcfg: terminating, 1 bad configuration options\r\n", "SSH_CONNECTION_FAILED", /bad configuration/],
  ["kex_exchange_identification: Connection closed by remote host\r\n", "SSH_CONNECTION_FAILED", /closed/],
  ["something new\r\n", "SSH_CONNECTION_FAILED", /something new/],
  ["", "SSH_CONNECTION_FAILED", /no reason was given/],
];

for (const [stderr, code, says] of recorded) {
  Deno.test(`"${stderr.trim().split("\n").at(-1)?.trim()}" is ${code}`, () => {
    const failure = classify(target, { code: 255, stdout: "", stderr });
    assert.equal(failure.code, code);
    const error = sshError(target, failure);
    assert.match(error.message, says);
    assert.ok(error.hint.length > 10, "it says what to do next");
    assert.doesNotMatch(error.hint, /StrictHostKeyChecking|accept-new/);
  });
}

Deno.test("an unknown host key's hint is the line that shows and accepts it", () => {
  const { hint } = classify(target, { code: 255, stdout: "", stderr: "Host key verification failed.\r\n" });
  assert.ok(hint.endsWith("ssh -p 2222 -i /home/me/.ssh/id_ed25519 me@workstation.home.arpa"), hint);
  assert.equal(loginLine({ host: "h", user: "me", port: 22 }), "ssh me@h");
});

Deno.test("a rejected key that is encrypted is told from one that is not known there", () => {
  const stderr = "me@h: Permission denied (publickey).\r\n";
  const failure = classify(target, { code: 255, stdout: "", stderr, keyIsEncrypted: true });
  assert.deepEqual([failure.code, failure.hint], [
    "SSH_AUTH_FAILED",
    "Give it to the agent first: ssh-add /home/me/.ssh/id_ed25519",
  ]);
});

/** Recorded against sshd with `ForceCommand`; nologin also as the shell of /etc/passwd in a mount namespace. */
const shells: [what: string, outcome: { code: number; stdout: string; stderr: string }, says: RegExp][] = [
  ["nologin", { code: 1, stdout: "This account is currently not available.\n", stderr: "" }, /has no shell/],
  ["/bin/false", { code: 1, stdout: "", stderr: "" }, /no POSIX shell/],
  [
    "a missing program",
    { code: 127, stdout: "", stderr: "bash: line 1: /bin/nosuch: No such file or directory\n" },
    /is missing/,
  ],
  [
    "a file that is no program",
    { code: 126, stdout: "", stderr: "bash: line 1: /etc/passwd: Permission denied\n" },
    /is missing/,
  ],
];

for (const [what, outcome, says] of shells) {
  Deno.test(`${what} in place of a shell is SSH_SHELL_UNUSABLE`, () => {
    const failure = classify(target, outcome);
    assert.equal(failure.code, "SSH_SHELL_UNUSABLE");
    assert.match(failure.reason, says);
    assert.match(failure.hint, /\/bin\/sh/);
  });
}

Deno.test("a Windows shell is told, with the way out", () => {
  const cmd = classify(target, { code: 0, stdout: "'connection test'; echo \"rbee-home=$HOME\"\r\n", stderr: "" });
  const powershell = classify(target, {
    code: 0,
    stdout: "connection test\r\nrbee-home=C:\\Users\\me\r\n",
    stderr: "",
  });
  const other = classify(target, {
    code: 1,
    stdout: "",
    stderr: "'exec' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n",
  });
  for (const failure of [cmd, powershell, other]) {
    assert.equal(failure.code, "SSH_SHELL_UNUSABLE");
    assert.match(failure.hint, /WSL2/);
  }
});

/** Recorded: a line of `sh` or bash by that sshd, with /dev/full as the disk and as another user by `setpriv`. */
const commands: [stderr: string, code: number, is: string | undefined][] = [
  ["bash: line 1: echo: write error: No space left on device\n", 1, "DISK_FULL"],
  ["cat: write error: No space left on device\n", 1, "DISK_FULL"],
  ["\ngzip: stdout: No space left on device\n", 1, "DISK_FULL"],
  [
    "tar: /dev/full: Cannot write: No space left on device\ntar: Error is not recoverable: exiting now\n",
    2,
    "DISK_FULL",
  ],
  ["mkdir: cannot create directory '/srv/x': Permission denied\n", 1, "HOME_NOT_WRITABLE"],
  ["sh: 1: cannot create /srv/x: Permission denied\n", 2, "HOME_NOT_WRITABLE"],
  ["mkdir: cannot create directory '/sys/x': Operation not permitted\n", 1, "HOME_NOT_WRITABLE"],
  ["bash: line 1: rbee-hive-nosuch: command not found\n", 127, undefined],
  ["bash: line 1: /etc/passwd: Permission denied\n", 126, undefined],
  ["root@127.0.0.1: Permission denied (publickey).\r\n", 255, undefined],
  ["", 0, undefined],
];

for (const [stderr, code, is] of commands) {
  Deno.test(`a command that ends with ${code} and "${stderr.trim().split("\n").at(-1)}" is ${is}`, () => {
    const failure = classifyCommand(target, { code, stdout: "", stderr });
    assert.equal(failure?.code, is);
    if (failure) assert.equal(classify(target, { code, stdout: "", stderr }).code, is);
  });
}

Deno.test("a forward that the far side forbids is told from one to a port on which nothing listens", () => {
  // Recorded from `ssh -N -L socket:127.0.0.1:9`, with AllowTcpForwarding no, no-port-forwarding and permitopen alike.
  const failure = classifyForward(target, "channel 1: open failed: administratively prohibited: open failed\r\n");
  assert.equal(failure?.code, "SSH_FORWARDING_FORBIDDEN");
  assert.match(failure.hint, /AllowTcpForwarding yes.*permitopen/);
  assert.equal(classifyForward(target, "channel 1: open failed: connect failed: Connection refused\r\n"), undefined);
});

Deno.test("a command for which sshd has no session left is told from one that ends with 255", () => {
  // Recorded through a shared connection to an sshd with `MaxSessions 1`; the rest is of the proxy command `false`.
  const stderr = "mux_client_request_session: session request failed: Session open refused by peer\r\n" +
    "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r\n";
  const failure = classifySession(target, { code: 255, stdout: "", stderr });
  assert.equal(failure?.code, "SSH_CONNECTION_FAILED");
  assert.match(failure.reason, /no more sessions/);
  assert.match(failure.hint, /MaxSessions 10.*workstation|workstation.*MaxSessions 10/);
  assert.equal(classifySession(target, { code: 1, stdout: "", stderr }), undefined);
  const others = [
    "",
    "kex_exchange_identification: Connection closed by remote host\r\n",
    "Session open refused by peer",
  ];
  for (const other of others) {
    assert.equal(classifySession(target, { code: 255, stdout: "", stderr: other }), undefined);
  }
});

Deno.test("a test that was cut at its deadline is a time-out", () => {
  assert.equal(classify(target, { code: 137, stdout: "", stderr: "" }).reason, "connection timeout");
});

Deno.test("the test's text is found between the lines of rc files, and the home after it", () => {
  assert.deepEqual(readTest("hello from .bashrc\nconnection test\nrbee-home=/home/me\nbye\n"), { home: "/home/me" });
  assert.equal(readTest("rbee-home=/home/me\n"), undefined);
  assert.equal(readTest("connection test\r\nrbee-home=C:\\Users\\me\r\n"), undefined);
});

Deno.test("ssh asks nothing, forwards nothing, and takes the host for nothing else", () => {
  const args = sshArguments(target, "true");
  for (const option of ["BatchMode=yes", "ConnectTimeout=10", "ForwardAgent=no", "RemoteCommand=none"]) {
    assert.equal(args[args.indexOf(option) - 1], "-o", option);
  }
  assert.deepEqual(args.slice(-7), ["-p", "2222", "-i", target.keyPath, "--", "me@workstation.home.arpa", "true"]);
  assert.ok(!sshArguments({ ...target, port: 22 }, "true").includes("-p"), "the user's own Port may apply");
  assert.doesNotMatch(args.join(" "), /StrictHostKeyChecking/);
});

Deno.test("a key with a passphrase is known by its file", () => {
  const openssh = (cipher: string) => {
    const bytes = `openssh-key-v1\0\0\0\0${String.fromCharCode(cipher.length)}${cipher}${"x".repeat(60)}`;
    return `-----BEGIN OPENSSH PRIVATE KEY-----\n${btoa(bytes)}\n-----END OPENSSH PRIVATE KEY-----\n`;
  };
  assert.equal(isEncryptedKey(openssh("none")), false);
  assert.equal(isEncryptedKey(openssh("aes256-ctr")), true);
  assert.equal(isEncryptedKey("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), true);
  assert.equal(isEncryptedKey("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"), true);
  assert.equal(isEncryptedKey("-----BEGIN RSA PRIVATE KEY-----\nabc\n"), false);
});
