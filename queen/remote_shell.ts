/**
 * The shell of one node, whoever carries its words there.
 *
 * @module
 */

/** What a command there gave. */
export interface RemoteResult {
  readonly code: number;
  /** The first megabyte of it. */
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is run there. */
export interface RemoteRunOptions {
  /** Its standard input, closed behind it. Absent: none. */
  readonly input?: string | ReadableStream<Uint8Array>;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  /** Every piece of its stdout, as it comes. */
  readonly onStdout?: (text: string) => void;
}

/** Runs commands on a node as the user who logs in there. */
export interface RemoteShell {
  /**
   * Runs one command line by that user's login shell, whose words the caller has quoted (`shell_words.ts`). Throws
   * `CONNECTION_LOST` when the connection ends meanwhile, `TIMEOUT`, and what opening a connection throws.
   */
  run(command: string, options?: RemoteRunOptions): Promise<RemoteResult>;
}
