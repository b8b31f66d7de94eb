/**
 * How a model that came to this machine is handed to the catalog.
 *
 * @module
 */

/** A file that came to this machine. */
export interface ArrivedFile {
  readonly path: string;
  /** `sha256:<hex>`, checked. */
  readonly digest?: string | null;
}

/** Where a model lies that is to be entered. */
export interface Place {
  /** Its first file. */
  readonly path: string;
  /** Whether rbee may remove the files. */
  readonly owned: boolean;
  /** By the file's name: `sha256:<hex>`. */
  readonly digests?: ReadonlyMap<string, string>;
  readonly downloadedAtUnix?: number;
}
