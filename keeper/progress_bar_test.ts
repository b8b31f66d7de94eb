import assert from "node:assert/strict";
import { bar, ProgressLine, stepOf } from "./progress_bar.ts";

const loading = (done: number, total = 32) =>
  stepOf({ stage: "loading_to_vram", layers_loaded: done, layers_total: total, vram_mb: 1 })!;

Deno.test("a bar has 20 cells and a percentage, whatever it is given", () => {
  assert.equal(bar(0.4), "[████████------------] 40%");
  assert.equal(bar(0), "[--------------------] 0%");
  assert.equal(bar(1), "[████████████████████] 100%");
  assert.equal(bar(7), bar(1));
  assert.equal(bar(NaN), bar(0));
  assert.equal(bar(0.6), "[████████████--------] 60%");
});

Deno.test("loading is told in layers, a download in megabytes", () => {
  assert.deepEqual(loading(12), { verb: "Loading", share: 0.375, amount: "12/32 layers" });
  const step = stepOf({
    stage: "downloading",
    bytes_downloaded: 2 * 1024 * 1024,
    bytes_total: 5 * 1024 * 1024,
    speed_mbps: 45.2,
  });
  assert.deepEqual(step, { verb: "Downloading", share: 0.4, amount: "2.0 MB / 5.0 MB", rest: "45.2 MB/s" });
  assert.equal(stepOf({ stage: "ready" }), undefined);
  const sending = { stage: "sending", file: "rbee-hive", bytes_sent: 1024 * 1024, speed_mbps: 9.96 } as const;
  const sent = stepOf({ ...sending, bytes_total: 4 * 1024 * 1024 });
  assert.deepEqual(sent, { verb: "Sending", share: 0.25, amount: "1.0 MB / 4.0 MB", rest: "10.0 MB/s, rbee-hive" });
});

Deno.test("on a pipe progress is plain lines: no bar, no escapes, few of them, and the last one always", () => {
  let text = "";
  let now = 0;
  const line = new ProgressLine({ repaints: false, columns: 80, write: (t) => text += t }, "[w]", () => now);
  for (let layers = 0; layers <= 32; layers++) {
    line.update(loading(layers));
    now += 100;
  }
  line.end();
  const lines = text.trimEnd().split("\n");
  assert.equal(lines[0], "[w] ⏳ Loading: 0% (0/32 layers)");
  assert.equal(lines.at(-1), "[w] ⏳ Loading: 100% (32/32 layers)");
  assert.ok(lines.length >= 5 && lines.length <= 8, text);
  // deno-lint-ignore no-control-regex -- terminal sequences begin with one
  assert.doesNotMatch(text, /\x1b|█/);
});

Deno.test("a slow load writes a line at least every five seconds", () => {
  const lines: string[] = [];
  let now = 0;
  const line = new ProgressLine({ repaints: false, columns: 80, write: (t) => lines.push(t) }, "[w]", () => now);
  line.update(loading(4));
  now = 4_000;
  line.update(loading(5));
  now = 9_100;
  line.update(loading(6));
  assert.deepEqual(lines.map((l) => l.match(/\d+\/\d+/)?.[0]), ["4/32", "6/32"]);
});

Deno.test("on a terminal one line is painted over and ends with a line break", () => {
  let text = "";
  const line = new ProgressLine({ repaints: true, columns: 80, write: (t) => text += t }, "[w]");
  line.update(loading(16));
  line.paint();
  line.clear();
  line.update(loading(32));
  line.end();
  assert.equal(
    text,
    "\r\x1b[2K[w] ⏳ Loading [██████████----------] 50% (16/32 layers)\r\x1b[2K" +
      "\r\x1b[2K[w] ⏳ Loading [████████████████████] 100% (32/32 layers)\n",
  );
});

Deno.test("what does not fit into the line is taken from the bar, not from the numbers", () => {
  let text = "";
  const line = new ProgressLine({ repaints: true, columns: 80, write: (t) => text += t }, "[rbee-hive]");
  line.update({ verb: "Downloading", share: 0.5, amount: "2048.0 MB / 4096.0 MB", rest: "45.2 MB/s" });
  line.end();
  const painted = text.replace("\r\x1b[2K", "").trimEnd();
  assert.match(painted, /^\[rbee-hive\] ⏳ Downloading \[█+-+\] 50% \(2048\.0 MB \/ 4096\.0 MB\) 45\.2 MB\/s$/);
  assert.equal([...painted].length, 78, "the hourglass takes two, and the cursor one");
});

Deno.test("a narrow terminal gets a cut line, never a second one", () => {
  let text = "";
  const line = new ProgressLine({ repaints: true, columns: 20, write: (t) => text += t }, "[w]");
  line.update(loading(16));
  line.end();
  assert.ok([...text.replace("\r\x1b[2K", "").trimEnd()].length < 20);
});

Deno.test("at 80 columns the speed of a download is whole: the bar is shorter then", () => {
  const painted = (columns: number) => {
    let text = "";
    const line = new ProgressLine({ repaints: true, columns, write: (t) => text += t }, "[rbee-hive]");
    const [bytes_downloaded, bytes_total] = [50 * 2 ** 20, 100 * 2 ** 20];
    line.update(stepOf({ stage: "downloading", bytes_downloaded, bytes_total, speed_mbps: 419 })!);
    line.end();
    return text.replace("\r\x1b[2K", "").trimEnd();
  };
  assert.equal(painted(80), "[rbee-hive] ⏳ Downloading [███████-------] 50% (50.0 MB / 100.0 MB) 419.0 MB/s");
  assert.match(painted(100), /\[█{10}-{10}\] 50% .* MB\/s$/);
});
