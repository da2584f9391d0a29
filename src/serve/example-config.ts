// A complete configuration, as `raftmark serve --print-config` prints it: every field, with what it does. A test reads it.

export const EXAMPLE_CONFIG = `# A node of a raftmark service. This file may be the same on all machines: only the id differs, and
# \`raftmark serve --config node.yaml --id 2\` gives it. Paths are relative to this file.

id: 1
dataDir: ./data/{id}              # {id}: the node's id

# Every member: where the others reach it, and where clients do. An empty node begins with them. From then on its data says
# who the members are and where they listen, not this file: POST /members changes that ("Members" in docs/serve.md).
peers:
  1: { raft: "127.0.0.1:7001", http: "127.0.0.1:8081" }
  2: { raft: "127.0.0.1:7002", http: "127.0.0.1:8082" }
  3: { raft: "127.0.0.1:7003", http: "127.0.0.1:8083" }

# A node that joins a cluster: see "Members" in docs/serve.md.
# initialClusterState: existing

# The same on all members, 16 bytes at least: openssl rand -hex 32 > cluster.key
secretFile: ./cluster.key
# secret: "..."                   # or here
# Taken from the others as well, while the key is changed ("Trust" in docs/operate.md).
# otherSecretFile: ./other.key

# Where to listen, if not at the node's own addresses in peers; 0.0.0.0 is every address of the machine.
# listen: "0.0.0.0:7001"          # for the other members
# http: "0.0.0.0:8081"            # for clients. Whoever reaches it may read and write: keep it to those who should

# TLS between the members (docs/deploy/three-machines.md makes the files). SIGHUP reads them again.
# tls: { ca: ./ca.pem, cert: ./node-1.pem, key: ./node-1.key }

# Snapshots cut the log. Sizes are bytes.
# snapshotEveryBytes: 134217728   # of log
# snapshotEveryEntries: 0         # and after so many entries; 0: however many
# snapshotCatchUpBytes: 134217728 # of log kept for members that lag
# snapshotSendBytesPerS: 33554432 # to members that are behind the log
# catchUpBytesPerS: 16777216      # by which members that lag gain on the others

# requestTimeoutMs: 5000          # a request that has no outcome by then is answered with 504
# maxValueBytes: 1048576          # a longer value is answered with 413
# readOnly: safe                  # lease: reads without a round to a quorum, on the strength of the clocks
# durability: o_direct            # or o_dsync, fdatasync: each on the disk before it counts. Default: what the disk takes
                                  # none: waits for no disk, and loses acknowledged data with the power; for tests
# segmentBytes: 64000000          # of one file of the log
# tickMs: 100                     # an election begins after 10 to 19 ticks without a leader
# electionTicks: 10
# clusterId: 1                    # tells clusters apart that could reach each other
# logLevel: info                  # debug, info, warn, error
`;
