import { suite } from "./steps/mod.ts";

suite.feature(new URL("./hive_preflight.feature", import.meta.url));
