import { suite } from "./steps/mod.ts";

suite.feature(new URL("./hives_that_take_a_while.feature", import.meta.url));
