/**
 * One shared OpenSSH connection to a node: commands, and forwards from private unix sockets to ports of its loopback.
 * It ends with us: its remote side reads the stdin that we hold. Measured in processes.md 6.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { type Child, type Output, runOnce, startChild, within } from "../runtime/process.ts";
import { type ProcessStream, streamProcess } from "../runtime/process_stream.ts";
import type { StreamingShell } from "./remote_log.ts";
import type { RemoteResult, RemoteRunOptions, RemoteShell } from "./remote_shell.ts";
import { checkKey, masterArguments, masterReady, sharedArguments } from "./ssh.ts";
import { classify, classifyForward, classifySession, sshError, sshMissing, type SshTarget } from "./ssh_failure.ts";

/** Where a connection goes, and where its sockets lie. */
export interface MasterOptions {
  readonly node: string;
  readonly target: SshTarget;
  /** A private folder (0700) of this connection alone; its path has at most `sshSocketBytesMax` bytes with a name in it. */
  readonly folder: string;
  readonly connectMs: number;
  readonly signal?: AbortSignal;
}

/** A forward: requests made with its client reach the node's port. */
export interface Forward {
  readonly port: number;
  readonly client: Deno.HttpClient;
}

/** The connection while it stands. */
export class SshMaster implements RemoteShell, StreamingShell {
  readonly #options: MasterOptions;
  readonly #child: Child;
  readonly #forwards = new Map<number, Promise<Forward>>();
  /** Forwards that are being taken back: one that is wanted anew waits for it, or it would be taken back as well. */
  readonly #cancels = new Map<number, Promise<unknown>>();
  /** Resolves with the reason when the connection has ended, however that came. */
  readonly ended: Promise<RbeeError>;
  #isEnded = false;

  private constructor(options: MasterOptions, child: Child) {
    this.#options = options;
    this.#child = child;
    this.ended = child.ended.then(() => {
      this.#isEnded = true;
      this.#forget();
      return this.#lost();
    });
  }

  /** Whether it stands. */
  get isUp(): boolean {
    return !this.#isEnded;
  }

  /** Connects. Throws what `ssh` failed with, each way its own code (`ssh_failure.ts`). */
  static async open(options: MasterOptions): Promise<SshMaster> {
    const { target, folder, connectMs, signal } = options;
    const key = await checkKey(target);
    signal?.throwIfAborted(); // a signal that has aborted tells no listener any more
    removeFolder(folder); // a stale control socket would disable sharing silently
    Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
    const ready = Promise.withResolvers<void>();
    const child = startMaster(masterArguments(target, socketOf(folder), connectMs), {
      cwd: folder,
      target,
      onOutput: () => isReady(child.tail()) && ready.resolve(),
    });
    const cancel = () => void child.kill();
    signal?.addEventListener("abort", cancel, { once: true });
    const inTime = await within(Promise.race([ready.promise, child.ended]), connectMs + limits.sshLoginMs);
    signal?.removeEventListener("abort", cancel);
    if (inTime && isReady(child.tail()) && !signal?.aborted) return new SshMaster(options, child);
    const { code } = inTime && !signal?.aborted ? await child.ended : await child.kill();
    removeFolder(folder);
    signal?.throwIfAborted();
    const stderr = child.tail();
    throw sshError(target, classify(target, { code, stdout: "", stderr, keyIsEncrypted: key === "encrypted" }));
  }

  /** See `RemoteShell`. */
  async run(command: string, options: RemoteRunOptions = {}): Promise<RemoteResult> {
    const result = await this.#ssh({ command }, options);
    const refused = classifySession(this.#options.target, result);
    if (refused) throw sshError(this.#options.target, refused);
    // 255 is also what a remote command may end with; that the connection has ended tells them apart.
    if (result.code === 255 && await within(this.ended, limits.sshGoneMs)) throw this.#lost();
    options.signal?.throwIfAborted();
    if (result.code === killed) {
      throw new RbeeError("TIMEOUT", {
        message: `Cannot wait any longer for a command on ${this.#options.node}`,
        details: { node: this.#options.node, timeout_ms: options.timeoutMs ?? limits.remoteCommandMs },
      });
    }
    return result;
  }

  /** See `StreamingShell`. */
  stream(command: string, options: { input: string }): ProcessStream {
    if (this.#isEnded) throw this.#lost();
    const { target, folder } = this.#options;
    const process = streamProcess("ssh", sharedArguments(target, socketOf(folder), { command }), options);
    if (!process) throw sshError(target, sshMissing());
    return process;
  }

  /** See `StreamingShell`. */
  async whyGone(): Promise<RbeeError | undefined> {
    return await within(this.ended, limits.sshGoneMs) ? await this.ended : undefined;
  }

  async #ssh(what: { control?: string[]; command?: string }, options: RemoteRunOptions = {}): Promise<Output> {
    if (this.#isEnded) throw this.#lost();
    const { target, folder } = this.#options;
    const timeoutMs = options.timeoutMs ?? limits.remoteCommandMs;
    const output = await runOnce("ssh", sharedArguments(target, socketOf(folder), what), { ...options, timeoutMs });
    if (!output) throw sshError(target, sshMissing());
    return output;
  }

  /** Returns the forward to a port of the node's loopback, made when it is first wanted. Throws `CONNECTION_LOST`. */
  forward(port: number): Promise<Forward> {
    const there = this.#forwards.get(port);
    if (there) return there;
    const forward = this.#makeForward(port);
    this.#forwards.set(port, forward);
    forward.catch(() => this.#forwards.get(port) === forward && this.#forwards.delete(port));
    return forward;
  }

  async #makeForward(port: number): Promise<Forward> {
    await this.#cancels.get(port);
    const path = `${this.#options.folder}/${port}`;
    const spec = `${path}:127.0.0.1:${port}`;
    const { code, stderr } = await this.#ssh({ control: ["-O", "forward", "-L", spec] });
    if (code !== 0 || /failed|refused|Bad local/i.test(stderr)) {
      throw new RbeeError("CONNECTION_LOST", {
        message: `Cannot reach port ${port} on ${this.#options.node}: ${lastLine(stderr)}`,
        details: { node: this.#options.node, port },
      });
    }
    const client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
    return { port, client };
  }

  /** Takes the forward to a port back; streams over it go on. */
  async unforward(port: number): Promise<void> {
    const forward = this.#forwards.get(port);
    if (!forward) return;
    this.#forwards.delete(port);
    const cancel = forward.then(async ({ client }) => {
      client.close();
      const spec = `${this.#options.folder}/${port}:127.0.0.1:${port}`;
      if (!this.#isEnded) await this.#ssh({ control: ["-O", "cancel", "-L", spec] });
    }).catch(() => {}); // it was never made, or is gone with the connection
    this.#cancels.set(port, cancel);
    await cancel;
    if (this.#cancels.get(port) === cancel) this.#cancels.delete(port);
  }

  /** Returns the error of a far side that refuses to forward; it says so only when a forward is used. */
  get forwardingFailure(): RbeeError | undefined {
    const { target } = this.#options;
    const failure = classifyForward(target, this.#child.tail());
    return failure && sshError(target, failure);
  }

  #lost(): RbeeError {
    const { node, target } = this.#options;
    const why = lastLine(this.#child.tail().replace(/^rbee-up\r?$/m, ""));
    return new RbeeError("CONNECTION_LOST", {
      message: `Cannot go on: the SSH connection to ${node} is gone${why === "" ? "" : ` (${why})`}`,
      details: { node, ssh_host: target.host },
      hint: `Check that ${node} is on and answers: rbee setup test-node --name ${node}`,
    });
  }

  #forget(): void {
    for (const forward of this.#forwards.values()) forward.then(({ client }) => client.close(), () => {});
    this.#forwards.clear();
    removeFolder(this.#options.folder);
  }

  /** Ends the connection and what it forwards. Closing its stdin alone would wait for open forwards. */
  async close(): Promise<void> {
    await this.#child.stop(limits.sshCloseMs);
    await this.ended;
  }
}

/** `runOnce` killed it at its deadline. */
const killed = 137;

const socketOf = (folder: string) => `${folder}/m`;
const isReady = (text: string) => new RegExp(`^${masterReady}\\r?$`, "m").test(text);

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)?.trim().slice(0, 200).replaceAll(/\p{Cc}/gu, "") ?? "";
}

function startMaster(
  args: string[],
  { cwd, target, onOutput }: { cwd: string; target: SshTarget; onOutput: () => void },
): Child {
  try {
    return startChild({ exe: "ssh", args, cwd, onOutput });
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotCapable) {
      throw sshError(target, sshMissing());
    }
    throw cause;
  }
}

function removeFolder(folder: string): void {
  try {
    Deno.removeSync(folder, { recursive: true });
  } catch {
    // it is not there
  }
}
