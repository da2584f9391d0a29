// How long does the leader take to find the commit index of an acknowledgement, by number of voters?
import { JointConfig, MajorityConfig } from "../../src/raft/quorum/index.js";
import { consume, type MicroCase } from "./suite.js";

const OPS = 1000;

export function quorumCases(): MicroCase[] {
  const cases = [3, 5, 7].map((voters) =>
    commitCase(`majority commit, ${voters} voters`, config(voters, 0), voters),
  );
  return [...cases, commitCase("joint commit, 3 and 3 voters", config(3, 3), 6)];
}

function config(incoming: number, outgoing: number): JointConfig {
  const ids = (count: number, from: number) => Array.from({ length: count }, (_, i) => from + i);
  return new JointConfig(
    new MajorityConfig(ids(incoming, 1)),
    new MajorityConfig(ids(outgoing, incoming + 1)),
  );
}

function commitCase(name: string, voters: JointConfig, count: number): MicroCase {
  const acked = new Float64Array(count + 1);
  const indexer = { ackedIndex: (id: number) => acked[id] };
  return {
    name,
    ops: OPS,
    run() {
      let sum = 0;
      for (let i = 0; i < OPS; i++) {
        // One follower at a time moves ahead, as acknowledgements come in.
        acked[1 + (i % count)] = i;
        sum += voters.committedIndex(indexer);
      }
      consume(sum);
    },
  };
}
