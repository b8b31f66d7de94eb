/** What has to be installed, and which packs of node-llama-cpp (prebuilt llama.cpp) belong to a platform and a backend. */
import { fromRoot, sha256Hex } from "./files.ts";

/** One folder with libraries of its own: the root, or `native` with node-llama-cpp alone. */
export interface Package {
  /** Folder relative to the checkout, with a slash behind it; empty for the root. */
  readonly dir: string;
  /** Packs of node-llama-cpp that have to stand in this folder's node_modules. */
  readonly packs: readonly string[];
}

/** Returns the stamp of a package: a digest over its package.json and its lock, 64 hex digits. */
export async function stampOf(dir: string): Promise<string> {
  const [manifest, lock] = await Promise.all([
    Deno.readTextFile(fromRoot(dir + "package.json")),
    Deno.readTextFile(fromRoot(dir + "package-lock.json")),
  ]);
  return sha256Hex(manifest + "\0" + lock);
}

/** The backends a worker executable can carry. */
export const BACKENDS: readonly string[] = ["cpu", "cuda", "vulkan", "metal"];

/** Returns the platform's name in packages of node-llama-cpp: `linux-x64`, `mac-arm64`, `win-x64`. */
export function packPlatform(): string {
  const os = ({ linux: "linux", darwin: "mac", windows: "win" } as Record<string, string>)[Deno.build.os];
  if (!os) throw new Error(`Cannot choose llama.cpp libraries: ${Deno.build.os} has none`);
  return `${os}-${Deno.build.arch === "x86_64" ? "x64" : "arm64"}`;
}

/** Returns the packs a backend needs here; CUDA's come in two parts. Throws on a backend this platform lacks. */
export function packsOf(backend: string): string[] {
  const platform = packPlatform();
  const isAppleArm = platform === "mac-arm64";
  if (backend === "cpu") return [isAppleArm ? "mac-arm64-metal" : platform];
  if (backend === "metal" && isAppleArm) return ["mac-arm64-metal"];
  if (backend === "cuda" && /^(linux|win)-x64$/.test(platform)) return [`${platform}-cuda`, `${platform}-cuda-ext`];
  if (backend === "vulkan" && /^(linux|win)-x64$/.test(platform)) return [`${platform}-vulkan`];
  throw new Error(`Cannot add backend ${backend}: ${platform} has no llama.cpp libraries for it`);
}

/** Returns the CPU pack followed by those of the named backends, each once. */
export function wantedPacks(backends: readonly string[]): string[] {
  return [...new Set(["cpu", ...backends].flatMap(packsOf))];
}
