// `raftmark serve`: one node of the service in this process, until a signal ends it. Exit codes tell a service manager
// whether to start it again: see HELP.
import { Command, Option } from "commander";
import { type ErrorCode, type Logger, RaftmarkError } from "../index.js";
import {
  ConfigError,
  checkConfig,
  EXAMPLE_CONFIG,
  newLogger,
  readConfig,
  Service,
  type ServiceConfig,
} from "../serve/index.js";
import { CommandError } from "./command-error.js";

const FAULT = 1;
const UNUSABLE = 2;
/** Of a start that failed: it fails again until a person has mended something. Any other cause may pass by itself. */
const LASTING: readonly ErrorCode[] = [
  "RAFT_BAD_OPTION",
  "RAFT_MEMBERSHIP_DIFFERS",
  "WAL_CORRUPT",
  "WAL_NOT_WRITABLE",
];
/** Of SIGHUP. */
const NOT_ANEW = "The configuration and the cluster's key (secretFile) are read at the start alone.";

const HELP = `
What it serves, at the address of http in the configuration:
  PUT /kv/KEY               the body becomes the key's value; answers its revision
  GET /kv/KEY               the value, as of now: linearizable; ?stale=1: what this node has
  DELETE /kv/KEY            removes the key
  PUT /kv/KEY?cas=7         only if the key has revision 7 (also: If-Match: "7"); else 412 with the one it has
  PUT /kv/KEY?cas=0         only if the key is absent (also: If-None-Match: *); DELETE takes conditions, too
  Idempotency-Key: 17-1     with a PUT or DELETE: number 1 of session 17 (POST /sessions); asked again, it is made once
  GET /watch?from=INDEX     changes from that index on, a line of JSON each; &key= or &prefix= for some of them
  GET /members, POST /members, DELETE /members/ID   who is a member, and changes of that
  GET /status /cluster /metrics /livez /readyz, and / for a page that shows the cluster live
An error is JSON with a code, a sentence, and mayCommit: whether what was asked for may still take effect.

Examples:
  raftmark cluster up                          three nodes on this machine, with one command
  raftmark serve --print-config > node.yaml    a complete configuration; every field is explained in it
  openssl rand -hex 32 > cluster.key           the key that it names, the same for all members
  raftmark serve --config node.yaml --check    says what is wrong with it, with the line, and starts nothing
  raftmark serve --config node.yaml --id 2     one file for all machines, the id from here
  curl -X PUT localhost:8081/kv/greeting -d hello && curl localhost:8081/kv/greeting

Signals: SIGTERM and SIGINT hand leadership over and let what is under way end; a second one hurries. SIGHUP reads the
certificates again.

Exit codes:
  0   it was asked to end, or is no member of the cluster any more: not to be started again
  1   a fault ended it, or it could not start for what may pass: an address in use or not there yet, a lock, a full or failing
      disk. To be started again
  2   it cannot start until somebody mends it: the command line, the configuration or a file that it names, a dataDir that
      cannot be written to, a damaged log (WAL_CORRUPT)`;

interface Words {
  readonly config?: string;
  readonly id?: string;
  readonly initialClusterState?: "new" | "existing";
  readonly check?: true;
  readonly printConfig?: true;
}

export function serveCommand(): Command {
  return new Command("serve")
    .summary("one node of a replicated key-value service over HTTP")
    .description(
      "Runs one node of a replicated, linearizable key-value service: the reference for what a program builds on the engine. " +
        "One process a machine; three of them go on when one is lost.",
    )
    .option("--config <file>", "the node's configuration, YAML")
    .option("--id <id>", "this node's id, in place of the one in the configuration")
    .addOption(
      new Option(
        "--initial-cluster-state <state>",
        "the same of that field: existing for a node that joins a cluster; of an empty directory only",
      ).choices(["new", "existing"]),
    )
    .option("--check", "check the configuration and end")
    .option("--print-config", "print a complete configuration with every field explained, and end")
    .addHelpText("after", HELP)
    .action(async (words: Words) => {
      if (words.printConfig === true) process.stdout.write(EXAMPLE_CONFIG);
      else process.exitCode = await serve(words);
    });
}

async function serve({ config: file, id, initialClusterState, check }: Words): Promise<number> {
  if (file === undefined) {
    const text = "--config is missing: raftmark serve --print-config > node.yaml makes one to begin with.";
    throw new CommandError(UNUSABLE, text);
  }
  const config = await asSentence(() =>
    readConfig(file, id === undefined ? null : idOf(id), initialClusterState ?? null),
  );
  if (check === true) {
    const warnings = await asSentence(() => checkConfig(config));
    const members = [...config.peers.keys()].join(", ");
    process.stdout.write(
      `${file} is sound: node ${config.id} of ${members}, clients at ${config.http}, data in ${config.dataDir}\n`,
    );
    for (const { message } of warnings) process.stderr.write(`raftmark: ${message}.\n`);
    return 0;
  }
  return run(config);
}

async function run(config: ServiceConfig): Promise<number> {
  // Before anything is opened: a signal that comes meanwhile ends it when it is.
  const ending = new Ending();
  const logger = newLogger(config.logLevel, process.stderr, config.id);
  // What came while it opens was perhaps read before the signal.
  let reload = (): void => {
    isStale = true;
  };
  let isStale = false;
  process.on("SIGHUP", () => reload());
  let service: Service;
  try {
    service = await asSentence(() => Service.open(config, logger));
  } catch (error) {
    ending.release();
    if (process.stderr.isTTY || !(error instanceof CommandError)) throw error;
    // Where lines are JSON, so is the last.
    logger.error({ error: error.cause, exitCode: error.exitCode }, error.message);
    return error.exitCode;
  }
  tellServing(service, config, logger);
  reload = () => loadAnew(service, config, logger);
  if (isStale) reload();
  process.send?.({ serves: service.http });
  let exitCode = 0;
  void service.over.then(({ why, error }) => {
    if (why === "fault") {
      logger.error({ error }, `node ${config.id} ends after a fault: ${error.message}`);
      exitCode = FAULT;
      ending.now("a fault");
      return;
    }
    // It need not be started again: that is no failure.
    logger.warn({ error }, error.message);
    ending.now("it is no member any more");
  });
  const why = await ending.asked;
  logger.info({}, `${why}: node ${config.id} ends in order`);
  ending.onHurry = () => void service.close({ timeoutMs: 0 });
  await service.close();
  logger.info({}, `node ${config.id} has ended`);
  ending.release();
  return exitCode;
}

function tellServing({ http }: Service, { id, durability }: ServiceConfig, logger: Logger): void {
  logger.info({ http }, `node ${id} serves clients at http://${http}/`);
  if (!isLoopback(http))
    logger.warn({}, `whoever reaches ${http} may read and write all keys: keep it to those who should`);
  if (durability === "none")
    logger.warn({}, "durability: none waits for no disk: what was acknowledged is lost with the power");
}

/** SIGHUP came. */
function loadAnew(service: Service, { tls }: ServiceConfig, logger: Logger): void {
  if (tls === undefined) {
    logger.info({}, `SIGHUP: there is no tls in the configuration, and so nothing to load anew. ${NOT_ANEW}`);
    return;
  }
  service.reloadTls().then(
    () => logger.info({}, `SIGHUP: the files of tls were read again. ${NOT_ANEW}`),
    (error: Error) =>
      logger.error({ error }, `the certificates were not loaded anew, those in use stay: ${error.message}`),
  );
}

/** The signals that end the process, and the end of the one that started it with a channel to it. */
class Ending {
  /** Resolves with what asks for the end. */
  readonly asked: Promise<string>;
  /** Called when it is asked for again. */
  onHurry: () => void = () => {};
  private resolve: (why: string) => void = () => {};
  private wasAsked = false;
  private readonly onInt = () => this.now("SIGINT");
  private readonly onTerm = () => this.now("SIGTERM");
  private readonly onParent = () => this.now("whoever started this node is gone");

  constructor() {
    this.asked = new Promise((resolve) => {
      this.resolve = resolve;
    });
    process.on("SIGINT", this.onInt).on("SIGTERM", this.onTerm).on("disconnect", this.onParent);
  }

  now(why: string): void {
    if (this.wasAsked) this.onHurry();
    this.wasAsked = true;
    this.resolve(why);
  }

  /** Nothing keeps the process any more. */
  release(): void {
    process.off("disconnect", this.onParent);
    if (process.connected) process.disconnect();
  }
}

/** What the user can mend, as one sentence; anything else is a bug of ours. */
export async function asSentence<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ConfigError)
      throw new CommandError(UNUSABLE, error.message.replace(/[^.?]$/, "$&."), error);
    if (error instanceof RaftmarkError)
      throw new CommandError(
        LASTING.includes(error.code) ? UNUSABLE : FAULT,
        `${error.message} (${error.code}).`,
        error,
      );
    throw error;
  }
}

function idOf(text: string): number {
  const id = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(id) && id >= 1) return id;
  throw new CommandError(UNUSABLE, `--id: "${text}" is no node id: it is 1, 2, 3 and so on.`);
}

function isLoopback(address: string): boolean {
  return /^(127\.|localhost:|\[::1\])/.test(address);
}
