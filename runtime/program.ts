/**
 * How a program begins and ends: signals, disposal in reverse order, exit code, the last error.
 *
 * @module
 */
import { type RbeeError, toRbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { goAroundProxy } from "./environment.ts";
import { within } from "./process.ts";

/** What a program's main is given. */
export interface Program {
  /** Aborted by SIGTERM, SIGINT and SIGHUP: the program's own lifetime, not a request's. */
  readonly signal: AbortSignal;
  /** Runs at the end, last registered first, however the program ends. */
  defer(what: Disposable | AsyncDisposable | (() => void | Promise<void>)): void;
  /** Ends the program as a signal would. */
  end(reason: Error): void;
}

/** How a program ends when it fails. */
export interface ProgramOptions {
  /** Shows the error to whoever reads; returns the exit code. */
  onError: (error: RbeeError) => number;
  /** How long disposal may take before the process leaves all the same. */
  disposeMs?: number;
  /** Told of a fault that nobody caught; the program goes on. Without it an exception in a callback ends the program. */
  onFault?: (fault: unknown) => void;
}

/**
 * Runs a program to its end and leaves the process with its exit code; never returns. A second Ctrl+C, 0.3 s or more
 * after the first, leaves with 130 at once: `deno task` delivers one Ctrl+C twice within a millisecond.
 */
export async function runProgram(
  main: (program: Program) => Promise<number>,
  options: ProgramOptions,
): Promise<never> {
  const root = new AbortController();
  const deferred: (() => void | Promise<void>)[] = [];
  listenToSignals(root);
  goAroundProxy();
  const faulted = Promise.withResolvers<never>();
  listenToFaults(options, faulted.reject);
  const program: Program = {
    signal: root.signal,
    end: (reason) => root.abort(reason),
    defer(what) {
      if (typeof what === "function") deferred.push(what);
      else if (Symbol.asyncDispose in what) deferred.push(async () => await what[Symbol.asyncDispose]());
      else deferred.push(() => what[Symbol.dispose]());
    },
  };
  let code: number;
  try {
    code = await Promise.race([main(program), faulted.promise]);
  } catch (thrown) {
    code = options.onError(toRbeeError(thrown));
  }
  await within(disposeAll(deferred, options), options.disposeMs ?? limits.everythingGoneMs);
  Deno.exit(code);
}

/** Why a program's signal aborted: which signal, for exit codes and messages. */
export class SignalReceived extends Error {
  override readonly name = "SignalReceived";
  constructor(readonly signalName: "SIGINT" | "SIGTERM" | "SIGHUP") {
    super(`received ${signalName}`);
  }
}

/**
 * Tells `onFault` of what nobody caught. An exception in a timer's or a listener's callback is an `error` event, not a
 * rejection: unheard, Deno ends the process at once, children and files are left behind, and no log says why.
 */
function listenToFaults(options: ProgramOptions, end: (fault: unknown) => void): void {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    options.onFault?.(event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    if (options.onFault) options.onFault(event.error);
    else end(event.error); // nobody to tell: the program must not wait for what that callback would have done
  });
}

function listenToSignals(root: AbortController): void {
  let firstAt = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(name, () => {
      if (firstAt === 0) {
        firstAt = performance.now();
        root.abort(new SignalReceived(name));
      } else if (name === "SIGINT" && performance.now() - firstAt >= limits.secondInterruptMs) Deno.exit(130);
    });
  }
}

async function disposeAll(deferred: (() => void | Promise<void>)[], options: ProgramOptions): Promise<void> {
  for (const dispose of deferred.reverse()) {
    try {
      await dispose();
    } catch (fault) {
      options.onFault?.(fault); // the others must be disposed all the same
    }
  }
}
