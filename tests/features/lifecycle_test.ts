import { suite } from "./steps/mod.ts";

suite.feature(new URL("./lifecycle.feature", import.meta.url));
