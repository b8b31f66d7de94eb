/**
 * Where this process stands among the control groups: a container or a service unit may have far less than the machine.
 * Pure; `memory.ts` and `cpu.ts` read the files.
 *
 * @module
 */

/** The folders whose limits bind this process. */
export interface CgroupFolders {
  readonly version: 1 | 2;
  /** Own group first, root last; a limit in any of them binds. Some may not exist as seen from inside a container. */
  readonly folders: readonly string[];
}

/**
 * Returns the folders of one controller from the text of /proc/self/cgroup, or undefined when it names none. A line of
 * version 1 that names the controller wins: on hybrid machines the version 2 tree exists without any limits.
 */
export function cgroupFolders(selfCgroup: string, controller: "memory" | "cpu"): CgroupFolders | undefined {
  let unified: string | undefined;
  for (const line of selfCgroup.split("\n")) {
    const [id, names, ...rest] = line.split(":");
    if (names === undefined || rest.length === 0) continue;
    const path = rest.join(":");
    if (names.split(",").includes(controller)) {
      return { version: 1, folders: upwards(`/sys/fs/cgroup/${controller}`, path) };
    }
    if (id === "0" && names === "") unified = path;
  }
  return unified === undefined ? undefined : { version: 2, folders: upwards("/sys/fs/cgroup", unified) };
}

/** `/..` stands for a group outside of our namespace; only the root is in sight then. */
function upwards(root: string, path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "");
  if (parts.includes("..")) return [root];
  return [...parts.map((_, i) => `${root}/${parts.slice(0, parts.length - i).join("/")}`), root];
}

/** Version 1 writes "no limit" as the largest multiple of the page size: nothing real comes near. */
const unlimitedBytes = 2 ** 60;

/** Returns the bytes in a limit file, or undefined for `max`, for version 1's huge number and for no file. */
export function parseCgroupBytes(text: string | undefined): number | undefined {
  if (!text || !/^\d+\s*$/.test(text)) return undefined;
  const bytes = Number(text);
  return bytes < unlimitedBytes ? bytes : undefined;
}

/** Returns the number beside `key` in a file of `key number` lines (memory.stat), or 0 when it is not there. */
export function parseCgroupStat(text: string | undefined, key: string): number {
  return Number(text?.match(new RegExp(`^${key} (\\d+)$`, "m"))?.[1] ?? 0);
}

/**
 * Returns how many processors' time a group may use, from cpu.max (`200000 100000`, `max 100000`) or from version 1's
 * quota and period; undefined when it is not limited.
 */
export function parseCpuQuota(quota: string | undefined, period: string | undefined): number | undefined {
  const value = Number(quota), length = Number(period);
  return quota && period && value > 0 && length > 0 ? value / length : undefined;
}
