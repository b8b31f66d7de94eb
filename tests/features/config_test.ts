import { suite } from "./steps/mod.ts";

suite.feature(new URL("./config.feature", import.meta.url));
