import assert from "node:assert/strict";
import {
  diskBytes,
  kernelFiles,
  listKernelDir,
  noDelayOnListeners,
  parentPids,
  parseParentPid,
  readKernelFile,
  statfsFreeBytes,
  withLibc,
} from "./libc.ts";

const onLinux = { ignore: Deno.build.os !== "linux" };

Deno.test("a kernel file is read, as a whole or as far as asked", onLinux, () => {
  assert.match(readKernelFile("/proc/self/stat") ?? "", new RegExp(`^${Deno.pid} \\(`));
  assert.equal(readKernelFile("/proc/version", { bytesMax: 5 }), "Linux");
});

Deno.test("a kernel file longer than one read arrives whole", onLinux, () => {
  const whole = readKernelFile("/proc/self/smaps", { bytesMax: 40_000 }) ?? "";
  assert.equal(whole.length, 40_000);
  assert.match(whole, /^[0-9a-f]+-[0-9a-f]+ r/);
});

Deno.test("what is no kernel file, missing, or a way out of the tree is undefined and no error", () => {
  for (
    const path of ["/etc/passwd", "/proc/../etc/passwd", "/proc/none", "/proc/ver\0sion", "/process", "proc/version"]
  ) {
    assert.equal(readKernelFile(path), undefined, path);
  }
  assert.equal(listKernelDir("/etc"), undefined);
  assert.equal(listKernelDir("/sys/none"), undefined);
});

Deno.test("a folder under /proc lists what the kernel holds, without dots", onLinux, () => {
  const names = listKernelDir("/proc/self/fdinfo") ?? [];
  assert.ok(names.includes("0") && names.includes("1") && names.includes("2"), names.join());
  assert.ok(!names.includes(".") && !names.includes(".."));
  const processes = kernelFiles.list("/proc") ?? [];
  assert.ok(processes.includes(String(Deno.pid)) && processes.includes("meminfo"));
});

Deno.test("the free bytes of a disk are those that Deno's own statfs tells", onLinux, async () => {
  const { statfsSync } = await import("node:fs");
  const expected = statfsSync("/");
  const { totalBytes, freeBytes } = diskBytes("/") ?? { totalBytes: 0, freeBytes: 0 };
  assert.equal(totalBytes, expected.blocks * expected.bsize);
  const gib = 1024 ** 3; // others write at the same time
  assert.ok(Math.abs(freeBytes - expected.bavail * expected.bsize) < gib);
  assert.ok(Math.abs((statfsFreeBytes("/") ?? 0) - freeBytes) < gib);
  assert.equal(diskBytes("/no/such/folder"), undefined);
});

Deno.test("the parents go up from our own, and end at init", onLinux, () => {
  const pids = parentPids();
  assert.equal(pids[0], Deno.ppid);
  assert.ok(pids.length >= 1 && pids.length <= 4);
  assert.ok(pids.every((pid) => pid > 0));
  assert.ok(!pids.includes(Deno.pid));
});

Deno.test("a program whose name looks like fields does not shift the parent", () => {
  assert.equal(parseParentPid("42 (deno) S 7 42 42 0 -1 4194304"), 7);
  assert.equal(parseParentPid("42 (a) S 1 b) (c) R 9 42 42 0"), 9);
  assert.equal(parseParentPid(""), undefined);
});

Deno.test("every listener gets TCP_NODELAY and accepted connections inherit it", onLinux, async () => {
  const before = noDelayOnListeners();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  assert.equal(noDelayOnListeners(), before + 1);
  const set = countNoDelay();
  const [client, served] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  assert.equal(countNoDelay(), set + 1); // the accepted end; the connecting end is not ours to set
  client.close();
  served.close();
  listener.close();
});

/** Counts this process's sockets with TCP_NODELAY. */
function countNoDelay(): number {
  return withLibc((libc) => {
    let count = 0;
    for (let fd = 3; fd < 256; fd++) {
      const value = new Int32Array(1), length = new Uint32Array([4]);
      if (libc?.getsockopt?.(fd, 6, 1, value, length) === 0 && value[0] !== 0) count++;
    }
    return count;
  });
}

Deno.test("a process that asked for it dies with its parent, and one whose parent is gone knows", onLinux, async () => {
  const module = JSON.stringify(new URL("./libc.ts", import.meta.url).href);
  const grandchild = `import { dieWithParent } from ${module};
    console.log(Deno.pid, dieWithParent(Deno.ppid), dieWithParent(1e9)); setTimeout(() => {}, 60_000);`;
  const child =
    `const c = new Deno.Command(Deno.execPath(), { args: ["eval", "--no-check", Deno.args[0]], stdout: "inherit" })
    .spawn(); await c.status;`;
  const parent = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", `data:text/typescript,${encodeURIComponent(child)}`, grandchild],
    stdout: "piped",
  }).spawn();
  const reader = parent.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const line = (await reader.read()).value ?? "";
  const [pid, now, gone] = line.trim().split(" ");
  assert.deepEqual([now, gone], ["set", "gone"], line);
  assert.ok(readKernelFile(`/proc/${pid}/stat`));
  parent.kill("SIGKILL");
  await parent.status;
  const isAlive = () => / [RSD] /.test(readKernelFile(`/proc/${pid}/stat`)?.split(")").at(-1) ?? ""); // or a zombie
  for (const end = performance.now() + 3_000; isAlive() && performance.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const hasSurvived = isAlive();
  if (hasSurvived) Deno.kill(Number(pid), "SIGKILL");
  await reader.cancel();
  assert.equal(hasSurvived, false);
});

Deno.test("without the permission everything says so and nothing throws", async () => {
  const module = JSON.stringify(new URL("./libc.ts", import.meta.url).href);
  const code = `const l = await import(${module});
    console.log(JSON.stringify([l.noDelayOnListeners(), l.dieWithParent(Deno.ppid), l.readKernelFile("/proc/version") ?? null,
      l.listKernelDir("/sys") ?? null, l.statfsFreeBytes("/") ?? null, l.sysctlNumber("hw.memsize") ?? null, l.parentPids().length]));`;
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", "--allow-import", `data:text/typescript,${encodeURIComponent(code)}`],
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr);
  assert.deepEqual(JSON.parse(text), [0, "unavailable", null, null, null, null, 1]);
});
