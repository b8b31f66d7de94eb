import assert from "node:assert/strict";
import { StopText } from "./stop_text.ts";

function all(stops: string[], pieces: string[]): { given: string[]; rest: string; found: boolean } {
  const stop = new StopText(stops);
  const given = pieces.map((piece) => stop.push(piece));
  return { given, rest: stop.rest(), found: stop.found };
}

Deno.test("without stop strings every piece passes at once", () => {
  assert.deepEqual(all([], ["a", "", "b"]), { given: ["a", "", "b"], rest: "", found: false });
});

Deno.test("a stop string inside one piece cuts it there", () => {
  assert.deepEqual(all(["\n"], ["one\ntwo", "three"]), { given: ["one", ""], rest: "", found: true });
});

Deno.test("a stop string across three pieces is found and none of it is given out", () => {
  assert.deepEqual(all(["STOP"], ["a S", "TO", "P b"]), { given: ["a ", "", ""], rest: "", found: true });
});

Deno.test("what could have become a stop string is given out once it did not", () => {
  assert.deepEqual(all(["STOP"], ["ST", "ORY"]), { given: ["", "STORY"], rest: "", found: false });
});

Deno.test("a text that ends on half a stop string gives that half as its rest", () => {
  assert.deepEqual(all(["STOP"], ["the ST"]), { given: ["the "], rest: "ST", found: false });
});

Deno.test("of two stop strings the one that begins earlier cuts", () => {
  assert.deepEqual(all(["world", "lo"], ["hello world"]), { given: ["hel"], rest: "", found: true });
});

Deno.test("a stop string that begins like itself is found at its later beginning", () => {
  assert.deepEqual(all(["aab"], ["a", "a", "a", "b"]), { given: ["", "", "a", ""], rest: "", found: true });
});

Deno.test("joined, what is given and the rest are the text before the first match, however it is cut", () => {
  const text = "abcabdabcabcabe and then some abca";
  for (const stops of [["abcabe"], ["abe", "then"], ["xyz"], ["abcab", "some"]]) {
    for (let size = 1; size <= 7; size++) {
      const pieces = text.match(new RegExp(`.{1,${size}}`, "g"))!;
      const { given, rest } = all(stops, pieces);
      const at = Math.min(...stops.map((s) => text.indexOf(s)).filter((n) => n >= 0), text.length);
      assert.equal(given.join("") + rest, text.slice(0, at), `${stops} in pieces of ${size}`);
    }
  }
});
