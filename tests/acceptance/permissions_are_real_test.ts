/**
 * What an executable may do stands in the executable itself. So these tests read it there and compile, with exactly
 * that, a program that tries everything it must not.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { findBase } from "../../build/denort.ts";
import { join } from "../../runtime/path.ts";
import { newTemporaryFolder, removeFolder } from "../support/temporary.ts";
import { type Executable, executablePath } from "../support/world.ts";

type Grants = Record<string, string[] | null>;

/** Returns what was compiled into an executable: null is nothing, an empty list everything, else what is listed. */
function grantsOf(program: Executable): Grants {
  const bytes = Buffer.from(Deno.readFileSync(executablePath(program)).buffer);
  const at = bytes.lastIndexOf('"permissions":{"allow_env"');
  assert.ok(at > 0, `${program} holds its permissions`);
  const start = at + '"permissions":'.length;
  return JSON.parse(bytes.toString("utf8", start, bytes.indexOf("}", start) + 1));
}

const names = ["read", "write", "run", "net", "env", "ffi", "sys"];

function flagsOf(grants: Grants): string[] {
  return names.flatMap((name) => {
    const grant = grants[`allow_${name}`];
    if (grant === null || grant === undefined) return [];
    return [grant.length === 0 ? `--allow-${name}` : `--allow-${name}=${grant.join(",")}`];
  });
}

interface Tried {
  /** "ok" or the name of the error. */
  [what: string]: string;
}

/** Compiles a program with an executable's own permissions, runs it, and returns what came of each try. */
async function tryWith(program: Executable, tries: Record<string, string>): Promise<Tried> {
  const folder = newTemporaryFolder();
  try {
    const body = Object.entries(tries).map(([what, code]) => `await attempt(${JSON.stringify(what)}, () => ${code});`);
    await Deno.mkdir(join(folder, "cwd"));
    await Deno.mkdir(join(folder, "bin"));
    for (const name of ["rbee-hive", "ssh", "other"]) {
      await Deno.writeTextFile(join(folder, "bin", name), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
    }
    await Deno.writeTextFile(
      join(folder, "probe.js"),
      `const tried = {};
const attempt = async (what, f) => { try { await f(); tried[what] = "ok"; } catch (e) { tried[what] = e.name; } };
const run = (exe) => new Deno.Command(exe, { clearEnv: true, env: { PATH: Deno.env.get("PATH") } }).output();
${body.join("\n")}
console.log(JSON.stringify(tried));`,
    );
    const base = await findBase();
    const probe = join(folder, "probe");
    const compiled = await new Deno.Command(Deno.execPath(), {
      args: ["compile", "--quiet", "--no-check", "--no-prompt", ...flagsOf(grantsOf(program)), "-o", probe, "probe.js"],
      cwd: folder,
      env: base.path ? { DENORT_BIN: base.path } : {},
    }).output();
    assert.ok(compiled.success, new TextDecoder().decode(compiled.stderr));
    const output = await new Deno.Command(probe, {
      cwd: Deno.realPathSync(join(folder, "cwd")),
      clearEnv: true,
      env: { PATH: `${join(folder, "bin")}:/usr/bin:/bin`, HOME: folder, OUTSIDE: join(folder, "bin") },
    }).output();
    assert.ok(output.success, new TextDecoder().decode(output.stderr));
    return JSON.parse(new TextDecoder().decode(output.stdout));
  } finally {
    removeFolder(folder);
  }
}

Deno.test("each executable carries what was decided for it, and never asks", () => {
  for (const program of ["rbee-keeper", "queen-rbee", "rbee-hive", "llm-worker-rbee"] as const) {
    const grants = grantsOf(program) as unknown as Record<string, unknown>;
    assert.equal(grants.prompt, false, program);
    assert.ok(!("allow_all" in grants) || grants.allow_all === false, program);
  }
  assert.deepEqual(grantsOf("queen-rbee").allow_run, ["ssh", "rbee-hive"]);
  const worker = grantsOf("llm-worker-rbee");
  assert.deepEqual([worker.allow_write, worker.allow_run], [null, null]);
  assert.deepEqual(worker.allow_read, [".", "/lib", "/lib64", "/usr/lib"]);
});

Deno.test("the queen can run ssh and rbee-hive, and nothing else", async () => {
  assert.deepEqual(
    await tryWith("queen-rbee", {
      "rbee-hive": 'run("rbee-hive")',
      ssh: 'run("ssh")',
      "another program in the same folder": 'run("other")',
      "a shell": 'run("/bin/sh")',
      "a program by its path": 'run("/usr/bin/env")',
      "a library of her own choice": 'Deno.dlopen("/lib/x86_64-linux-gnu/libm.so.6", {})',
      "a signal to a group": 'Deno.kill(-Deno.pid, "SIGWINCH")',
    }),
    {
      "rbee-hive": "ok",
      ssh: "ok",
      "another program in the same folder": "NotCapable",
      "a shell": "NotCapable",
      "a program by its path": "NotCapable",
      "a library of her own choice": "NotCapable",
      "a signal to a group": "NotCapable",
    },
  );
});

Deno.test("the worker can't write or run at all, nor read outside its folder and the libraries", async () => {
  assert.deepEqual(
    await tryWith("llm-worker-rbee", {
      "read its own folder": 'Array.fromAsync(Deno.readDir("."))',
      "read the libraries": 'Deno.stat("/usr/lib")',
      "read the folder above": 'Deno.readTextFile("../probe.js")',
      "read outside": 'Deno.readTextFile(Deno.env.get("OUTSIDE") + "/ssh")',
      "read the system's accounts": 'Deno.readTextFile("/etc/passwd")',
      "read a process's environment": 'Deno.readTextFile("/proc/self/environ")',
      "write in its own folder": 'Deno.writeTextFile("x", "x")',
      "write in /tmp": 'Deno.writeTextFile("/tmp/rbee-x", "x")',
      "make a folder": 'Deno.mkdir("d")',
      "run a shell": 'run("/bin/sh")',
      "run by name": 'run("ssh")',
    }),
    {
      "read its own folder": "ok",
      "read the libraries": "ok",
      "read the folder above": "NotCapable",
      "read outside": "NotCapable",
      "read the system's accounts": "NotCapable",
      "read a process's environment": "NotCapable",
      "write in its own folder": "NotCapable",
      "write in /tmp": "NotCapable",
      "make a folder": "NotCapable",
      "run a shell": "NotCapable",
      "run by name": "NotCapable",
    },
  );
});
