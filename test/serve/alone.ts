// A node of the service alone, in this process, for tests of what it answers.
import { join } from "node:path";
import { newLogger, parseConfig, Service } from "../../src/serve/index.js";

/** Quick, and silent but for errors; `more` are further lines of the configuration. */
export function aloneConfig(more = ""): string {
  return `
id: 1
dataDir: data
peers: { 1: { raft: "127.0.0.1:0", http: "127.0.0.1:0" } }
secret: 0123456789abcdef
tickMs: 10
durability: none
logLevel: error
${more}`;
}

/** With paths of `config` below `dir`. */
export async function openAlone(dir: string, config: string): Promise<Service> {
  return Service.open(
    await parseConfig(config, join(dir, "node.yaml")),
    newLogger("error", process.stderr, 1),
  );
}
