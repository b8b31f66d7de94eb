import { suite } from "./steps/mod.ts";

suite.feature(new URL("./gpu.feature", import.meta.url));
