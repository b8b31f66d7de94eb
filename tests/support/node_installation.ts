/**
 * What `setup install` has left on a machine: what is in use there, and what should not be there any more.
 *
 * @module
 */
import assert from "node:assert/strict";
import { digestFile } from "../../runtime/digest.ts";
import { join } from "../../runtime/path.ts";
import { VERSION } from "../../runtime/version.ts";
import { eventually } from "./eventually.ts";
import type { Node } from "./nodes.ts";
import { executables } from "./world.ts";

const programs = ["rbee-hive", "llm-worker-rbee"];

/** Where it installs when nothing else was said. */
const prefixOf = ({ host }: Node) => join(host.home, "rbee");

/** Returns the version in use there, or undefined. */
export function versionThere(node: Node): string | undefined {
  try {
    return Deno.readLinkSync(join(prefixOf(node), "current")).replace(/^versions\//, "");
  } catch {
    return undefined;
  }
}

/** Returns what an installation that was cut off has left there: parts, links, locks. */
export function unfinishedThere(node: Node): string[] {
  return [
    ...namesIn(prefixOf(node)).filter((name) => name.startsWith(".current.")),
    ...namesIn(join(prefixOf(node), "versions")).filter((name) => name.startsWith(".") && name !== ".rbee"),
  ];
}

/** Returns how many bytes of files have come so far that are not in use yet. */
export function bytesUnderWay(node: Node): number {
  const incoming = join(prefixOf(node), "versions/.incoming");
  return namesIn(incoming).reduce((sum, name) => {
    try {
      return sum + Deno.statSync(join(incoming, name)).size;
    } catch {
      return sum; // it was renamed or removed meanwhile
    }
  }, 0);
}

/** Asserts that this build is in use there, byte by byte, and nothing unfinished beside it. */
export async function assertInstalled(node: Node): Promise<void> {
  assert.equal(versionThere(node), VERSION, `the version in use on ${node.name}`);
  const current = join(prefixOf(node), "versions", VERSION);
  const manifest = JSON.parse(Deno.readTextFileSync(join(current, "manifest.json")));
  const sent = JSON.parse(Deno.readTextFileSync(join(executables, "manifest.json")));
  for (const name of programs) {
    const { sha256 } = await digestFile(join(current, name));
    assert.equal(sha256, manifest.files[name].sha256, `${name} on ${node.name}`);
    assert.equal(sha256, sent.files[name].sha256, `${name} on ${node.name} is this build's`);
  }
  // One whose network was cut hears of it when the cable is in again.
  await eventually(() => unfinishedThere(node).length === 0, {
    withinMs: 20_000,
    what: `nothing unfinished is left on ${node.name}`,
    seen: () => unfinishedThere(node).join(", "),
  });
}

/** Returns the names in a folder, sorted; none when it is not there. */
export function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  } catch {
    return [];
  }
}
