// What docs/deploy says is tried as it stands there, as far as one machine can: its certificates connect nodes, its
// configurations are sound, and the parts of the manifests agree with each other.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAllDocuments, parseDocument } from "yaml";
import { freePorts } from "../../bench/harness/ports.js";
import { newLogger, parseConfig, Service } from "../../src/serve/index.js";
import { scratchDir } from "../process/support.js";

const DOCS = fileURLToPath(new URL("../../../docs/deploy/", import.meta.url));
const scratch = scratchDir("deploy");
after(() => scratch.remove());

const machines = readFileSync(join(DOCS, "three-machines.md"), "utf8");
const block = (language: string, within: RegExp) => {
  const blocks = [...machines.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, "gs"))].map(
    ([, text]) => text,
  );
  const found = blocks.find((text) => within.test(text));
  assert.ok(found !== undefined, `${within} is in the page`);
  return found;
};
const has = (program: string) => spawnSync(program, ["--version"]).error === undefined;

test("three machines: key and certificates, made as the page says, connect three nodes", async (t) => {
  if (!has("openssl")) return t.skip("no openssl here");
  const commands = block("sh", /openssl rand/)
    .replaceAll("IP:10.0.0.%s", "IP:127.0.0.1")
    .replace("\\n' $id", "\\n'");
  assert.ok(!commands.includes("10.0.0."), commands);
  execFileSync("sh", ["-ec", commands], { cwd: scratch.path, stdio: "pipe" });
  const ports = await freePorts(6);
  const config = block("yaml", /^peers:/m)
    .replaceAll(/10\.0\.0\.(\d):7001/g, (_, id) => `127.0.0.1:${ports[Number(id) - 1]}`)
    .replaceAll(/10\.0\.0\.(\d):8080/g, (_, id) => `127.0.0.1:${ports[Number(id) + 2]}`);
  const services = await Promise.all(
    [1, 2, 3].map(async (id) => {
      const text = config
        .replace("/var/lib/raftmark", `data-${id}`)
        .replace("node.pem", `node-${id}.pem`)
        .replace("node.key", `node-${id}.key`);
      const parsed = await parseConfig(`${text}tickMs: 20\n`, join(scratch.path, "node.yaml"), id);
      return Service.open(parsed, newLogger("error", process.stderr, id));
    }),
  );
  try {
    const [leader] = await Promise.all(services.map(({ node }) => node.whenLeader({ timeoutMs: 20_000 })));
    const { http } = services[leader - 1];
    assert.equal((await fetch(`http://${http}/kv/a`, { method: "PUT", body: "b" })).status, 200);
    await services[0].reloadTls();
  } finally {
    await Promise.all(services.map((service) => service.close({ timeoutMs: 0 })));
  }
});

test("kubernetes: the parts agree, and the configuration is sound for every pod", async () => {
  const documents = parseAllDocuments(readFileSync(join(DOCS, "kubernetes.yaml"), "utf8"));
  for (const { errors } of documents) assert.deepEqual(errors, []);
  // biome-ignore lint/suspicious/noExplicitAny: manifests have types of their own, which are not ours to keep.
  const all: any[] = documents.map((document) => document.toJS());
  // biome-ignore lint/suspicious/noExplicitAny: see above.
  const kind = (name: string): any[] => all.filter((one) => one.kind === name);
  const [set] = kind("StatefulSet");
  const [container] = set.spec.template.spec.containers;
  const headless = kind("Service").find((one) => one.spec.clusterIP === "None");
  assert.equal(headless.metadata.name, set.spec.serviceName);
  assert.equal(headless.spec.publishNotReadyAddresses, true);
  const [{ data }] = kind("ConfigMap");
  writeFileSync(join(scratch.path, "cluster.key"), "0123456789abcdef0123456789abcdef");
  const text = data["node.yaml"].replace("/key/cluster.key", "cluster.key");
  // As a pod starts, with a raftmark that says how it was called.
  const started = (host: string, ids: string) => {
    writeFileSync(join(scratch.path, "ids"), ids);
    writeFileSync(join(scratch.path, "raftmark"), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
    const env = { HOSTNAME: host, PATH: `${scratch.path}:${process.env.PATH}` };
    const [line] = container.args;
    const args = [...container.command.slice(1), line.replace("/config/ids", join(scratch.path, "ids"))];
    return execFileSync(container.command[0], args, { encoding: "utf8", env }).trim();
  };
  const joined = "raftmark-2 4\nraftmark-10   17\n";
  const call = "serve --config /config/node.yaml --id";
  assert.equal(started("raftmark-1", joined), `${call} 2`);
  assert.equal(started("raftmark-2", joined), `${call} 4 --initial-cluster-state existing`);
  assert.equal(started("raftmark-10", joined), `${call} 17 --initial-cluster-state existing`);
  for (let pod = 0; pod < set.spec.replicas; pod++) {
    const host = `${set.metadata.name}-${pod}`;
    const id = Number(started(host, data.ids).split(" ").at(-1));
    assert.equal(id, pod + 1);
    const config = await parseConfig(text, join(scratch.path, "node.yaml"), id);
    assert.equal(config.peers.size, set.spec.replicas);
    const { raft, http } = config.peers.get(id)!;
    const ports = container.ports.map((port: { containerPort: number }) => port.containerPort);
    assert.equal(raft, `${host}.${set.spec.serviceName}:${ports[0]}`);
    assert.equal(http, `${host}.${set.spec.serviceName}:${ports[1]}`);
    assert.deepEqual([config.listen, config.http], [`0.0.0.0:${ports[0]}`, `0.0.0.0:${ports[1]}`]);
    const mounts = container.volumeMounts.map((mount: { mountPath: string }) => mount.mountPath);
    assert.ok(mounts.includes("/data") && config.dataDir.startsWith("/data/"));
    assert.ok(mounts.includes("/key") && mounts.includes("/config"));
  }
  const [budget] = kind("PodDisruptionBudget");
  assert.ok(budget.spec.maxUnavailable <= Math.floor((set.spec.replicas - 1) / 2));
  const key = set.spec.template.spec.volumes.find((volume: { name: string }) => volume.name === "key");
  assert.ok(
    readFileSync(join(DOCS, "kubernetes.yaml"), "utf8").includes(`secret generic ${key.secret.secretName} `),
  );
});

test("systemd: the unit runs the page's configuration, and systemd understands it", (t) => {
  const unit = readFileSync(join(DOCS, "raftmark@.service"), "utf8");
  assert.match(unit, /^ExecStart=.* raftmark serve --config \/etc\/raftmark\/node\.yaml --id %i$/m);
  const dataDir = parseDocument(block("yaml", /^peers:/m)).get("dataDir");
  assert.equal(dataDir, `/var/lib/${/^StateDirectory=(.*)$/m.exec(unit)?.[1]}`);
  // A reload that comes too early ends it, in order as systemd sees it.
  assert.match(unit, /^RestartForceExitStatus=SIGHUP$/m);
  if (!has("systemd-analyze")) return t.skip("no systemd-analyze here: only its words were compared");
  const { status, stderr } = spawnSync("systemd-analyze", ["verify", join(DOCS, "raftmark@.service")], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
});
