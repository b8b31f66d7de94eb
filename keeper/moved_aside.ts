/**
 * Databases that were damaged and lie beside new ones: a person must hear of it, for what stood in them is missing.
 *
 * @module
 */
import { join } from "../runtime/path.ts";
import type { Check } from "./doctor_check.ts";
import type { Keeper } from "./keeper.ts";
import type { Queen } from "./queen_probe.ts";

const damagedFile = /^(beehives|models)\.db\.damaged-\d{4}-[\dTZ-]+$/;
const registerAgain = "Register your machines again: rbee setup add-node";

/** Tells when this queen found a damaged registry, and where it lies now. */
export function warnMovedAside({ render }: Keeper, { movedAside }: Queen): void {
  if (movedAside === undefined) return;
  render.warn(`The node registry was damaged: it was moved to ${movedAside}, and a new one began. ${registerAgain}`);
}

/** Returns one warning for each damaged database in the home; it stays until the person takes the file away. */
export function checkMovedAside(home: string): Check[] {
  return namesIn(home).filter((name) => damagedFile.test(name)).sort().map((name): Check => ({
    name: name.startsWith("beehives") ? "node registry" : "model catalog",
    ok: false,
    essential: false,
    text: `it was damaged and lies in ${join(home, name)}; a new one began`,
    fix: name.startsWith("beehives") ? `${registerAgain}; then remove that file` : "Remove that file",
  }));
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map((entry) => entry.name);
  } catch {
    return []; // there is no home yet
  }
}
