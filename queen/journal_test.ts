import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { rbeeDialect } from "../protocol/dialects/rbee.ts";
import { toErrorBody } from "../protocol/error.ts";
import { doneText } from "../protocol/sse.ts";
import { Journal } from "./journal.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function withTokens(count: number, bytesMax = 1_000_000): Journal {
  const journal = new Journal(bytesMax);
  for (let index = 0; index < count; index++) journal.append(rbeeDialect.token("ä", index));
  return journal;
}

Deno.test("it counts the tokens that went out, also when their first ones are not kept any more", () => {
  strictEqual(withTokens(12).tokens(), 12);
  const short = withTokens(500, 1_000);
  ok(short.bytes <= 1_000 && short.begin > 0);
  strictEqual(short.tokens(), 500);
  strictEqual(new Journal(10).tokens(), 0);
});

Deno.test("a token event that was cut in the middle does not count, and nothing may follow it directly", () => {
  const journal = withTokens(3);
  ok(journal.isAtBoundary);
  journal.append('id: 3\ndata: {"token":"x","ind');
  strictEqual(journal.tokens(), 3);
  ok(!journal.isAtBoundary);
});

Deno.test("it knows a finished stream by its end mark, also in pieces, and an error by the event before it", () => {
  const journal = withTokens(1);
  ok(!journal.isFinished);
  journal.append(rbeeDialect.error(toErrorBody(new Error("x"))).slice(0, -doneText.length));
  journal.append(doneText.slice(0, 5));
  ok(!journal.isFinished);
  journal.append(doneText.slice(5));
  ok(journal.isFinished && journal.endedWithError());
  const good = withTokens(1);
  good.append(`data: {"done":true}\n\n${doneText}`);
  ok(good.isFinished && !good.endedWithError());
});

Deno.test("a reader resumes behind the event that it has seen, byte-exact with characters of several bytes", () => {
  const journal = withTokens(5);
  deepStrictEqual(text(journal.from(journal.after("2"))), rbeeDialect.token("ä", 3) + rbeeDialect.token("ä", 4));
  strictEqual(text(journal.from(journal.after("4"))), "");
});

Deno.test("a reader that has seen what is not kept gets the rest from the first whole event on", () => {
  const journal = withTokens(500, 1_000);
  const rest = text(journal.from(journal.after("3")));
  ok(rest.startsWith("id: "));
  ok(rest.endsWith(rbeeDialect.token("ä", 499)));
});

Deno.test("whoever waits is woken by a new piece and by the end", async () => {
  const journal = new Journal(100);
  const first = journal.changed;
  journal.append("a");
  await first;
  const second = journal.changed;
  journal.close();
  await second;
  ok(journal.isClosed);
});

Deno.test("it keeps exactly the last bytes, however they come", () => {
  for (const sizes of [[1], [7, 130, 3], [999, 1, 2_500], [64, 64, 64, 4_096]]) {
    const journal = new Journal(1_000);
    let all = "";
    for (let n = 0; n < 200; n++) {
      const piece = String.fromCharCode(97 + n % 26).repeat(sizes[n % sizes.length]);
      all += piece;
      journal.append(piece);
      strictEqual(journal.end, all.length);
      strictEqual(text(journal.from(0)), all.slice(-1_000));
      strictEqual(text(journal.from(all.length - 5)), all.slice(-5));
    }
  }
});
