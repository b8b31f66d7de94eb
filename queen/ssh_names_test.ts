import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { runOnce } from "../runtime/process.ts";
import { commandLine } from "./shell_words.ts";
import {
  checkNames,
  isGitBranch,
  isGitUrl,
  isInstallPath,
  isKeyPath,
  isNodeName,
  isSshHost,
  isSshPort,
  isSshUser,
} from "./ssh_names.ts";

const checks = { isGitBranch, isGitUrl, isInstallPath, isKeyPath, isNodeName, isSshHost, isSshUser };

/** A repeatable source of chance (mulberry32). */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const pieces = [
  ..."abzAZ09._-/:~@ \t\n\r\0$`'\"\\;&|<>*?![]{}()#%=+,^é\u2028\u202e\ud800",
  ..."-o ProxyCommand=|~/|/opt/|$(id)|${IFS}|`id`|%h|../|--|https://|git@h:|&&|ext::|me|host.lan|192.168.1.10".split(
    "|",
  ),
];

function hostile(count: number): string[] {
  const random = seeded(4);
  return Array.from(
    { length: count },
    () =>
      Array.from({ length: 1 + Math.floor(random() * 6) }, () => pieces[Math.floor(random() * pieces.length)]).join(""),
  );
}

Deno.test("of 40,000 hostile texts none is accepted that a flag, a control character or a shell could hide in", () => {
  let accepted = 0;
  for (const text of hostile(40_000)) {
    for (const [name, holds] of Object.entries(checks)) {
      if (!holds(text)) continue;
      accepted++;
      assert.doesNotMatch(text, /^-|[\p{Cc}\p{Cf}\p{Cs}\u2028$`'"\\;&|<>*?!(){}#]/u, `${name} ${JSON.stringify(text)}`);
      assert.ok(
        !text.includes("..") || !/Path|Url|Branch/.test(name) || !/(^|\/)\.\.(\/|$)/.test(text),
        `${name} ${text}`,
      );
      if (name !== "isSshHost") assert.doesNotMatch(text, /%/, `${name} ${text}`);
    }
  }
  assert.ok(accepted > 1_000, `${accepted} accepted: the texts try the other side as well`);
});

const shellTexts = 10_000;
const batch = 2_000;
const bytesMax = 4 * 1024 * 1024;

Deno.test("10,000 accepted users, hosts, names, branches and addresses pass a real shell unquoted and unchanged", async () => {
  const plain = [isSshUser, isSshHost, isNodeName, isGitBranch, isGitUrl];
  const texts = hostile(300_000).filter((text) => plain.some((holds) => holds(text))).slice(0, shellTexts);
  assert.equal(texts.length, shellTexts);
  for (let at = 0; at < texts.length; at += batch) {
    const some = texts.slice(at, at + batch);
    const output = await runOnce("/bin/sh", ["-c", `printf '%s\\n' ${some.join(" ")}`], { bytesMax });
    assert.deepEqual(output?.stdout.split("\n").slice(0, -1), some);
  }
});

Deno.test("10,000 hostile texts come through unchanged: as arguments here, and as words of a shell there", async () => {
  // No argument can hold a NUL, and none that is no Unicode can be sent.
  const texts = hostile(shellTexts).map((text) => text.replaceAll("\0", "").toWellFormed());
  for (let at = 0; at < texts.length; at += batch) {
    const words = ["%s\\0", ...texts.slice(at, at + batch)];
    const here = await runOnce("printf", words, { bytesMax });
    const there = await runOnce("/bin/sh", ["-c", commandLine(["printf", ...words])], { bytesMax });
    for (const output of [here, there]) assert.deepEqual(output?.stdout.split("\0").slice(0, -1), words.slice(1));
  }
});

Deno.test("usual names, hosts and paths are accepted", () => {
  for (const host of ["workstation.home.arpa", "192.168.1.10", "::1", "fe80::1%eth0", "gaming-pc", "my_alias"]) {
    assert.ok(isSshHost(host), host);
  }
  for (const path of ["~", "~/rbee", "/home/me/rbee", "/srv/mine and yours/rbee", "/home/jörg/rbee"]) {
    assert.ok(isInstallPath(path), path);
  }
  for (
    const url of ["https://github.com/user/rbee.git", "git@host.lan:me/rbee.git", "ssh://me@box:2222/srv/rbee.git"]
  ) {
    assert.ok(isGitUrl(url), url);
  }
  assert.ok(isKeyPath("/home/me/.ssh/id_ed25519") && isSshUser("me") && isGitBranch("feature/a-1") && isSshPort(2222));
});

Deno.test("what ssh or git would take for something else is refused", () => {
  for (const host of ["-oProxyCommand=id", "a b", "", "h%h", "user@host", "h/x"]) assert.ok(!isSshHost(host), host);
  for (const path of ["rbee", "~root/rbee", "/", "/a/../b", "/a/-rf", "~/$HOME"]) assert.ok(!isInstallPath(path), path);
  for (const url of ["ext::sh -c id", "--upload-pack=id", "file:///x", "git@-h:x", "x"]) assert.ok(!isGitUrl(url), url);
  for (
    const secret of ["https://ghp_abc@github.com/me/rbee.git", "https://me:pw@host/x.git", "ssh://me:pw@host/x.git"]
  ) {
    assert.ok(!isGitUrl(secret), secret);
  }
  for (const port of [0, 65_536, 1.5, NaN]) assert.ok(!isSshPort(port), String(port));
  assert.ok(!isKeyPath("~/.ssh/id") && !isKeyPath("/k%h") && !isNodeName("local") && !isNodeName("../x"));
});

Deno.test("every bad field is named at once, and absent ones are fine", () => {
  checkNames({ ssh_key_path: null });
  assert.throws(() => checkNames({ ssh_host: "-h", ssh_user: "$u", ssh_port: 0 }), (error) => {
    assert.ok(error instanceof RbeeError && error.code === "INVALID_REQUEST");
    assert.deepEqual((error.details.errors as { field: string }[]).map((e) => e.field), [
      "ssh_host",
      "ssh_user",
      "ssh_port",
    ]);
    return true;
  });
});
