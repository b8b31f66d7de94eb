/**
 * The hub of tests as a process of its own, for other machines and network namespaces:
 * `deno run -A hub_server_main.ts --folder F [--listen A] [--port N] [--cdn-port N] [--token T]`.
 * `F/<org>/<repo>/<file>` are its repositories. Prints one JSON line with its address when it listens, and runs until it is
 * killed. `GET /_stats` and `POST /_faults` drive it.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { HubServer } from "./hub_server.ts";

/** Returns the files of a folder, their paths relative to it. */
function* filesUnder(folder: string, below = ""): Generator<string> {
  for (const entry of Deno.readDirSync(`${folder}/${below}`)) {
    if (entry.isDirectory) yield* filesUnder(folder, `${below}${entry.name}/`);
    else yield below + entry.name;
  }
}

const { values } = parseArgs({
  options: {
    ...{ folder: { type: "string" }, listen: { type: "string" }, port: { type: "string" } },
    ...{ "cdn-port": { type: "string" }, token: { type: "string" } },
  },
});
const hub = new HubServer({
  hostname: values.listen,
  port: Number(values.port ?? 0),
  cdnPort: Number(values["cdn-port"] ?? 0),
  accepted: values.token ? [values.token] : [],
});
const repos = new Map<string, Record<string, string>>();
for (const path of values.folder ? filesUnder(values.folder) : []) {
  const [org, repo, ...rest] = path.split("/");
  if (rest.length === 0) continue;
  repos.set(`${org}/${repo}`, { ...repos.get(`${org}/${repo}`), [rest.join("/")]: `${values.folder}/${path}` });
}
for (const [id, files] of repos) await hub.add(id, files);
console.log(JSON.stringify({ url: hub.url, cdn: hub.cdnUrl }));
