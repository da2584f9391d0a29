// Every scenario there is, by name.
import type { Scenario } from "../harness/scenario.js";
import { canonical } from "./canonical.js";

export const SCENARIOS: readonly Scenario[] = [canonical];
