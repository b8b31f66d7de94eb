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
  /** The newest ones, in lists. */
  catalogListMax: 5_000,
  /** Rows that are read before others get their turn. */
  catalogRowsAtOnce: 50,
  /** Bytes that are read, hashed or copied at once: a piece must not hold up whoever else wants to be answered. */
  modelPieceBytes: 256 * 1024,
  /** Files whose length and time are asked for at once. */
  modelStatsAtOnce: 16,
  /** How often a hive looks whether its models' files are still what they were. */
  catalogLookMs: 60_000,
  /** Files and folders that are looked at below the models folder. */
  modelFolderEntriesMax: 100_000,
  modelFolderDepthMax: 12,
  /** What an import looks at, takes, and tells of what it did not take. */
  importEntriesMax: 20_000,
  importModelsMax: 2_000,
  importSkippedMax: 1_000,
  importManifestBytesMax: 1024 * 1024,
  sidecarBytesMax: 1024 * 1024,
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
  /** What is read at once, and what is hashed and written at once. */
  downloadReadBytes: 256 * 1024,
  downloadPieceBytes: 256 * 1024,
  /** How many ranges are fetched at once where one connection is slow, and how long each is; all lie in memory. */
  downloadLanes: 4,
  downloadLaneBytes: 4 * 1024 * 1024,
  /** One connection is slow when it has brought less than this after that time, and there is so much to come. */
  downloadLanesBelowBytesPerSecond: 40 * 1024 * 1024,
  downloadPaceMs: 1_500,
  downloadLanesFromBytes: 64 * 1024 * 1024,
  /** How much may lie in the system's memory before it goes to the disk: a loaded disk then holds up nobody. */
  downloadSyncBytes: 64 * 1024 * 1024,
  /** What a part is hashed by when it is taken up again: short enough that nobody waits for it. */
  downloadHashPieceBytes: 256 * 1024,
  /** A try that brought less than this does not count as one that went well. */
  downloadGainBytesMin: 64 * 1024,
  /** The longest that a server's Retry-After is obeyed. */
  downloadRetryAfterMsMax: 60_000,
  /** How often a file that another hive of this user is fetching is looked at. */
  downloadLockLookMs: 200,
  /** Ended downloads, whose last word can still be read. */
  downloadsKeptMax: 64,
  /** Lines about retries that a follower who comes late still gets. */
  downloadWordsMax: 50,
  /** The speed that is told is that of this last while. */
  downloadSpeedMs: 2_000,
  hubAnswerBytesMax: 32 * 1024 * 1024,
  hubCallMs: 30_000,
  hubRedirectsMax: 5,
  hubPagesMax: 100,
  /** How long what a reference means is remembered. */
  hubLookUpKeepMs: 30_000,
  hubTokenCharsMax: 4_096,
  /** A file's name below a repository: with what is appended to it while it arrives it must stay below 256. */
  fileNameBytesMax: 240,
  /** A whole lookup: metadata and header. */
  modelLookUpMs: 60_000,
});
