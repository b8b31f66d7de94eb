import assert from "node:assert/strict";
import { inferMidStream, inWorld } from "../support/flows.ts";
import { World } from "../support/world.ts";

Deno.test("`up` is refused while a command holds the queen, and waits for her end when none does any more", () =>
  inWorld(async (world) => {
    const first = await inferMidStream(world, { tokens: 200 });
    const second = await inferMidStream(world, { tokens: 30_000 });
    assert.equal((await first.ends(30_000)).code, 0);

    const refused = await world.run("rbee", ["up"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /QUEEN_ALREADY_RUNNING/);
    assert.match(refused.stderr, /another command has one for itself/);

    // The command that started the queen has ended: she stays a moment after the last one that used her.
    const left = world.queenPid();
    second.interrupt();
    assert.equal((await second.ends(20_000)).code, 130);
    const up = await world.run("rbee", ["up"], { withinMs: 30_000 });
    assert.equal(up.code, 0, up.stderr);
    assert.match(up.stdout, /✓ The queen is up/);
    assert.notEqual(world.queenPid(), left);

    await world.down();
    await world.nothingLeft(4_000);
  }, () => new World()));
