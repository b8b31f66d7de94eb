/**
 * The texts that let the system keep a queen running: a unit for systemd, an agent for launchd. Pure.
 *
 * @module
 */

/** What a service runs, and as whom. */
export interface ServiceWish {
  /** The folder of the programs. */
  readonly bin: string;
  /** For everybody on this machine, started with it; otherwise for one person. */
  readonly system: boolean;
  /** Of a system's service: the person whose queen it is. Absent: a user that systemd makes for it. */
  readonly user?: string;
  /** Variables beside PATH: `RBEE_HOME`. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Stands in each file, so that only files of ours are replaced and removed. Without `--`: XML forbids it in comments. */
export const serviceMark = "Written by `rbee install` as its service";

/** The first folder is where the queen looks for `rbee-hive`; she may run that and `ssh` only. */
const pathOf = (bin: string) =>
  [bin, ...["/usr/local/bin", "/usr/bin", "/bin"].filter((folder) => folder !== bin)].join(":");

/** Where a queen that belongs to nobody keeps her data. */
const stateName = "rbee-queen";

/** Returns the text of the systemd unit. */
export function systemdUnit(wish: ServiceWish): string {
  const variables = { PATH: pathOf(wish.bin), ...stateHome(wish), ...wish.environment };
  return [
    `# ${serviceMark}; installing again replaces it. Settings of your own: systemctl ${
      wish.system ? "" : "--user "
    }edit rbee-queen`,
    "[Unit]",
    "Description=rbee queen",
    ...(wish.system ? ["Wants=network-online.target", "After=network-online.target"] : []),
    "StartLimitIntervalSec=60",
    "StartLimitBurst=5",
    "",
    "[Service]",
    "Type=exec",
    ...ownerLines(wish),
    ...Object.entries(variables).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`),
    `ExecStart=${quoted(`${wish.bin}/queen-rbee`)} daemon`,
    "Restart=on-failure",
    "RestartSec=2",
    "# She ends her hives and workers herself, and that takes up to 30 s.",
    "KillMode=mixed",
    "TimeoutStopSec=45",
    "StandardOutput=journal",
    "StandardError=journal",
    "",
    "[Install]",
    `WantedBy=${wish.system ? "multi-user.target" : "default.target"}`,
    "",
  ].join("\n");
}

function ownerLines({ system, user }: ServiceWish): string[] {
  if (!system) return [];
  if (user !== undefined) return [`User=${user}`];
  return ["DynamicUser=yes", `StateDirectory=${stateName}`, "StateDirectoryMode=0700"];
}

function stateHome({ system, user }: ServiceWish): Record<string, string> {
  return system && user === undefined ? { RBEE_HOME: `/var/lib/${stateName}` } : {};
}

/** A word of a unit: quoted, and its `%` no specifier. systemd.syntax(7). */
function quoted(text: string): string {
  const plain = text.replaceAll("%", "%%");
  return /^[\w@%+=:,./-]+$/.test(plain) ? plain : `"${plain.replace(/[\\"]/g, "\\$&")}"`;
}

/** Returns the text of the launchd agent. `log` receives what she writes: launchd has no journal. */
export function launchdAgent(wish: ServiceWish, { label, log }: { label: string; log: string }): string {
  const variables = { PATH: pathOf(wish.bin), ...wish.environment };
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    `<!-- ${serviceMark}; installing again replaces it. -->`,
    '<plist version="1.0">',
    "<dict>",
    ...pair("Label", string(label)),
    ...pair("ProgramArguments", `<array>${string(`${wish.bin}/queen-rbee`)}${string("daemon")}</array>`),
    ...pair(
      "EnvironmentVariables",
      `<dict>${Object.entries(variables).map(([k, v]) => key(k) + string(v)).join("")}</dict>`,
    ),
    ...(wish.user === undefined ? [] : pair("UserName", string(wish.user))),
    ...pair("RunAtLoad", "<true/>"),
    ...pair("KeepAlive", `<dict>${key("SuccessfulExit")}<false/></dict>`),
    ...pair("ExitTimeOut", "<integer>45</integer>"),
    ...pair("StandardOutPath", string(log)),
    ...pair("StandardErrorPath", string(log)),
    "</dict>",
    "</plist>",
    "",
  ].join("\n");
}

const pair = (name: string, value: string) => [`  ${key(name)}`, `  ${value}`];
const key = (name: string) => `<key>${escapeXml(name)}</key>`;
const string = (text: string) => `<string>${escapeXml(text)}</string>`;

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
