/**
 * Where rbee's files live, per person (XDG base directories, `RBEE_HOME`).
 * Source: https://specifications.freedesktop.org/basedir-spec/latest/ (relative values are ignored).
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { environment } from "./environment.ts";

/** Every folder and file that more than one part of rbee knows. Absolute paths. */
export interface Paths {
  /** `~/.rbee`, or `RBEE_HOME`. */
  readonly home: string;
  readonly registryDb: string;
  readonly catalogDb: string;
  readonly queenFile: string;
  readonly hiveFile: string;
  readonly queenToken: string;
  readonly hiveToken: string;
  /** The hive's own certificate and its key. */
  readonly tlsCert: string;
  readonly tlsKey: string;
  readonly calibrationFile: string;
  readonly speedsFile: string;
  readonly logs: string;
  /** One folder a worker, made and removed by its hive. */
  readonly workers: string;
  /** The sockets of the queen's SSH connections. Short: a socket's path has at most about 100 bytes. */
  readonly sshSockets: string;
  /** Texts of inferences that were cut off. */
  readonly partial: string;
  readonly models: string;
  /** In the order in which they are tried. */
  readonly configFiles: readonly string[];
}

const absolute = (value: string | undefined) => value?.startsWith("/") ? value : undefined;

/** The folders of this user that other programs share. Absolute paths, without a slash at the end. */
export interface UserFolders {
  /** `/` when HOME is not set. */
  readonly home: string;
  /** `~/.config`, or `XDG_CONFIG_HOME`. */
  readonly config: string;
  /** `~/.local/share`, or `XDG_DATA_HOME`. */
  readonly data: string;
}

/** Returns them. `read` gives an environment variable. */
export function userFolders(read: (name: string) => string | undefined = environment): UserFolders {
  const folder = (name: string) => absolute(read(name))?.replace(/(?<=.)\/+$/, "");
  const home = folder("HOME") ?? "/";
  const below = home === "/" ? "" : home;
  return {
    home,
    config: folder("XDG_CONFIG_HOME") ?? `${below}/.config`,
    data: folder("XDG_DATA_HOME") ?? `${below}/.local/share`,
  };
}

/** The system's configuration file, which all of a machine's people share. */
export const systemConfigFile = "/etc/rbee/config.toml";

/** Returns the paths of this user. `read` gives an environment variable; the real ones by default. */
export function paths(read: (name: string) => string | undefined = environment): Paths {
  const user = userFolders(read);
  const custom = read("RBEE_HOME");
  if (custom !== undefined && !custom.startsWith("/")) {
    throw new RbeeError("CONFIG_INVALID", {
      message: "Cannot use RBEE_HOME: it must be an absolute path",
      hint: "Set RBEE_HOME to a path that begins with /",
    });
  }
  const home = custom?.replace(/\/+$/, "") || `${user.home === "/" ? "" : user.home}/.rbee`;
  const chosen = read("RBEE_CONFIG");
  return Object.freeze({
    home,
    registryDb: `${home}/beehives.db`,
    catalogDb: `${home}/models.db`,
    queenFile: `${home}/queen.json`,
    hiveFile: `${home}/hive.json`,
    queenToken: `${home}/queen.token`,
    hiveToken: `${home}/hive.token`,
    tlsCert: `${home}/tls/hive.crt`,
    tlsKey: `${home}/tls/hive.key`,
    calibrationFile: `${home}/calibration.json`,
    speedsFile: `${home}/speeds.json`,
    logs: `${home}/logs`,
    workers: `${home}/workers`,
    sshSockets: `${home}/s`,
    partial: `${home}/partial`,
    models: custom ? `${home}/models` : `${user.data}/rbee/models`,
    configFiles: chosen ? [chosen] : [`${user.config}/rbee/config.toml`, systemConfigFile],
  });
}

/** One block of most file systems. */
const writeProbeBytes = 4096;

/**
 * Makes the data folder (0700) and what lies in it, and returns its real path: programs run with it as their working
 * directory, and permissions are compared by real paths. Throws `HOME_NOT_WRITABLE`.
 */
export function prepareHome(p: Paths): string {
  const probe = `${p.home}/.write-${Deno.pid}`;
  try {
    for (const folder of [p.home, p.logs]) Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
    // Not an empty file: a full disk still takes its name, and the first thing to fail would be a half-written database.
    Deno.writeFileSync(probe, new Uint8Array(writeProbeBytes), { mode: 0o600 });
    Deno.removeSync(probe);
    return Deno.realPathSync(p.home);
  } catch (cause) {
    removeQuietly(probe);
    throw new RbeeError(isDiskFull(cause) ? "DISK_FULL" : "HOME_NOT_WRITABLE", {
      message: `Cannot write to ${p.home}: ${reason(cause)}`,
      details: { path: p.home },
      cause,
    });
  }
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // it was never made
  }
}

/** Whether an error says that no space is left. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && /os error 28\b|No space left|ENOSPC|os error 122\b/.test(error.message);
}

function reason(error: unknown): string {
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.AlreadyExists) {
    return "it is no folder";
  }
  return isDiskFull(error) ? "no space left on the disk" : (error instanceof Error ? error.message : String(error));
}
