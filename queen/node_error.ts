/**
 * What a hive says of its machine, as people hear it elsewhere: "no such file" is about that machine's disk.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { localNodeName } from "../protocol/node.ts";

/** Returns the error with the node's name in its message, unless it has it or is this machine's. */
export function onNode(error: RbeeError, node: string): RbeeError {
  if (node === localNodeName || error.message.includes(node)) return error;
  const { code, hint, details } = error;
  return new RbeeError(code, {
    message: `${error.message} (on ${node})`,
    details: { ...details, node },
    hint,
    cause: error,
  });
}
