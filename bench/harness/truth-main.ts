// The program of the truth check: a fresh process that has nothing but the files. Takes one request, sends one report.
import { messageOf } from "./bench-error.js";
import { checkTruth } from "./check-truth.js";
import { TruthRequest } from "./truth.js";

process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
process.on("disconnect", () => process.exit(1));
process.once("message", (raw) => void answer(raw));

async function answer(raw: unknown): Promise<void> {
  try {
    const report = await checkTruth(TruthRequest.parse(raw));
    process.send?.({ report }, () => process.exit(0));
  } catch (error) {
    process.send?.({ error: messageOf(error) }, () => process.exit(1));
  }
}
