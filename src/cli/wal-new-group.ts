// `raftmark wal new-group`: words of the command line, how far it is, and what was taken over in sentences.
import { Command } from "commander";
import { grouped, plural } from "../../bench/report/numbers.js";
import { type Begun, newGroup } from "../node/new-group.js";
import { ByteProgress } from "./byte-progress.js";
import { wholeNumber } from "./words.js";

interface Words {
  readonly id: string;
  readonly clusterId: string;
  readonly address: string;
}

export function newGroupCommand(
  readable: (dir: string, work: () => Promise<number>) => Promise<number>,
): Command {
  return new Command("new-group")
    .summary("begin a new group with what a member of another has, where that one is lost, or with a backup")
    .description(
      "Makes <new-dir> the directory of a group of one member, which begins with the newest snapshot in <source> and all " +
        "entries behind it. Other members join it with empty directories, as they join any group. <source> is only read. " +
        "Whether entries that were not known to be committed there had been acknowledged nobody can tell: the new group has " +
        "them. What only the lost members had is not in it.",
    )
    .argument("<source>", "a stopped member's directory, or one of its .snap files (a backup)")
    .argument("<new-dir>", "option dir of the new group's first member; it is made, or is empty")
    .requiredOption("--id <number>", "option id of that member")
    .requiredOption(
      "--cluster-id <number>",
      "option clusterId of the new group: not the old one's (of which a .snap file alone says nothing)",
    )
    .requiredOption("--address <host:port>", "where other members will reach it, as in option peers")
    .addHelpText(
      "after",
      `
Never while members of the old group may still run: two groups would go on with the same data.
Of the members left, take the one with the longest log: the greatest term of its last entry, then the greatest index
(raftmark wal verify DIR).

Examples:
  raftmark wal new-group ./old/3 ./data/1 --id 1 --cluster-id 2 --address 10.0.0.1:7001
  raftmark wal new-group backup.snap ./data/1 --id 1 --cluster-id 2 --address 10.0.0.1:7001

Exit codes: 0 made; 2 not made, and nothing changed: bad usage, or a source that is damaged, in use or unreadable.
A run that was killed is run again with the same words.`,
    )
    .action(async (source: string, dir: string, { id, clusterId, address }: Words) => {
      const group = {
        id: wholeNumber("id", id, 1, Number.MAX_SAFE_INTEGER),
        clusterId: wholeNumber("cluster-id", clusterId, 1, Number.MAX_SAFE_INTEGER),
        address,
      };
      process.exitCode = await readable(`${source} and ${dir}`, async () => {
        let progress: ByteProgress | null = null;
        const begun = await newGroup(source, dir, group, (done, size) => {
          progress ??= new ByteProgress(process.stderr, "copying the snapshot", size);
          progress.at(done);
        }).finally(() => progress?.end());
        process.stdout.write(textOf(begun, dir, group));
        return 0;
      });
    });
}

function textOf(
  { isClusterKnown, snapshot, damaged, entries, lastIndex, uncertain }: Begun,
  dir: string,
  { id, clusterId, address }: { id: number; clusterId: number; address: string },
): string {
  const lines = [`made ${dir}: node ${id} at ${address}, the only member of cluster ${clusterId}`];
  for (const path of damaged)
    lines.push(`not taken: ${path} is damaged; an older snapshot and the log stand for it`);
  if (snapshot !== null)
    lines.push(`taken: the snapshot at index ${snapshot.index} (${grouped(snapshot.bytes)} bytes of state)`);
  const where = snapshot === null ? "" : " behind it";
  if (entries > 0)
    lines.push(`taken: ${plural(entries, "entry", "entries")}${where}, up to index ${lastIndex}`);
  if (uncertain > 0) {
    const [which, them] =
      uncertain === 1 ? ["the last entry", "it"] : [`the last ${uncertain} entries`, "them"];
    lines.push(`${which} may never have been committed: the new group has ${them} all the same`);
  }
  if (!isClusterKnown)
    lines.push(
      `not checked: a snapshot names no cluster; if the old group's clusterId is ${clusterId}, remove ${dir} and take another`,
    );
  return `${lines.join("\n")}\n`;
}
