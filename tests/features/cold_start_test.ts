import { suite } from "./steps/mod.ts";

suite.feature(new URL("./cold_start.feature", import.meta.url));
