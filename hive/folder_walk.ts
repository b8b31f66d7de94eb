/**
 * Walks a folder without following links to folders, within bounds.
 *
 * @module
 */

/** What a walk may look at. */
export interface WalkBounds {
  readonly entriesMax: number;
  readonly depthMax: number;
}

/** One file, or one link, below a folder. */
export interface Found {
  readonly path: string;
  /** Without the folder. */
  readonly relative: string;
  readonly isSymlink: boolean;
}

/**
 * Yields the files and links below a folder, in the order of their names; folders that cannot be read are left out.
 * Returns whether there was more than the bounds allow.
 */
export async function* walkFolder(folder: string, bounds: WalkBounds): AsyncGenerator<Found, boolean> {
  let left = bounds.entriesMax;
  let isMore = false;
  async function* walk(relative: string, depth: number): AsyncGenerator<Found> {
    for (const entry of await entriesOf(relative === "" ? folder : `${folder}/${relative}`, left + 1)) {
      if (left-- <= 0) {
        isMore = true;
        return;
      }
      const below = relative === "" ? entry.name : `${relative}/${entry.name}`;
      if (!entry.isDirectory) yield { path: `${folder}/${below}`, relative: below, isSymlink: entry.isSymlink };
      else if (depth >= bounds.depthMax) isMore = true;
      else yield* walk(below, depth + 1);
    }
  }
  yield* walk("", 1);
  return isMore;
}

/** Returns at most `max` entries of a folder, by name; none when it cannot be read. */
export async function entriesOf(folder: string, max: number): Promise<Deno.DirEntry[]> {
  const entries: Deno.DirEntry[] = [];
  try {
    for await (const entry of Deno.readDir(folder)) if (entries.push(entry) >= max) break;
  } catch {
    // gone, or somebody else's
  }
  return entries.sort((a, b) => a.name < b.name ? -1 : 1);
}
