import { suite } from "./steps/mod.ts";

suite.feature(new URL("./edge_cases.feature", import.meta.url));
