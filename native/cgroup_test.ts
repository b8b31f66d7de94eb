import assert from "node:assert/strict";
import { cgroupFolders, parseCgroupBytes, parseCgroupStat, parseCpuQuota } from "./cgroup.ts";
import { fixture } from "./testdata/fixture.ts";

Deno.test("version 2 gives the own group first and the root last", () => {
  assert.deepEqual(cgroupFolders("0::/user.slice/user-1000.slice/app.scope\n", "memory"), {
    version: 2,
    folders: [
      "/sys/fs/cgroup/user.slice/user-1000.slice/app.scope",
      "/sys/fs/cgroup/user.slice/user-1000.slice",
      "/sys/fs/cgroup/user.slice",
      "/sys/fs/cgroup",
    ],
  });
  assert.deepEqual(cgroupFolders("0::/\n", "cpu")?.folders, ["/sys/fs/cgroup"]);
});

Deno.test("a line of version 1 wins over the empty version 2 tree of a hybrid machine", () => {
  const text = "9:name=systemd:/\n4:memory:/docker/a:b\n2:cpu,cpuacct:/\n0::/\n";
  assert.deepEqual(cgroupFolders(text, "memory"), {
    version: 1,
    folders: ["/sys/fs/cgroup/memory/docker/a:b", "/sys/fs/cgroup/memory/docker", "/sys/fs/cgroup/memory"],
  });
  assert.deepEqual(cgroupFolders(text, "cpu"), { version: 1, folders: ["/sys/fs/cgroup/cpu"] });
});

Deno.test("a group outside of our namespace leaves the root, and no text leaves nothing", () => {
  assert.deepEqual(cgroupFolders("0::/../other\n", "memory")?.folders, ["/sys/fs/cgroup"]);
  assert.equal(cgroupFolders("", "memory"), undefined);
});

Deno.test("no limit is no number, in both versions", () => {
  assert.equal(parseCgroupBytes(fixture("cgroup_v2_memory_max.txt")), 7_864_320_000);
  assert.equal(parseCgroupBytes(fixture("cgroup_v1_limit_in_bytes_none.txt")), undefined);
  assert.equal(parseCgroupBytes("max\n"), undefined);
  assert.equal(parseCgroupBytes(undefined), undefined);
});

Deno.test("a counter of memory.stat is found by its whole name", () => {
  const stat = fixture("cgroup_v2_memory_stat.txt");
  assert.equal(parseCgroupStat(stat, "inactive_file"), 4096);
  assert.equal(parseCgroupStat(stat, "file"), 57_344);
  assert.equal(parseCgroupStat(stat, "total_inactive_file"), 0);
  assert.equal(parseCgroupStat(undefined, "file"), 0);
});

Deno.test("a quota is a number of processors", () => {
  assert.equal(parseCpuQuota("150000", "100000"), 1.5);
  assert.equal(parseCpuQuota("max", "100000"), undefined);
  assert.equal(parseCpuQuota("-1\n", "100000\n"), undefined);
  assert.equal(parseCpuQuota(undefined, undefined), undefined);
});
