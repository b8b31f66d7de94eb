/**
 * Whether the sockets of SSH connections fit below RBEE_HOME.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";

const longestSocket = "/s/12345678/65535".length;

/** Throws `RBEE_HOME_TOO_LONG` when the sockets of SSH connections do not fit below this folder, or cannot be named there. */
export function checkSocketPath(home: string): void {
  const bytes = new TextEncoder().encode(home).length + longestSocket;
  if (bytes > limits.sshSocketBytesMax) {
    throw new RbeeError("RBEE_HOME_TOO_LONG", {
      message: `Cannot reach other machines from ${home}: its path is too long for the sockets of SSH`,
      details: { path: home, bytes, bytes_max: limits.sshSocketBytesMax },
      hint: `Set RBEE_HOME to a path of at most ${limits.sshSocketBytesMax - longestSocket} bytes`,
    });
  }
  if (home.includes(":")) {
    throw new RbeeError("CONFIG_INVALID", {
      message: `Cannot reach other machines from ${home}: SSH cannot name a socket below a path with a colon`,
      hint: "Set RBEE_HOME to a path without one",
    });
  }
}
