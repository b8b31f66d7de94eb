/**
 * The flags of `rbee setup`, and of the older names below `config`.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { checkAdd } from "./setup_flags.ts";
import { ports } from "../protocol/limits.ts";
import { host, login, name, number, portRange, text } from "./options.ts";
import { addInstall } from "./setup_install_command.ts";
import { examples, type Invoke, jsonOption, quietOption } from "./shared_flags.ts";

const sshPort = { min: 1, max: ports.max };

/** Adds `setup add-node|update-node|list-nodes|show-node|test-node|remove-node|install|uninstall`. */
export function addSetup(root: Command, invoke: Invoke): void {
  const setup = root.command("setup").description("the other machines")
    .addHelpText(
      "after",
      examples(
        "rbee setup add-node --name gaming-pc --ssh-host gaming-pc.home.arpa --ssh-user me",
        "rbee setup install --node gaming-pc",
        'rbee infer --node gaming-pc --prompt "write a short story"',
      ),
    );
  addAdd(setup, "add-node", invoke);
  addUpdate(setup, invoke);
  addList(setup, "setup", invoke);
  addShow(setup, invoke);
  addTest(setup, invoke);
  addRemove(setup, "setup", invoke);
  addInstall(setup, invoke);
}

/** Adds `config set-ssh|list-nodes|remove-node`, the older names. */
export function addOldNames(config: Command, invoke: Invoke): void {
  addAdd(config, "set-ssh", invoke);
  addList(config, "config", invoke);
  addRemove(config, "config", invoke);
}

const nameOption = () =>
  new Option("--name <name>", "what the machine is called here").argParser(name).makeOptionMandatory();

/** `defaults` tells what is taken when a flag is left out; a change leaves it as it is. */
function loginOptions(defaults: boolean): Option[] {
  const unless = (value: string) => defaults ? ` (default: ${value})` : "";
  return [
    new Option("--ssh-host <host>", "its name or address, or a Host of ~/.ssh/config").argParser(host),
    new Option("--ssh-user <user>", "who logs in there").argParser(login),
    new Option("--ssh-port <port>", "the port of its sshd; 22 leaves it to ~/.ssh/config").argParser(number(sshPort)),
    new Option("--ssh-key <file>", "the private key; left out, ssh chooses").argParser(text),
    new Option("--git-repo <address>", "build rbee there from this repository").argParser(text),
    new Option("--git-branch <branch>", "this branch of it").argParser(text),
    new Option("--install-path <folder>", `where rbee lies there${unless("~/rbee")}`).argParser(text),
    new Option("--hive-port <port>", `the port of its hive${unless(`${ports.hive}`)}`).argParser(number(ports)),
    new Option(
      "--worker-ports <first-last>",
      `the ports of its workers${unless(`${ports.workerStart}-${ports.workerEnd}`)}`,
    ).argParser(portRange),
  ];
}

function directOptions(): Option[] {
  return [
    new Option("--address <address[:port]>", "direct: where its hive listens").argParser(text),
    new Option("--token-file <file>", "direct: the hive's token, in a file of yours (0600)").argParser(text),
    new Option("--ca-cert <file>", "direct: its certificate; `rbee-hive fingerprint` there names it").argParser(text),
    new Option("--plaintext", "direct: no TLS; everybody on that network can read along"),
  ];
}

const transportOption = () =>
  new Option("--transport <way>", "ssh, or direct for a hive that listens on a trusted network")
    .choices(["ssh", "direct"]).default("ssh");

function addAdd(parent: Command, word: string, invoke: Invoke): void {
  const isOld = word !== "add-node";
  const add = parent.command(word, { hidden: isOld })
    .description(isOld ? "older name of setup add-node" : "register a machine, when it is reached")
    .addOption(nameOption());
  if (!isOld) add.addOption(transportOption());
  for (const option of [...loginOptions(true), ...(isOld ? [] : directOptions())]) add.addOption(option);
  add.addOption(quietOption()).addOption(jsonOption())
    .addHelpText(
      "after",
      examples(
        `rbee ${parent.name()} ${word} --name gaming-pc --ssh-host 192.168.1.10 --ssh-user me`,
        `rbee ${parent.name()} ${word} --name mac --ssh-host mac.local --ssh-user me --ssh-key ~/.ssh/id_ed25519`,
        ...(isOld ? [] : [
          `rbee setup add-node --name fast --transport direct --address 10.0.0.2 --token-file t --ca-cert hive.crt`,
        ]),
      ),
    )
    .action((options, command: Command) => {
      checkAdd(command, options);
      return invoke({ ...options, action: async (keeper) => (await import("./setup.ts")).addNode(keeper, options) });
    });
}

function addUpdate(parent: Command, invoke: Invoke): void {
  const update = parent.command("update-node").description("change what is known of a machine; the rest stays")
    .addOption(nameOption());
  for (const option of [...loginOptions(false), ...directOptions()]) update.addOption(option);
  update.addOption(quietOption()).addOption(jsonOption())
    .addHelpText("after", examples("rbee setup update-node --name gaming-pc --ssh-host 192.168.1.11"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./setup.ts")).updateNode(keeper, options) })
    );
}

function addList(parent: Command, group: string, invoke: Invoke): void {
  parent.command("list-nodes", { hidden: group === "config" }).description("all registered machines")
    .addOption(jsonOption())
    .addHelpText(
      "after",
      examples(`rbee ${group} list-nodes`, `rbee ${group} list-nodes --json | jq '.nodes[].status'`),
    )
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./setup.ts")).listNodes(keeper) })
    );
}

function addShow(parent: Command, invoke: Invoke): void {
  parent.command("show-node").description("everything that is known of one machine")
    .addOption(nameOption()).addOption(jsonOption())
    .addHelpText("after", examples("rbee setup show-node --name gaming-pc"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./setup.ts")).showNode(keeper, options) })
    );
}

function addTest(parent: Command, invoke: Invoke): void {
  parent.command("test-node").description("reach it once, and note whether that worked")
    .addOption(nameOption()).addOption(quietOption()).addOption(jsonOption())
    .addHelpText("after", examples("rbee setup test-node --name gaming-pc"))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./setup.ts")).testNode(keeper, options) })
    );
}

function addRemove(parent: Command, group: string, invoke: Invoke): void {
  parent.command("remove-node", { hidden: group === "config" })
    .description("forget a machine; nothing is changed on it")
    .addOption(nameOption()).addOption(quietOption()).addOption(jsonOption())
    .addHelpText("after", examples(`rbee ${group} remove-node --name gaming-pc`))
    .action((options) =>
      invoke({ ...options, action: async (keeper) => (await import("./setup.ts")).removeNode(keeper, options) })
    );
}
