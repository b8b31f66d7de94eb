/**
 * A machine and what it has: backends, devices, memory.
 *
 * @module
 */
import * as z from "zod";
import { limits, ports } from "./limits.ts";

/** How a model is computed. */
export const backendNames = ["cpu", "cuda", "metal", "vulkan", "rocm"] as const;

/** Schema of a backend name. */
export const backend = z.enum(backendNames);

/** `cpu`, `cuda`, `metal`, `vulkan` or `rocm`. */
export type Backend = z.infer<typeof backend>;

/** Schema of one GPU as a hive reports it. */
export const gpu = z.object({
  backend,
  /** Number within its backend, as `--device` takes it. */
  index: z.number().int().min(0),
  name: z.string(),
  uuid: z.string().optional(),
  memory_total_bytes: z.number().min(0),
  memory_free_bytes: z.number().min(0),
  compute_capability: z.string().optional(),
  driver_version: z.string().optional(),
});

/** One GPU. */
export type Gpu = z.infer<typeof gpu>;

/** Schema of what one machine offers, as its hive reports it. */
export const machine = z.object({
  hostname: z.string(),
  platform: z.string(),
  cpu_cores: z.number().int().min(1),
  memory_total_bytes: z.number().min(0),
  memory_available_bytes: z.number().min(0),
  disk_total_bytes: z.number().min(0).optional(),
  disk_free_bytes: z.number().min(0).optional(),
  gpus: z.array(gpu),
});

/** What one machine offers. */
export type Machine = z.infer<typeof machine>;

/** Returns the backends of a machine, `cpu` always among them, each with its number of devices. */
export function backendsOf(gpus: readonly Gpu[]): { name: Backend; devices: number }[] {
  const count = new Map<Backend, number>([["cpu", 1]]);
  for (const one of gpus) count.set(one.backend, Math.max(count.get(one.backend) ?? 0, one.index + 1));
  return backendNames.filter((name) => count.has(name)).map((name) => ({ name, devices: count.get(name)! }));
}

/** The name under which this machine itself always stands. */
export const localNodeName = "local";

/** Schema of a node's name: safe as a file name, an argument and a metric label. */
export const nodeName = z.string().regex(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
  "must be a name of letters, digits, . _ -",
);

/** Schema of a node as the registry holds it and lists show it. */
export const node = z.object({
  node_name: nodeName,
  transport: z.enum(["local", "ssh", "direct"]),
  status: z.enum(["unknown", "reachable", "unreachable"]),
  hive_port: z.number().int().nullable(),
  last_connected_unix: z.number().int().nullable(),
  last_error: z.string().nullable(),
});

/** A machine and how to reach it. */
export type Node = z.infer<typeof node>;

const textOf = (max: number) => z.string().min(1).max(max);
const port = z.number().int().min(1).max(65_535);

/** What a person can say about a machine whose hive listens on a network that is trusted. Files lie on this machine. */
const directFields = {
  /** A name or an address without a port; IPv6 without brackets. */
  address: textOf(253),
  /** Absolute: holds the hive's token. */
  token_file: textOf(1_024),
  /** Absolute: the certificate that its hive must show, PEM. Null with `plaintext` alone. */
  ca_cert_file: textOf(1_024).nullable(),
  /** Speak no TLS. */
  plaintext: z.boolean(),
  hive_port: port,
};

/** What a person can say about a machine that is reached by SSH; the queen checks each text before it is used. */
const beehiveFields = {
  ssh_host: textOf(253),
  ssh_user: textOf(limits.nameCharsMax),
  /** 22 leaves the port to the user's ssh configuration. */
  ssh_port: port,
  /** Absolute, on this machine; null leaves it to ssh's configuration and agent. */
  ssh_key_path: textOf(1_024).nullable(),
  git_repo_url: textOf(1_024).nullable(),
  git_branch: textOf(200).nullable(),
  /** On the node; `~` is that user's home there. */
  install_path: textOf(1_024),
  hive_port: port,
  worker_port_start: port,
  worker_port_end: port,
};

/** Schema of a machine to be registered that is reached by SSH. */
export const newBeehive = z.strictObject({
  ...beehiveFields,
  transport: z.literal("ssh").optional(),
  node_name: nodeName,
  ssh_port: port.default(22),
  ssh_key_path: beehiveFields.ssh_key_path.default(null),
  git_repo_url: beehiveFields.git_repo_url.default(null),
  git_branch: beehiveFields.git_branch.default("main"),
  install_path: beehiveFields.install_path.default("~/rbee"),
  hive_port: port.default(ports.hive),
  worker_port_start: port.default(ports.workerStart),
  worker_port_end: port.default(ports.workerEnd),
});

/** A machine to be registered, with every default filled in. */
export type NewBeehive = z.output<typeof newBeehive>;

/** Schema of a machine to be registered whose hive is called directly. */
export const newDirectNode = z.strictObject({
  ...directFields,
  transport: z.literal("direct"),
  node_name: nodeName,
  ca_cert_file: directFields.ca_cert_file.default(null),
  plaintext: directFields.plaintext.default(false),
  hive_port: port.default(ports.hive),
});

/** Such a machine, with every default filled in. */
export type NewDirectNode = z.output<typeof newDirectNode>;

/** Schema of a machine to be registered; without `transport` it is reached by SSH. */
export const newNode = z.discriminatedUnion("transport", [newBeehive, newDirectNode]);

/** Schema of a change: what is absent stays. The queen refuses what does not go with the machine's transport. */
export const beehiveChange = z.strictObject({ ...beehiveFields, ...directFields }).partial()
  .extend({ node_name: nodeName });

/** A change of a registered machine. */
export type BeehiveChange = z.output<typeof beehiveChange>;

/** Schema of a registered machine that is reached by SSH, as lists show it. */
export const beehive = node.extend({
  transport: z.literal("ssh"),
  ssh_host: z.string(),
  ssh_port: z.number().int(),
  ssh_user: z.string(),
  ssh_key_path: z.string().nullable(),
  git_repo_url: z.string().nullable(),
  git_branch: z.string().nullable(),
  install_path: z.string(),
  platform: z.string().nullable(),
  worker_port_start: z.number().int().nullable(),
  worker_port_end: z.number().int().nullable(),
});

/** A registered machine that is reached by SSH. */
export type Beehive = z.infer<typeof beehive>;

/** Schema of a registered machine whose hive is called directly, as lists show it. */
export const directNode = node.extend({
  transport: z.literal("direct"),
  address: z.string(),
  token_file: z.string(),
  ca_cert_file: z.string().nullable(),
  plaintext: z.boolean(),
});

/** A registered machine whose hive is called directly. */
export type DirectNode = z.infer<typeof directNode>;

/** Schema of a registered machine, whatever its transport. */
export const registeredNode = z.discriminatedUnion("transport", [beehive, directNode]);

/** A registered machine. */
export type RegisteredNode = z.infer<typeof registeredNode>;
