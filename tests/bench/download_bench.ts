/**
 * How fast a hive fetches a model, digest checked and taken to the disk, against `curl` to the same disk: the same hub
 * serves both, in turns.
 *
 * @module
 */
import { fromFileUrl, join } from "../../runtime/path.ts";
import { HubWorld, modelOf } from "../support/hub_world.ts";
import { removeFolder } from "../support/temporary.ts";
import { copies } from "./download_copies.ts";
import { median, say, sayTable } from "./figures.ts";

const modelBytes = 1_000_000_000;
const pairs = 7;
const slowRuns = 3;
const repo = "bench/model-GGUF";
const file = "model-Q8_0.gguf";
const ref = `hf:${repo}:Q8_0`;
const script = fromFileUrl(new URL("../support/hub_server_main.ts", import.meta.url));

/** Measures and prints. */
export async function run(): Promise<void> {
  await using at = new HubWorld();
  const folder = join(at.world.root, "hub");
  await writeModel(join(folder, repo, file));
  // A process of its own: with curl beside it the hub must not compute where we measure.
  const hub = await startHub(folder);
  try {
    at.world.env.HF_ENDPOINT = hub.url;
    await at.world.startHive();
    say(
      `\ndownload of ${
        modelBytes / 1e9
      } GB from this machine: rbee with digest and fsync, against curl; ${pairs} pairs`,
    );
    const rounds: Round[] = [];
    await withHive(at); // whatever is slow the first time
    for (let pair = 0; pair < pairs; pair++) rounds.push(await round(at, hub.url, pair % 2 === 0));
    tell(rounds);
    await slowConnections(at, hub.url);
  } finally {
    hub.end();
  }
  await copies();
}

/** A server that gives each connection only so much, as those far away do. */
async function slowConnections(at: HubWorld, hub: string): Promise<void> {
  const bytesPerSecond = 20_000_000;
  const set = (faults: unknown[]) => fetch(`${hub}/_faults`, { method: "POST", body: JSON.stringify(faults) });
  await (await set([{ on: "bytes", bytesPerSecond }])).body?.cancel();
  const rates: number[] = [];
  for (let run = 0; run < slowRuns; run++) rates.push(modelBytes / 1e6 / (await withHive(at) / 1_000));
  await (await set([])).body?.cancel();
  const each = bytesPerSecond / 1e6;
  say(
    `each connection gets ${each} MB/s at most: rbee fetches ${median(rates).toFixed(0)} MB/s; median of ${slowRuns}`,
  );
}

interface Round {
  readonly hiveMs: number;
  readonly curlMs: number;
  readonly curlSyncMs: number;
  readonly curlSumMs: number;
}

async function round(at: HubWorld, hub: string, hiveFirst: boolean): Promise<Round> {
  const early = hiveFirst ? await withHive(at) : undefined;
  const curl = await withCurl(at, hub);
  return { ...curl, hiveMs: early ?? await withHive(at) };
}

function tell(rounds: readonly Round[]): void {
  const row = (what: string, ms: (round: Round) => number) => {
    const rate = (one: Round) => modelBytes / 1e6 / (ms(one) / 1_000);
    const ratio = (one: Round) => ms(one) / one.hiveMs;
    const ratios = rounds.map(ratio);
    return [what, median(rounds.map(rate)), median(ratios), Math.min(...ratios), Math.max(...ratios)];
  };
  sayTable([
    ["", "MB/s", "rbee's rate / this", "least", "most"],
    row("rbee: fetched, hashed, on disk", ({ hiveMs }) => hiveMs),
    row("curl", ({ curlMs }) => curlMs),
    row("curl, then sync", ({ curlSyncMs }) => curlSyncMs),
    row("curl, then sync and sha256sum", ({ curlSumMs }) => curlSumMs),
  ]);
}

async function withHive(at: HubWorld): Promise<number> {
  const begun = performance.now();
  const { last } = await at.pull(ref);
  if (last.stage !== "complete") throw new Error(JSON.stringify(last));
  const ms = performance.now() - begun;
  removeFolder(at.models);
  return ms;
}

async function withCurl(at: HubWorld, hub: string): Promise<Omit<Round, "hiveMs">> {
  const to = join(at.world.home, "curl.gguf");
  const begun = performance.now();
  await command("curl", ["-sfL", "-o", to, `${hub}/${repo}/resolve/main/${file}`]);
  const curlMs = performance.now() - begun;
  await command("sync", ["-d", to]);
  const curlSyncMs = performance.now() - begun;
  await command("sha256sum", [to]);
  const curlSumMs = performance.now() - begun;
  Deno.removeSync(to);
  return { curlMs, curlSyncMs, curlSumMs };
}

async function command(exe: string, args: string[]): Promise<void> {
  const { success } = await new Deno.Command(exe, { args, stdout: "null" }).output();
  if (!success) throw new Error(`Cannot run ${exe}`);
}

async function writeModel(path: string): Promise<void> {
  Deno.mkdirSync(join(path, ".."), { recursive: true });
  using out = await Deno.open(path, { write: true, create: true });
  const piece = modelOf(16_000_000);
  for (let at = 0; at < modelBytes;) at += await out.write(piece.subarray(0, modelBytes - at));
}

async function startHub(folder: string): Promise<{ url: string; end: () => void }> {
  const args = ["run", "-A", "--no-check", "--quiet", script, "--folder", folder];
  const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const { url } = JSON.parse(new TextDecoder().decode(value).split("\n")[0]);
  return {
    url,
    end: () => {
      child.kill();
      void reader.cancel();
    },
  };
}
