/**
 * The bounds of models and their downloads: a part of `limits.ts`, through which everybody reads them.
 *
 * @module
 */

/** `Ms` milliseconds, `Bytes` bytes, `Max` an upper bound. */
export const modelLimits = Object.freeze({
  modelRefCharsMax: 4_096,
  filePathCharsMax: 1_000,
  pathCharsMax: 4_096,
  /** Files of one split model. */
  splitFilesMax: 512,
  /** How many a hive shows in its picture. */
  statusModelsMax: 500,
  /** S17: the first try and five more. */
  downloadAttempts: 6,
  downloadBackoffMs: 100,
  downloadBackoffMsMax: 5_000,
  /** No byte for this long is a break. */
  downloadStallMs: 60_000,
  /** How long a download that nobody follows any more goes on, and one that nobody has followed yet. */
  downloadLingerMs: 2_000,
  downloadFirstMs: 10_000,
  downloadProgressMs: 100,
  downloadsMax: 16,
  /** What a disk must have free beside the model. */
  downloadSpareBytes: 256 * 1024 * 1024,
  /** How long a hive may take to list what it has. */
  modelListMs: 10_000,
  /** A model goes from hive to hive in requests of this length: one that breaks costs no more. */
  copyPieceBytes: 16 * 1024 * 1024,
  /** How long one such request may take: 64 KB/s are slower than any link that is worth it. */
  copyPieceMs: 256_000,
  /** How often in a row a copy may break before the model comes from the hub instead, and the wait before the next try. */
  copyAttempts: 3,
  copyAgainMs: 200,
  /** How often in a row the way to a hive may break while a download there is followed, and how long it may be away. */
  followAttempts: 5,
  followAgainMs: 200,
  hiveBackMs: 30_000,
  hubAnswerBytesMax: 32 * 1024 * 1024,
  hubCallMs: 30_000,
  hubRedirectsMax: 5,
  /** A whole lookup: metadata and header. */
  modelLookUpMs: 60_000,
});
