/**
 * The few calls into the C library that Deno has no door for. Opened once, lazily; where the library or the permission
 * is missing, each function says so by its result and never throws.
 *
 * @module
 */

const libraries = Deno.build.os === "darwin"
  ? ["/usr/lib/libSystem.B.dylib"]
  : ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/usr/lib64/libc.so.6"];

const symbols = {
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
} as const;

let opened: Deno.DynamicLibrary<typeof symbols>["symbols"] | null | undefined;

function libc(): Deno.DynamicLibrary<typeof symbols>["symbols"] | null {
  if (opened !== undefined) return opened;
  if (Deno.build.os !== "linux") return opened = null;
  for (const path of libraries) {
    try {
      return opened = Deno.dlopen(path, symbols).symbols;
    } catch {
      // another distribution's path, or not permitted: the next one
    }
  }
  return opened = null;
}

/** Sets TCP_NODELAY on every listening socket of this process; accepted ones inherit it. Returns how many there were. */
export function noDelayOnListeners(): number {
  const c = libc();
  if (!c) return 0;
  const value = new Int32Array(1), size = new Uint32Array([4]), one = new Int32Array([1]);
  let count = 0;
  for (let fd = 3; fd < 256; fd++) {
    size[0] = 4;
    // SOL_SOCKET 1, SO_ACCEPTCONN 30; IPPROTO_TCP 6, TCP_NODELAY 1
    const listens = c.getsockopt(fd, 1, 30, value, size) === 0 && value[0] === 1;
    if (listens && c.setsockopt(fd, 6, 1, one, 4) === 0) count++;
  }
  return count;
}

/** Asks the kernel to kill this process when `parentPid` ends. Returns whether it will (Linux only). */
export function dieWithParent(_parentPid: number): boolean {
  return libc()?.prctl(1, 9n, 0n, 0n, 0n) === 0; // PR_SET_PDEATHSIG, SIGKILL
}
