/**
 * The few calls into libc that Deno has no door for: Nagle on listeners, death with the parent, kernel files, the size of
 * disks. Nothing here throws: where the library, the call or the permission is absent, the answer says so.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";

/**
 * Absolute paths, because a bare name needs the whole of `--allow-ffi` and queen and keeper have it for these only.
 * Those that do not exist on a machine do no harm.
 */
const libraryPaths = Deno.build.os === "darwin" ? ["/usr/lib/libSystem.B.dylib"] : [
  Deno.build.arch === "aarch64" ? "/lib/aarch64-linux-gnu/libc.so.6" : "/lib/x86_64-linux-gnu/libc.so.6",
  "/usr/lib64/libc.so.6",
];

const librarySymbols = {
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32", optional: true },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32", optional: true },
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32", optional: true },
  open: { parameters: ["buffer", "i32"], result: "i32", optional: true },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize", optional: true },
  close: { parameters: ["i32"], result: "i32", optional: true },
  syscall: { parameters: ["i64", "i64", "buffer", "i64"], result: "i64", optional: true },
  statvfs: { parameters: ["buffer", "buffer"], result: "i32", optional: true },
  sysctlbyname: { parameters: ["buffer", "buffer", "buffer", "pointer", "usize"], result: "i32", optional: true },
} as const;

type Library = Deno.DynamicLibrary<typeof librarySymbols>;
type Libc = Library["symbols"];

let library: Library | undefined;
let isAbsent = false;

/**
 * Calls `use` with libc, or with undefined where there is none for us, and returns its answer. The library stays open
 * until the outermost call returns: a library that stayed open for good would be a leak to every test that serves.
 */
export function withLibc<T>(use: (libc: Libc | undefined) => T): T {
  if (library) return use(library.symbols);
  library = openLibrary();
  try {
    return use(library?.symbols);
  } finally {
    library?.close();
    library = undefined;
  }
}

function openLibrary(): Library | undefined {
  if (isAbsent) return undefined;
  for (const path of libraryPaths) {
    try {
      return Deno.dlopen(path, librarySymbols);
    } catch {
      // not on this machine, or not permitted
    }
  }
  isAbsent = true;
  return undefined;
}

/** As a C string. A NUL inside would cut it short and name another file. */
function cString(text: string): Uint8Array<ArrayBuffer> | undefined {
  return text.includes("\0") ? undefined : new TextEncoder().encode(`${text}\0`);
}

/** SOL_SOCKET and SO_ACCEPTCONN differ between the systems; TCP_NODELAY does not. */
const sockets = Deno.build.os === "darwin" ? { level: 0xffff, acceptConn: 2 } : { level: 1, acceptConn: 30 };
const listenerFdsMax = 1024;

/**
 * Sets TCP_NODELAY on every listening socket of this process, from where accepted ones inherit it, and returns how many
 * there were. Deno before 2.9 leaves Nagle on: the end of every stream then waits 40 ms for the client's delayed ACK.
 */
export function noDelayOnListeners(): number {
  return withLibc((libc) => {
    if (!libc?.getsockopt || !libc.setsockopt) return 0;
    const value = new Int32Array(1), length = new Uint32Array([4]), one = new Int32Array([1]);
    let count = 0;
    for (let fd = 3; fd < listenerFdsMax; fd++) {
      length[0] = 4;
      if (libc.getsockopt(fd, sockets.level, sockets.acceptConn, value, length) !== 0 || value[0] === 0) continue;
      if (libc.setsockopt(fd, 6, 1, one, 4) === 0) count++; // IPPROTO_TCP, TCP_NODELAY; fails on unix sockets
    }
    return count;
  });
}

/**
 * Asks the kernel to SIGKILL us when the process that started us ends (Linux only; it works on stuck and stopped ones
 * too). Returns `set`, `gone` when that process had ended before we asked, so no signal will come, or `unavailable`.
 */
export function dieWithParent(expectedParentPid: number): "set" | "gone" | "unavailable" {
  const result = Deno.build.os === "linux" ? withLibc((libc) => libc?.prctl?.(1, 9n, 0n, 0n, 0n)) : undefined;
  // Never compare with 1: a subreaper may have adopted us.
  if (Deno.ppid !== expectedParentPid) return "gone";
  return result === 0 ? "set" : "unavailable";
}

const openReadOnlyCloseOnExec = 0o2000000;

/**
 * Returns the text of a file under /proc or /sys, at most `bytesMax` bytes of it, or undefined when it cannot be read.
 * Deno opens these two trees to `--allow-all` only, so this goes around it, and only for them.
 */
export function readKernelFile(
  path: string,
  { bytesMax = limits.probeOutputBytesMax }: { bytesMax?: number } = {},
): string | undefined {
  const name = kernelPath(path);
  if (!name) return undefined;
  return withLibc((libc) => {
    if (!libc?.open || !libc.read || !libc.close) return undefined;
    const fd = libc.open(name, openReadOnlyCloseOnExec);
    if (fd < 0) return undefined;
    try {
      return readAll((buffer) => Number(libc.read!(fd, buffer, BigInt(buffer.length))), bytesMax);
    } finally {
      libc.close(fd);
    }
  });
}

/** Reads until the end or `bytesMax`; undefined when a read fails (many attributes of sysfs open, then refuse). */
function readAll(read: (buffer: Uint8Array<ArrayBuffer>) => number, bytesMax: number): string | undefined {
  const buffer = new Uint8Array(16 * 1024);
  const decoder = new TextDecoder();
  let text = "";
  for (let left = bytesMax; left > 0;) {
    const count = read(buffer.subarray(0, Math.min(left, buffer.length)));
    if (count < 0) return undefined;
    if (count === 0) break;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    left -= count;
  }
  return text + decoder.decode();
}

function kernelPath(path: string): Uint8Array<ArrayBuffer> | undefined {
  return Deno.build.os === "linux" && /^\/(proc|sys)(\/|$)/.test(path) && !path.split("/").includes("..")
    ? cString(path)
    : undefined;
}

/** Number of the call getdents64, which glibc wraps only in parts; `readdir` would hand out pointers. */
const getdents64 = Deno.build.arch === "aarch64" ? 61n : 217n;
const openFolder = 0o200000 | openReadOnlyCloseOnExec;
const folderReadsMax = 1_024;

/** Returns the sorted names in a folder under /proc or /sys, or undefined when it cannot be read. */
export function listKernelDir(path: string): string[] | undefined {
  const name = kernelPath(path);
  if (!name) return undefined;
  return withLibc((libc) => {
    if (!libc?.open || !libc.syscall || !libc.close) return undefined;
    const fd = libc.open(name, openFolder);
    if (fd < 0) return undefined;
    const buffer = new Uint8Array(32 * 1024);
    const names: string[] = [];
    for (let i = 0; i < folderReadsMax; i++) {
      const count = Number(libc.syscall(getdents64, BigInt(fd), buffer, BigInt(buffer.length)));
      if (count <= 0) break;
      names.push(...parseDirents(buffer.subarray(0, count)));
    }
    libc.close(fd);
    return names.sort();
  });
}

/** Returns the names in what getdents64 wrote, without `.` and `..`: ino 8, off 8, record length 2, type 1, name, NUL. */
function parseDirents(bytes: Uint8Array<ArrayBuffer>): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const names: string[] = [];
  for (let at = 0, length; at + 19 < bytes.length; at += length) {
    length = view.getUint16(at + 16, true);
    if (length < 20) break; // never written by a kernel; a loop that does not advance would be worse
    const record = bytes.subarray(at + 19, at + length);
    const text = new TextDecoder().decode(record.subarray(0, record.indexOf(0)));
    if (text !== "." && text !== "..") names.push(text);
  }
  return names;
}

/** The two reads of kernel files, as one thing to hand over; a test hands over a tree of its own. */
export interface KernelFiles {
  read(path: string): string | undefined;
  list(path: string): string[] | undefined;
}

/** Those of this machine. */
export const kernelFiles: KernelFiles = Object.freeze({
  read: (path: string) => readKernelFile(path),
  list: (path: string) => listKernelDir(path),
});

/**
 * Returns size and free bytes (free for an unprivileged user) of the file system that holds `path`, or undefined when it
 * does not exist or this system is not Linux.
 */
export function diskBytes(path: string): { totalBytes: number; freeBytes: number } | undefined {
  const name = cString(path);
  if (!name || Deno.build.os !== "linux") return undefined; // macOS has 32-bit counts here: wrong above 16 TB
  return withLibc((libc) => {
    const answer = new BigUint64Array(14); // struct statvfs of 64-bit Linux, 112 bytes, the same on both architectures
    if (libc?.statvfs?.(name, answer) !== 0) return undefined;
    const [, fragment, blocks, , available] = answer;
    return { totalBytes: Number(fragment * blocks), freeBytes: Number(fragment * available) };
  });
}

/** Returns the bytes that an unprivileged user can still write where `path` is, or undefined when that is unknown. */
export function statfsFreeBytes(path: string): number | undefined {
  return diskBytes(path)?.freeBytes;
}

/** Returns a number that macOS keeps under a name (`hw.memsize`), or undefined elsewhere and when it has none. */
export function sysctlNumber(name: string): number | undefined {
  const key = cString(name);
  if (!key || Deno.build.os !== "darwin") return undefined;
  return withLibc((libc) => {
    const value = new BigUint64Array(1), length = new BigUint64Array([8n]);
    if (libc?.sysctlbyname?.(key, value, length, null, 0n) !== 0) return undefined;
    return Number(value[0]); // little-endian, so a 4-byte value reads the same
  });
}

const ancestorsMax = 4;

/** Returns the pid of the parent in a line of /proc/PID/stat, or undefined. A program's name may hold `) 1 2`. */
export function parseParentPid(stat: string): number | undefined {
  const pid = Number(stat.slice(stat.lastIndexOf(")") + 1).trim().split(" ")[1]);
  return Number.isInteger(pid) && pid >= 0 ? pid : undefined;
}

/** Returns the pids of our parent, its parent and so on, four at most, up to init; our parent alone off Linux. */
export function parentPids(): number[] {
  return withLibc(() => {
    const pids = [Deno.ppid];
    while (pids.length < ancestorsMax && pids[pids.length - 1] > 1) {
      const stat = readKernelFile(`/proc/${pids[pids.length - 1]}/stat`);
      const parent = stat === undefined ? undefined : parseParentPid(stat);
      if (parent === undefined || parent === 0) break;
      pids.push(parent);
    }
    return pids;
  });
}
