/**
 * From what a node is and what this build has to the files that it needs, or to the reason why it can't be. Pure.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { InstallBackend } from "../protocol/install.ts";
import { limits } from "../protocol/limits.ts";
import type { Manifest } from "../runtime/shipped.ts";
import type { NodeFacts, NodeFile } from "./install_facts.ts";
import { shq } from "./shell_words.ts";

/** What a person wants besides the node. */
export interface PlanWish {
  readonly node: string;
  /** Absent: what the node's GPU needs. */
  readonly backend?: InstallBackend;
  /** The version that the node's programs must have. */
  readonly version: string;
}

/** What is to be done on the node. */
export interface InstallPlan {
  readonly backend: InstallBackend;
  readonly version: string;
  /** Everything that the version consists of there. */
  readonly files: readonly NodeFile[];
  /** Those of them that are not there yet. */
  readonly send: readonly NodeFile[];
  /** Nothing is left to do: all is there and in use. */
  readonly isDone: boolean;
}

const hive = "rbee-hive";
const worker = "llm-worker-rbee";
const megabyte = 1024 * 1024;

/**
 * Returns the plan. Throws `PLATFORM_NOT_AVAILABLE`, `BACKEND_UNAVAILABLE`, `EXECUTABLES_NOT_FOUND`,
 * `INSTALL_PATH_NOT_WRITABLE`, `INSUFFICIENT_DISK` or, when no digest can be taken there, `INSTALL_FAILED`.
 */
export function planInstall(facts: NodeFacts, manifest: Manifest, wish: PlanWish): InstallPlan {
  checkPlatform(facts, manifest, wish.node);
  checkVersion(manifest, wish);
  const backend = chooseBackend(facts, wish);
  const files = [hive, worker, ...variantOf(backend)].map((name) => fileOf(name, { manifest, backend, facts, wish }));
  const isHere = (file: NodeFile, among: readonly NodeFile[]) =>
    among.some((one) => one.name === file.name && one.sha256 === file.sha256);
  const send = files.filter((file) => !isHere(file, facts.files) && !isHere(file, facts.incoming));
  const isDone = facts.current === manifest.version && facts.incoming.length === 0 &&
    facts.files.length === files.length && files.every((file) => isHere(file, facts.files));
  if (!isDone) checkPlace(facts, wish.node);
  checkDisk(facts, send, wish.node);
  return { backend, version: manifest.version, files, send, isDone };
}

/** A plain worker holds the CPU's libraries, on a Mac also Metal's. */
const variantOf = (backend: InstallBackend) =>
  backend === "cuda" || backend === "vulkan" ? [`${worker}-${backend}`] : [];

function checkPlatform({ platform, libc }: NodeFacts, manifest: Manifest, node: string): void {
  if (libc === "musl" || (platform.startsWith("linux-") && libc === "none")) {
    throw new RbeeError("PLATFORM_NOT_AVAILABLE", {
      message: `Cannot install on ${node}: it has ${libc === "musl" ? "musl" : "no known C library"}, rbee needs glibc`,
      details: { node, platform, libc },
      hint: "Use a system with glibc there, such as Debian, Ubuntu or Fedora; a container of one will do",
    });
  }
  if (platform === manifest.platform) return;
  throw new RbeeError("PLATFORM_NOT_AVAILABLE", {
    message: `Cannot install on ${node}: it is ${platform}, the executables here are for ${manifest.platform}`,
    details: { node, platform, available: [manifest.platform] },
    hint: `Build it there: rbee setup update-node --name ${node} --git-repo ADDRESS, then ` +
      `rbee setup install --node ${node} --from-source`,
  });
}

/** From source, what was compiled may be older than what runs. */
function checkVersion(manifest: Manifest, wish: PlanWish): void {
  if (manifest.version === wish.version) return;
  throw new RbeeError("EXECUTABLES_NOT_FOUND", {
    message: `Cannot ship the executables: they are of v${manifest.version}, this rbee is v${wish.version}`,
    details: { version: manifest.version, wanted: wish.version },
    hint: "Make them anew in the checkout: deno task compile",
  });
}

function chooseBackend(facts: NodeFacts, wish: PlanWish): InstallBackend {
  const found = facts.gpu === "none" ? "cpu" : facts.gpu;
  const backend = wish.backend ?? found;
  const isMac = facts.platform.startsWith("macos-");
  if (backend !== "cpu" && isMac !== (backend === "metal")) {
    throw new RbeeError("BACKEND_UNAVAILABLE", {
      message: `Cannot install ${backend} on ${wish.node}: ${facts.platform} has none`,
      details: { node: wish.node, available: [...new Set(["cpu", found])] },
    });
  }
  return backend;
}

interface Choice {
  readonly manifest: Manifest;
  readonly backend: InstallBackend;
  readonly facts: NodeFacts;
  readonly wish: PlanWish;
}

function fileOf(name: string, { manifest, backend, facts, wish }: Choice): NodeFile {
  const entry = manifest.files[name];
  if (entry) return { name, sha256: entry.sha256, size: entry.size };
  const isVariant = name !== hive && name !== worker;
  const why = isVariant && wish.backend === undefined ? `${wish.node} computes with ${backend}, and ` : "";
  throw new RbeeError("EXECUTABLES_NOT_FOUND", {
    message: `Cannot install on ${wish.node}: ${why}no ${name} was made here`,
    details: { node: wish.node, ...(isVariant ? { backend } : {}), platform: facts.platform },
    hint: isVariant
      ? `Make it in the checkout: deno task compile --backend ${backend}; or install the CPU's worker: ` +
        `rbee setup install --node ${wish.node} --backend cpu`
      : undefined,
  });
}

function checkPlace(facts: NodeFacts, node: string): void {
  if (facts.notWritable !== undefined) {
    throw new RbeeError("INSTALL_PATH_NOT_WRITABLE", {
      message: `Cannot install to ${facts.prefix} on ${node}: ${facts.notWritable}`,
      details: { node, path: facts.prefix },
      hint: `Use a folder that this login may write: rbee setup update-node --name ${node} --install-path FOLDER`,
    });
  }
  if (facts.foreign !== undefined) {
    throw new RbeeError("INSTALL_FAILED", {
      message: `Cannot install to ${facts.prefix} on ${node}: ${facts.foreign} is there and not rbee's`,
      details: { node, path: facts.foreign },
      hint: `Move it away on ${node}: mv ${shq(facts.foreign)} ${shq(`${facts.foreign}.old`)}; ` +
        `or use another folder: rbee setup update-node --name ${node} --install-path FOLDER`,
    });
  }
  // The first of the tools is what takes digests; the others have names of their own.
  if (!/^(sha256sum|shasum|openssl)$/.test(facts.tools[0] ?? "")) {
    throw new RbeeError("INSTALL_FAILED", {
      message: `Cannot install on ${node}: sha256sum, shasum and openssl are all missing there`,
      details: { node },
      hint: `Install one of them on ${node}`,
    });
  }
}

/** A worker unpacks its libraries beside itself: less than its own size. */
function checkDisk(facts: NodeFacts, send: readonly NodeFile[], node: string): void {
  const bytes = send.reduce((sum, { name, size }) => sum + (name === hive ? size : 2 * size), 0);
  const neededMb = Math.ceil((bytes + limits.installSpareBytes) / megabyte);
  if (send.length === 0 || facts.diskFreeMb >= neededMb) return;
  throw new RbeeError("INSUFFICIENT_DISK", {
    message: `Cannot install to ${facts.prefix} on ${node}: ${neededMb} MB are needed, ${facts.diskFreeMb} MB are free`,
    details: { node, path: facts.prefix, needed_mb: neededMb, free_mb: facts.diskFreeMb },
    hint: `Free space on ${node}, or use another folder: rbee setup update-node --name ${node} --install-path FOLDER`,
  });
}
