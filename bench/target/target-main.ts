// The program of a client process: takes one plan, loads, sends one result. Ends with its parent.
import { TargetLoad, type TargetLoadPlan } from "./target-load.js";

process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
process.on("disconnect", () => process.exit(1));
let load: TargetLoad | null = null;
process.on("message", (message: TargetLoadPlan | "stop") => {
  if (message === "stop") load?.stop();
  else if (load === null) {
    load = new TargetLoad(message);
    load
      .run((open) => process.send?.({ window: open }))
      .then(
        ({ writes, reads, ...rest }) =>
          process.send?.({ result: { ...rest, writes: { ...writes }, reads: { ...reads } } }, () =>
            process.exit(0),
          ),
        (error: Error) => process.send?.({ error: error.stack ?? error.message }, () => process.exit(1)),
      );
  }
});
