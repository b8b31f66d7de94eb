import { suite } from "./steps/mod.ts";

suite.feature(new URL("./commands.feature", import.meta.url));
