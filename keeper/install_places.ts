/**
 * Where an installation puts what: for one person, or for everybody on this machine.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { environment } from "../runtime/environment.ts";
import { paths, systemConfigFile, userFolders } from "../runtime/paths.ts";

/** The shells that get a completion file. */
export type Shell = "bash" | "zsh" | "fish";

/** Absolute paths. */
export interface Places {
  /** For everybody on this machine. */
  readonly system: boolean;
  readonly bin: string;
  readonly configFile: string;
  readonly models: string;
  readonly completions: Readonly<Record<Shell, string>>;
  /** The service's file: of systemd, on macOS of launchd. */
  readonly unit: string;
}

/** The service's name for systemd. */
export const unitName = "rbee-queen.service";

/** The service's name for launchd. */
export const agentLabel = "org.rbee.queen";

/** What decides about places besides `--system`; those of this process by default. */
export interface Surroundings {
  /** Gives an environment variable. */
  readonly read?: (name: string) => string | undefined;
  readonly os?: typeof Deno.build.os;
}

/** Returns the places. Throws `CONFIG_INVALID` when HOME is not set and a person's places are wanted. */
export function placesFor(system: boolean, { read = environment, os = Deno.build.os }: Surroundings = {}): Places {
  return system ? systemPlaces(os) : userPlaces(read, os);
}

function systemPlaces(os: string): Places {
  return {
    system: true,
    bin: "/usr/local/bin",
    configFile: systemConfigFile,
    models: "/var/lib/rbee/models",
    completions: {
      bash: "/usr/local/share/bash-completion/completions/rbee",
      zsh: "/usr/local/share/zsh/site-functions/_rbee",
      fish: "/usr/local/share/fish/vendor_completions.d/rbee.fish",
    },
    unit: os === "darwin" ? `/Library/LaunchDaemons/${agentLabel}.plist` : `/etc/systemd/system/${unitName}`,
  };
}

function userPlaces(read: (name: string) => string | undefined, os: string): Places {
  const { home, config, data } = userFolders(read);
  if (home === "/" || hasControl(home)) {
    throw new RbeeError("CONFIG_INVALID", {
      message: "Cannot tell where to install: HOME is not a person's folder",
      hint: "Set HOME, or install for everybody: rbee install --system",
    });
  }
  return {
    system: false,
    bin: `${home}/.local/bin`,
    configFile: `${config}/rbee/config.toml`,
    models: paths(read).models,
    completions: {
      bash: `${data}/bash-completion/completions/rbee`,
      zsh: `${data}/zsh/site-functions/_rbee`,
      fish: `${config}/fish/completions/rbee.fish`,
    },
    unit: os === "darwin" ? `${home}/Library/LaunchAgents/${agentLabel}.plist` : `${config}/systemd/user/${unitName}`,
  };
}

/** A line break in a path would begin a new line in the service's file. */
function hasControl(path: string): boolean {
  // deno-lint-ignore no-control-regex -- these very characters are looked for
  return /[\x00-\x1f\x7f]/.test(path);
}
