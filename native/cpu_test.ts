import assert from "node:assert/strict";
import { countCores, cpuFacts, cpuQuota, parseCpuinfo, parseCpuList } from "./cpu.ts";
import { fixture, kernelTree } from "./testdata/fixture.ts";

Deno.test("siblings of a core count once", () => {
  assert.deepEqual(countCores(parseCpuinfo(fixture("cpuinfo_i7_8650u.txt"))), {
    model: "Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz",
    physicalCores: 4,
    threads: 8,
  });
});

Deno.test("a machine without core ids has as many cores as processors", () => {
  const counted = countCores(parseCpuinfo(fixture("cpuinfo_raspberry_pi_5.txt")));
  assert.deepEqual([counted?.physicalCores, counted?.threads], [4, 4]);
});

Deno.test("only the processors that we may run on count", () => {
  const processors = parseCpuinfo(fixture("cpuinfo_i7_8650u.txt"));
  assert.equal(countCores(processors, [0, 4])?.physicalCores, 1); // two siblings
  assert.equal(countCores(processors, [0, 1])?.physicalCores, 2);
  assert.equal(countCores(processors, [])?.threads, 8);
  assert.equal(countCores([]), undefined);
});

Deno.test("the kernel's lists of numbers are read, and nonsense is empty", () => {
  assert.deepEqual(parseCpuList("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
  assert.deepEqual(parseCpuList("7"), [7]);
  assert.deepEqual(parseCpuList(""), []);
});

Deno.test("the tightest quota of all groups above us counts", () => {
  const files = kernelTree({
    "/proc/self/cgroup": "0::/a/b\n",
    "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
    "/sys/fs/cgroup/a/cpu.max": "150000 100000\n",
    "/sys/fs/cgroup/cpu.max": "800000 100000\n",
  });
  assert.equal(cpuQuota(files), 1.5);
});

Deno.test("version 1 writes its quota in two files, -1 for none", () => {
  const quota = (text: string) =>
    cpuQuota(kernelTree({
      "/proc/self/cgroup": "2:cpu,cpuacct:/\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": text,
      "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }));
  assert.equal(quota("200000\n"), 2);
  assert.equal(quota("-1\n"), undefined);
});

Deno.test("affinity and quota bound the facts of a machine", () => {
  const files = kernelTree({
    "/proc/cpuinfo": fixture("cpuinfo_i7_8650u.txt"),
    "/proc/self/status": "Name:\tdeno\nCpus_allowed:\t03\nCpus_allowed_list:\t0-1\n",
    "/proc/self/cgroup": "0::/\n",
    "/sys/fs/cgroup/cpu.max": "50000 100000\n",
  });
  assert.deepEqual(cpuFacts(files), {
    model: "Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz",
    physicalCores: 2,
    threads: 2,
    quotaCores: 0.5,
  });
});

Deno.test("this machine has at least one core and no more cores than threads", () => {
  const facts = cpuFacts();
  assert.ok(facts.physicalCores >= 1 && facts.physicalCores <= facts.threads);
});
