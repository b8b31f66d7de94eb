import { suite } from "./steps/mod.ts";

suite.feature(new URL("./edge_cases_remote.feature", import.meta.url));
