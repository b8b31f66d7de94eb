/**
 * What the registry's endpoints do for a node with transport `direct`: its hive is asked once before it is saved.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import type { BeehiveChange, DirectNode, NewDirectNode } from "../protocol/node.ts";
import type { FieldError } from "../protocol/validation.ts";
import { placeOf, testDirectHive } from "./direct_hive.ts";
import type { NodeRegistry } from "./nodes.ts";
import { isSshHost } from "./ssh_names.ts";

/** What can be said about such a node. */
const fields = ["address", "token_file", "ca_cert_file", "plaintext", "hive_port"] as const;

const now = () => Math.floor(Date.now() / 1_000);

/** Saves a node whose hive takes its token. Returns false when the name is taken. Throws as `testDirectHive` does. */
export async function addDirect(registry: NodeRegistry, wish: NewDirectNode, signal: AbortSignal): Promise<boolean> {
  check(wish);
  await testDirectHive(wish, signal);
  return registry.addDirect(wish, now());
}

/**
 * Changes a node whose hive then takes its token. Returns false when it is no longer there. Throws as `testDirectHive`
 * does, and `INVALID_REQUEST` for what only a node with SSH has.
 */
export async function updateDirect(
  registry: NodeRegistry,
  { before, change, signal }: { before: DirectNode; change: BeehiveChange; signal: AbortSignal },
): Promise<boolean> {
  const said = Object.entries(change).filter(([key, value]) => key !== "node_name" && value !== undefined);
  const foreign = said.map(([key]) => key).filter((key) => !(fields as readonly string[]).includes(key));
  if (foreign.length > 0) throw wrongFields(before.node_name, foreign, "its hive is called directly");
  const row = { ...before, ...Object.fromEntries(said) };
  // Whoever names the one means it instead of the other.
  if (change.plaintext === true && !change.ca_cert_file) row.ca_cert_file = null;
  if (change.ca_cert_file && change.plaintext !== true) row.plaintext = false;
  check(row);
  await testDirectHive(row, signal);
  const meanwhile = registry.directNode(row.node_name);
  if (!meanwhile) return false; // it was removed
  if (fields.some((field) => meanwhile[field] !== before[field])) throw changedMeanwhile(row.node_name);
  if (!registry.updateDirect(row)) return false;
  registry.noteLogin(row.node_name, now());
  return true;
}

/** Asks a node's hive, and notes how that went. Throws as `testDirectHive` does. */
export async function testDirect(registry: NodeRegistry, row: DirectNode, signal: AbortSignal): Promise<void> {
  try {
    await testDirectHive(row, signal);
  } catch (thrown) {
    if (!signal.aborted) registry.noteUnreachable(row.node_name, toRbeeError(thrown).message);
    throw thrown;
  }
  registry.noteLogin(row.node_name, now());
}

/** Returns the error for a change that would undo another one, which came while this one was tried out. */
export function changedMeanwhile(node: string): RbeeError {
  return new RbeeError("TEMPORARY_UNAVAILABLE", {
    message: `Cannot update node '${node}': its address was changed by another command at the same time`,
    details: { node },
    hint: `Look at it and try again: rbee setup show-node --name ${node}`,
  });
}

/** Returns the error for fields that do not go with a node's transport. */
export function wrongFields(node: string, names: readonly string[], why: string): RbeeError {
  const errors = names.map((field): FieldError => ({ field, constraint: "transport", message: `${field}: ${why}` }));
  return new RbeeError("INVALID_REQUEST", {
    message: `Cannot change ${names.join(", ")} of node '${node}': ${why}`,
    details: { errors },
    hint: `Remove it and add it anew: rbee setup remove-node --name ${node}`,
  });
}

const isPath = (path: string) => path.startsWith("/") && !/\p{Cc}/u.test(path);
const isAddress = (row: NewDirectNode | DirectNode) => isSshHost(row.address) && URL.canParse(`http://${placeOf(row)}`);

function check(row: NewDirectNode | DirectNode): void {
  const rules: [boolean, string, string][] = [
    [isAddress(row), "address", "must be a host name or an IP address, without a port"],
    [isPath(row.token_file), "token_file", "must be an absolute path"],
    [row.ca_cert_file === null || isPath(row.ca_cert_file), "ca_cert_file", "must be an absolute path"],
    [(row.ca_cert_file === null) === row.plaintext, "ca_cert_file", "must be given, or plaintext, and not both"],
  ];
  const errors = rules.filter(([holds]) => !holds)
    .map(([, field, why]): FieldError => ({ field, constraint: "form", message: `${field}: ${why}` }));
  if (errors.length === 0) return;
  throw new RbeeError("INVALID_REQUEST", {
    message: `Cannot use this node: ${errors.map((error) => error.message).join("; ")}`,
    details: { errors },
  });
}
