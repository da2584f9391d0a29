// `npm run conformance -- DIR`: runs every data-driven file and fixture below DIR.
// Exit code 0: all as expected; 1: something differs; 2: nothing could be run.
import { KINDS } from "./kinds.js";
import { findUnits, runUnits, type Unit } from "./runner.js";

const USAGE = `usage: npm run conformance -- DIR

Runs every conformance unit at or below DIR. What a unit is depends on the name of the folder it lies in:
${KINDS.map((kind) => `  ${kind.name}`).join("\n")}
Each unit that differs is named with its first difference. The last line is "N passed, M failed".
Exit code: 0 if M is 0, 1 if something differs, 2 if DIR can't be read or holds no unit.
`;

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(USAGE);
    return 0;
  }
  const unknown = args.find((arg) => arg.startsWith("-"));
  if (unknown !== undefined) return refuse(`unknown option ${unknown}\n${USAGE}`);
  if (args.length !== 1) return refuse(`one DIR is needed, ${args.length} given\n${USAGE}`);
  const dir = args[0];
  let units: Unit[];
  try {
    units = await findUnits(dir, KINDS);
  } catch (error) {
    return refuse(`can't read ${dir}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (units.length === 0) {
    const names = KINDS.map((kind) => kind.name).join(", ");
    return refuse(`nothing to run in ${dir}: no unit in a folder called ${names}`);
  }
  const { passed, failed } = await runUnits(dir, units, (text) => process.stdout.write(text));
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed > 0 ? 1 : 0;
}

function refuse(message: string): number {
  process.stderr.write(`conformance: ${message.trimEnd()}\n`);
  return 2;
}

// The reader may have seen enough (`| head`).
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 1 : 2));
process.exitCode = await main(process.argv.slice(2));
