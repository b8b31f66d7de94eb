/**
 * Every bound and timer of rbee in one place, with its unit in its name. Configuration may lower or raise some of
 * them; nothing else in the code holds such a number. The relations that must hold between them are checked when
 * this module loads, so a careless edit fails at once and not in a user's night.
 *
 * @module
 */

import { modelLimits } from "./model_limits.ts";
import { placementLimits } from "./placement_limits.ts";

/** Default ports, and the range that workers are given on a machine. */
export const ports = Object.freeze({
  queen: 8080,
  hive: 9200,
  workerStart: 8081,
  workerEnd: 8999,
  /** VAL-016: anything below needs privileges, anything above is no port. */
  min: 1024,
  max: 65535,
});

/** What the numbers mean stands beside each; `Ms` milliseconds, `Bytes` bytes, `Max` an upper bound. */
export const limits = Object.freeze({
  // HTTP in
  requestBodyBytesMax: 32 * 1024 * 1024,
  requestsInFlightMax: 1024,
  /** Streamed answers that are open at once: a request in flight ends with its headers, its stream goes on. */
  streamsOpenMax: 1024,
  requestBodyReadMs: 30_000,
  /** How long the rest of a body is read on after it was refused: who is cut off while sending reads no answer. */
  requestRestMs: 2_000,
  serverDrainMs: 5_000,
  keepAliveCommentMs: 10_000,
  /** A stream's own buffer; beyond it the producer waits (back-pressure). */
  streamBufferBytesMax: 256 * 1024,
  /** A client that reads nothing for this long is gone; its stream is ended and what it held is freed. */
  slowClientMs: 30_000,
  correlationIdCharsMax: 64,

  // HTTP out
  connectTimeoutMs: 10_000,
  connectAttempts: 3,
  connectBackoffMs: Object.freeze([0, 200, 400]) as readonly number[],
  callTimeoutMs: 30_000,
  answerBytesMax: 8 * 1024 * 1024,

  // task
  waitForSlotMs: 7_000,
  waitForSlotMsMax: 24 * 3_600_000,
  busyNarrationMs: Object.freeze([1_000, 2_000, 4_000]) as readonly number[],
  taskTimeoutMs: 3_600_000,
  taskTimeoutMsMax: 24 * 3_600_000,
  taskReplayBytesMax: 1024 * 1024,
  /** How long a finished detached task can still be read. */
  taskKeepMs: 600_000,
  tasksKeptMax: 1_000,
  tasksKeptBytesMax: 64 * 1024 * 1024,
  cancelAckMs: 5_000,
  maxTokensDefault: 512,
  maxTokensMax: 1_000_000,
  temperatureDefault: 0.7,
  messagesMax: 1_000,
  stopStringsMax: 4,
  stopCharsMax: 100,
  nameCharsMax: 64,

  // attach (ephemeral queen)
  attachLingerMs: 2_000,
  attachFirstMs: 10_000,
  queenStartMs: 30_000,
  queenProbeMs: 2_000,

  // SSH: a dead link is noticed after about 13 s
  sshConnectTimeoutMs: 10_000,
  sshKeepAliveMs: 5_000,
  sshKeepAlivesLostMax: 2,
  /** From the connection to a shell that answers: rc files may be slow. */
  sshLoginMs: 15_000,
  /** A machine on a trusted network that does not even refuse within this time is off or cut off. */
  directProbeMs: 2_000,
  /** How long a connection that broke may take to say so, when a command over it has failed. */
  sshGoneMs: 500,
  sshCloseMs: 2_000,
  /** What rc files of a node may print before a command's own first line. */
  sshNoiseBytesMax: 64 * 1024,
  /** Any command on a node that is no installation. */
  remoteCommandMs: 60_000,
  /** A unix socket's path has at most 108 bytes, and ssh appends 17 of its own while it makes the control socket. */
  sshSocketBytesMax: 70,
  /** A whole connection test; the caller's deadline (`callTimeoutMs`) is later, so that the reason still arrives. */
  sshTestMs: 25_000,

  /** A whole test of a hive that is called directly. */
  directTestMs: 20_000,
  // installing on a node: each is one command there
  /** Looking: the digests of what is there already, up to 1 GB from a slow disk. */
  installLookMs: 120_000,
  /** One file, the largest over a slow link. */
  installSendMs: 4 * 3_600_000,
  /** Digests again, each program's first start, and a second installation that is waited for. */
  installFinishMs: 300_000,
  /** Clone and build there. */
  installBuildMs: 2 * 3_600_000,
  installProgressMs: 100,
  /** A piece of a file: short enough that packing it holds nobody up. */
  installPieceBytes: 64 * 1024,
  installPackLevel: 1,
  /** So much of a file goes out packed and so much as it is, to see which is quicker over this link. */
  installTrialBytes: 8 * 1024 * 1024,
  /** What a node's disk must have free beside what is sent. */
  installSpareBytes: 64 * 1024 * 1024,

  // lease
  leaseRenewMs: 5_000,
  leaseMs: 15_000,
  hiveStartMs: 30_000,
  /** Whoever starts a hive reports earlier (three attempts to connect, then the start): a lost report is not waited for for ever. */
  hiveEnsureMs: 360_000,
  /** What takes longer is told. */
  narrateAfterMs: 1_000,
  hivePollMs: 10,
  /** A hive's event stream says something (a comment at least) every `keepAliveCommentMs`, at worst twice that. */
  hiveSilentMs: 35_000,
  /** How long the queen waits for the word of whoever knows better, when a worker seems gone. */
  lostWorkerGraceMs: 2_000,
  hiveReconnectMs: Object.freeze([100, 200, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000]) as readonly number[],

  // workers
  workerReadyMs: 30_000,
  workerLoadMs: 300_000,
  workerIdleMs: 300_000,
  workerIdleCheckMs: 500,
  workersPerHiveMax: 256,
  healthIntervalMs: 30_000,
  healthTimeoutMs: 5_000,
  healthStrikes: 3,
  slotsMax: 256,
  ctxTokensMin: 64,
  ctxTokensMax: 10_000_000,
  threadsMax: 1_024,
  layersMax: 10_000,
  progressIntervalMs: 50,
  /** How long a worker that could not load stays, so that its hive reads the reason. */
  failedLingerMs: 1_000,
  /** How late a worker's timers may be: Deno 2.7 forgets some of them beside native code unless an interval runs. */
  workerPulseMs: 50,

  // stopping, one ladder: acknowledged, drained, SIGTERM, SIGKILL
  shutdownAckMs: 5_000,
  drainMs: 15_000,
  termGraceMs: 10_000,
  /** The same for a worker that did not answer at all when asked to end: a stopped process takes no SIGTERM either. */
  termGraceSilentMs: 1_000,
  /** How long a worker that was sent SIGTERM lets requests end: whoever sent it sends SIGKILL after `termGraceMs`. */
  termDrainMs: 8_000,
  everythingGoneMs: 30_000,

  // memory: the rule of S23 and S24
  memoryFactor: 1.2,

  // queen
  /** How long a queen that a keeper starts waits for the one before her to let go of the registry. */
  registryLockWaitMs: 15_000,
  /** How long after a node answered that is written down: not while its first worker is being started. */
  registryNoteDelayMs: 2_000,
  /** How long the last bytes may take to their clients when a queen ends. */
  queenLastWordsMs: 1_000,

  ...modelLimits,
  ...placementLimits,

  // files
  logFileBytesMax: 10 * 1024 * 1024,
  logFilesMax: 3,
  logLineBytesMax: 16 * 1024,
  logLinesDefault: 100,
  logLinesMax: 100_000,
  configFileBytesMax: 1024 * 1024,
  stdinPromptBytesMax: 16 * 1024 * 1024,
  probeTimeoutMs: 10_000,
  probeOutputBytesMax: 1024 * 1024,

  // Ctrl+C: `deno task` delivers one twice (processes.md 7)
  secondInterruptMs: 300,

  // keeper
  /** How often a keeper looks for the file of a queen that starts or ends. */
  queenPollMs: 10,
  /** How long `rbee up` waits for a queen that no command holds any more, or not yet, and how often it looks. */
  leftQueenMs: 15_000,
  leftQueenLookMs: 50,
  /** How long the children of a queen that was killed may take to be gone, too. */
  leftoversMs: 500,
  /** A keeper whose queen was just ending looks for another one, this often at most. */
  queenAttemptsMax: 3,
  /** A task's stream has a keep-alive comment every 10 s: without any byte for this long the queen is gone or stuck. */
  streamSilenceMs: 45_000,
  /** A line of a log that is longer is shown in pieces. */
  logRestCharsMax: 1024 * 1024,
  /** How long a keeper waits for a queen's last words about hives. */
  narrationEndMs: 100,
  /** When to tell a person that standard input is being waited for. */
  stdinNoticeMs: 1_000,
  logPollMs: 200,
  /** The newest ones; older workers' logs stay on disk. */
  logFilesReadMax: 64,
  launcherPollMs: 500,
  /** How long an installation waits for another one into the same folder, and how often it looks. */
  installLockMs: 120_000,
  installLockLookMs: 100,
  /** The worker unpacks its libraries at its first start. */
  unpackMs: 60_000,
  /** A key press must not wait: what does not answer by then is left out of a completion. */
  completionMs: 300,
  /** `rbee-hive detect` asks every vendor's library. */
  detectMs: 20_000,
  /** Plain lines of progress, where nothing can be repainted. */
  progressLineMs: 5_000,
  progressLineMsMin: 500,
  progressPaintMs: 80,

  // a hive's own
  /** Several changes within this time go out as one `status` event. */
  hiveEventsCoalesceMs: 50,
  /** A reader of the hive's events that is further behind is cut; it gets the whole picture when it comes back. */
  hiveEventsBehindMax: 1_000,
  /** How often a worker that found its port taken is tried on the next one. */
  workerPortTries: 8,
  /** Free memory that was read less than this ago counts as fresh. */
  machineCacheMs: 1_000,
  /** How often a followed log is looked at. */
  logFollowMs: 200,
  /** Logs of workers that are gone; the oldest are removed when a hive starts. */
  workerLogsKeptMax: 100,
  calibrationsKeptMax: 1_000,
  speedsKeptMax: 200,
  /** How often learned speeds are written at most. */
  speedsWriteMs: 10_000,
  /** The hive before us may still be ending when a queen starts one. */
  catalogLockWaitMs: 5_000,
  catalogLockLookMs: 100,
  hiveLeaseLookMs: 500,
  /** What a hive's streams are given to end after its workers have. */
  hiveLastWordsMs: 1_000,
  /** How old the machine's figures may be in the picture that goes out with every change. */
  hivePictureAgeMs: 10_000,
  /** How long such a picture waits for new figures; after that it goes out with those before. */
  hivePictureWaitMs: 250,
  /** How long a dead worker's last status is waited for. */
  workerLastStatusMs: 250,
  workerEventsAgainMs: 200,

  // engine
  /** A header holds the vocabulary: the largest known are below 30 MB. A damaged length must not fill the memory. */
  ggufHeaderBytesMax: 128 * 1024 * 1024,
  /** One text of a header: the largest are chat templates and licences. All that is kept of it: a few times as much. */
  ggufTextBytesMax: 1024 * 1024,
  ggufKeptBytesMax: 16 * 1024 * 1024,
  batchTokensMax: 512,
  /** A CPU gains nothing from more rows at once, and without flash attention each row costs memory for the context. */
  cpuBatchTokensMax: 128,
  /** Tokens that a slot decodes ahead of whoever reads them; beyond it the slot waits (back-pressure). */
  tokensAheadMax: 8,
  /** The whole choice of threads at load, on a large model; a small one is done much sooner. */
  calibrationMs: 3_000,
  loadEventsPerSecondMax: 20,
});

/** Throws when two limits contradict each other. Returns nothing. */
function checkRelations(): void {
  const rules: [boolean, string][] = [
    [limits.leaseMs >= 3 * limits.leaseRenewMs, "a lease must survive two lost renewals"],
    [limits.drainMs + limits.termGraceMs <= limits.everythingGoneMs, "the stop ladder must end within its promise"],
    [limits.termDrainMs < limits.termGraceMs, "draining after SIGTERM must end before the SIGKILL"],
    [limits.busyNarrationMs.reduce((a, b) => a + b) <= limits.waitForSlotMs, "the wait must cover its narration"],
    [limits.connectBackoffMs.length === limits.connectAttempts, "one back-off for each attempt"],
    [ports.workerStart > ports.queen && ports.workerEnd > ports.workerStart, "workers' ports lie above the queen's"],
    [limits.leftQueenMs > limits.attachFirstMs, "a queen that nobody holds must end before her end is given up"],
    [limits.sshTestMs < limits.callTimeoutMs, "an SSH test must end before its caller gives up"],
    [limits.directTestMs < limits.callTimeoutMs, "a test of a hive must end before its caller gives up"],
    [limits.hiveSilentMs > 3 * limits.keepAliveCommentMs, "a hive must not seem silent between two comments"],
    [limits.streamsOpenMax >= limits.queueTasksMax, "each task that waits may have its reader"],
    [limits.queueTasksPerModelMax <= limits.queueTasksMax, "the queue of one model is a part of the whole one"],
    [limits.evictMs > limits.everythingGoneMs, "a worker that makes room must be given the whole stop ladder"],
    [limits.streamBufferBytesMax < limits.requestBodyBytesMax, "a stream's buffer is the smaller one"],
  ];
  for (const [holds, rule] of rules) {
    if (!holds) throw new RangeError(`Cannot use these limits: ${rule}`);
  }
}
checkRelations();
