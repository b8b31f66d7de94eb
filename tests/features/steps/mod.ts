/**
 * The suite with every step defined.
 *
 * @module
 */
import "./cold_starts.ts";
import "./commands.ts";
import "./configuration.ts";
import "./elsewhere.ts";
import "./errors.ts";
import "./gpu.ts";
import "./hives_from_afar.ts";
import "./hub.ts";
import "./inferences.ts";
import "./installations.ts";
import "./lifetimes.ts";
import "./loading.ts";
import "./logins.ts";
import "./machines.ts";
import "./memory.ts";
import "./node_install.ts";
import "./nodes.ts";
import "./preflight.ts";
import "./workers.ts";

export { suite } from "./scenario.ts";
