import assert from "node:assert/strict";
import {
  boundMemory,
  cgroupMemory,
  machineMemory,
  parseMeminfo,
  parseProcessMemory,
  parseResidentBytes,
  processMemory,
  processMemoryBytes,
} from "./memory.ts";
import { fixture, kernelTree } from "./testdata/fixture.ts";

const onLinux = { ignore: Deno.build.os !== "linux" };
const kib = 1024;

Deno.test("meminfo gives total and available bytes", () => {
  assert.deepEqual(parseMeminfo(fixture("meminfo_wsl2.txt")), {
    totalBytes: 26_220_580 * kib,
    availableBytes: 25_898_488 * kib,
  });
  assert.deepEqual(parseMeminfo(fixture("meminfo_dgx_spark.txt"))?.availableBytes, 118_566_368 * kib);
});

Deno.test("an old kernel without MemAvailable is estimated from what it can drop", () => {
  assert.deepEqual(parseMeminfo(fixture("meminfo_openwrt_without_available.txt")), {
    totalBytes: 125_128 * kib,
    availableBytes: (80_288 + 7_652 + 21_700 - 5_416) * kib,
  });
  assert.equal(parseMeminfo("nothing"), undefined);
});

Deno.test("a container's limit binds, and its page cache counts as free", () => {
  const files = kernelTree({
    "/proc/self/cgroup": "0::/\n",
    "/proc/meminfo": fixture("meminfo_wsl2.txt"),
    "/sys/fs/cgroup/memory.max": fixture("cgroup_v2_memory_max.txt"),
    "/sys/fs/cgroup/memory.current": fixture("cgroup_v2_memory_current.txt"),
    "/sys/fs/cgroup/memory.stat": fixture("cgroup_v2_memory_stat.txt"),
  });
  assert.deepEqual(cgroupMemory(files), [
    { limitBytes: 7_864_320_000, currentBytes: 2_481_475_584, cacheBytes: 57_344 },
  ]);
  assert.deepEqual(machineMemory(files), {
    totalBytes: 7_864_320_000,
    availableBytes: 7_864_320_000 - 2_481_475_584 + 57_344,
  });
});

Deno.test("a limit of a group above ours binds too, and memory.high as much as memory.max", () => {
  const files = kernelTree({
    "/proc/self/cgroup": "0::/a.slice/b.service\n",
    "/sys/fs/cgroup/a.slice/memory.max": "1000\n",
    "/sys/fs/cgroup/a.slice/memory.current": "900\n",
    "/sys/fs/cgroup/a.slice/b.service/memory.max": "max\n",
    "/sys/fs/cgroup/a.slice/b.service/memory.high": "800\n",
    "/sys/fs/cgroup/a.slice/b.service/memory.current": "100\n",
  });
  assert.deepEqual(boundMemory({ totalBytes: 5000, availableBytes: 4000 }, cgroupMemory(files)), {
    totalBytes: 800,
    availableBytes: 100,
  });
});

Deno.test("version 1 is read by its own names, and its huge number is no limit", () => {
  const root = "/sys/fs/cgroup/memory";
  const files = kernelTree({
    "/proc/self/cgroup": "4:memory:/box\n0::/\n",
    [`${root}/memory.limit_in_bytes`]: fixture("cgroup_v1_limit_in_bytes_none.txt"),
    [`${root}/box/memory.limit_in_bytes`]: "67108864\n",
    [`${root}/box/memory.usage_in_bytes`]: "6537216\n",
    [`${root}/box/memory.stat`]: "inactive_file 7\nactive_file 9\ntotal_inactive_file 4096\ntotal_active_file 1000\n",
  });
  assert.deepEqual(cgroupMemory(files), [
    { limitBytes: 67_108_864, currentBytes: 6_537_216, cacheBytes: 5096 },
  ]);
});

Deno.test("a group over its limit leaves nothing, not less than nothing", () => {
  const group = { limitBytes: 10, currentBytes: 30, cacheBytes: 5 };
  assert.deepEqual(boundMemory({ totalBytes: 100, availableBytes: 50 }, [group]), {
    totalBytes: 10,
    availableBytes: 0,
  });
});

Deno.test("this machine has memory, and no more of it than Deno sees", () => {
  const { totalBytes, availableBytes } = machineMemory();
  assert.ok(totalBytes > 0 && totalBytes <= Deno.systemMemoryInfo().total);
  assert.ok(availableBytes > 0 && availableBytes <= totalBytes);
});

Deno.test("a process's resident memory is read, and a missing process has none", onLinux, () => {
  const own = processMemoryBytes(Deno.pid) ?? 0;
  const deno = Deno.memoryUsage().rss;
  assert.ok(Math.abs(own - deno) < 64 * 1024 * 1024, `${own} against ${deno}`);
  assert.equal(processMemoryBytes(2 ** 30), undefined);
  assert.equal(parseResidentBytes("Name:\tkthreadd\nState:\tS (sleeping)\n"), undefined);
});

Deno.test("a process's memory is told apart into its own and what is mapped from files", () => {
  const status = "VmRSS:\t  1500 kB\nRssAnon:\t   1000 kB\nRssFile:\t   500 kB\n";
  assert.deepEqual(parseProcessMemory(status), { anonymousBytes: 1_024_000, fileBytes: 512_000 });
  assert.equal(parseProcessMemory("VmRSS:\t  1500 kB\n"), undefined);
  if (Deno.build.os === "linux") assert.ok((processMemory(Deno.pid)?.anonymousBytes ?? 0) > 1_000_000);
});
