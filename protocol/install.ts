/**
 * Putting rbee on a node, and taking it off again: what is asked for and what came of it.
 *
 * @module
 */
import * as z from "zod";
import { nodeName } from "./node.ts";

/** How a node can compute, as far as executables are made for it. */
export const installBackendNames = ["cpu", "cuda", "vulkan", "metal"] as const;

/** Schema of the backend that a node's worker is installed for. */
export const installBackend = z.enum(installBackendNames);

/** `cpu`, `cuda`, `vulkan` or `metal`. */
export type InstallBackend = z.infer<typeof installBackend>;

/** Schema of the body of `POST /v2/registry/beehives/install`. */
export const installWish = z.strictObject({
  node_name: nodeName,
  /** Absent: what the node's GPU needs. */
  backend: installBackend.optional(),
  /** `ship` sends this build's executables, `source` builds there. Absent: `source` for a node with a repository. */
  mode: z.enum(["ship", "source"]).optional(),
  /** The node's system starts the hive and keeps it running; `false` takes that back; absent leaves it as it is. */
  service: z.boolean().optional(),
});

/** A parsed wish. */
export type InstallWish = z.output<typeof installWish>;

/** Schema of what an installation ends with. */
export const installResult = z.object({
  node_name: z.string(),
  version: z.string(),
  platform: z.string(),
  backend: installBackend,
  files_sent: z.number().int(),
  /** Before packing. */
  bytes_sent: z.number().int(),
  /** Were there already. */
  files_kept: z.number().int(),
  install_path: z.string(),
});

/** What an installation ends with. */
export type InstallResult = z.infer<typeof installResult>;

/** Schema of the body of `POST /v2/registry/beehives/uninstall`. */
export const uninstallWish = z.strictObject({
  node_name: nodeName,
  /** Also rbee's data and models there. */
  purge: z.boolean().default(false),
});

/** A parsed wish. */
export type UninstallWish = z.output<typeof uninstallWish>;

/** Schema of what it ends with. */
export const uninstallResult = z.object({
  node_name: z.string(),
  install_path: z.string(),
  /** What was left there, for a person. */
  notes: z.array(z.string()),
});

/** What it ends with. */
export type UninstallResult = z.infer<typeof uninstallResult>;
