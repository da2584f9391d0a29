// The files of TLS: what --check and the start say of those that cannot be used, or not any more.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, mock, test } from "node:test";
import { CertificatesSeen, readCertificates } from "../../src/serve/certificates.js";
import { ConfigError, checkConfig, newLogger, parseConfig, Service } from "../../src/serve/index.js";
import { Authority, expiry, NO_OPENSSL, type Pems } from "../link/certificates.js";
import { scratchDir } from "../process/support.js";

const scratch = scratchDir("certificates");
after(() => scratch.remove());
const FILE = join(scratch.path, "node.yaml");
const CONFIG = `id: 1
dataDir: data
peers: { 1: { raft: "127.0.0.1:0", http: "127.0.0.1:0" } }
secret: 0123456789abcdef
durability: none
tls:
  ca: ca.pem
  cert: node.pem
  key: node.key
`;

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(scratch.path, name), text);
}

test("TLS: a key of another certificate, and files that are something else, with field and path", {
  skip: NO_OPENSSL,
}, async () => {
  const authority = new Authority();
  const [one, other] = [authority.member(), authority.member()];
  const forServers = authority.member("IP:127.0.0.1", "serverAuth");
  const locked = authority.locked(one.key);
  const half = authority.ca.slice(0, authority.ca.length / 2);
  authority.remove();
  const good = { "ca.pem": one.ca, "node.pem": one.cert, "node.key": one.key };
  const cases: [Readonly<Record<string, string>>, RegExp][] = [
    [
      { "node.key": other.key },
      /^F:9:8: tls\.key: .*\/node\.key does not belong to the certificate in .*\/node\.pem$/,
    ],
    [{ "node.key": one.cert }, /^F:9:8: tls\.key: .*\/node\.key cannot be used: /],
    [{ "node.key": locked }, /^F:9:8: tls\.key: .*\/node\.key is encrypted, .* writes it without$/],
    [{ "node.pem": one.key }, /^F:8:9: tls\.cert: .*\/node\.pem has no certificate in PEM$/],
    [{ "ca.pem": one.ca + half }, /^F:7:7: tls\.ca: .*\/ca\.pem has a certificate that is cut off$/],
    [{ "ca.pem": "" }, /^F:7:7: tls\.ca: .*\/ca\.pem has no certificate in PEM$/],
    [
      { "ca.pem": one.cert },
      /^F:8:9: tls\.cert: .*\/node\.pem would be refused .*no authority in tls\.ca vouches/,
    ],
    [
      { "node.pem": forServers.cert, "node.key": forServers.key },
      /^F:8:9: tls\.cert: .*\/node\.pem would be refused .*: it is not for a TLS client;/,
    ],
  ];
  const config = await parseConfig(CONFIG, FILE);
  for (const [bad, expected] of cases) {
    write({ ...good, ...bad });
    const isRefusal = (error: Error) => {
      assert.match(error.message.replace(FILE, "F"), expected);
      return error instanceof ConfigError;
    };
    await assert.rejects(checkConfig(config), isRefusal);
    await assert.rejects(Service.open(config, newLogger("error", process.stderr, 1)), isRefusal);
  }
  write(good);
  await checkConfig(config);
});

test("TLS: --check refuses a certificate that has expired, and the start warns of it", {
  skip: NO_OPENSSL,
}, async () => {
  const authority = new Authority();
  const late = authority.member("IP:127.0.0.1", "serverAuth,clientAuth", undefined, 0);
  write({ "ca.pem": authority.ca, "node.pem": late.cert, "node.key": late.key });
  authority.remove();
  await expiry(late);
  const config = await parseConfig(CONFIG, FILE);
  const expected = /:8:9: tls\.cert: .*\/node\.pem expired on \d{4}-\d\d-\d\d: the other members refuse it$/;
  await assert.rejects(checkConfig(config), expected);
  const warnings: string[] = [];
  const warn = (_: object, text: string) => warnings.push(text);
  const logger = { ...newLogger("error", process.stderr, 1), warn };
  const service = await Service.open(config, logger);
  assert.match(warnings[0], expected);
  await assert.rejects(service.reloadTls(), expected);
  await service.close({ timeoutMs: 0 });
});

test("TLS: a certificate that does not name the node's address, or ends soon: what --check and the start say, and when it ends", {
  skip: NO_OPENSSL,
}, async () => {
  const authority = new Authority();
  const [good, other] = [authority.member(), authority.member("DNS:elsewhere")];
  authority.remove();
  const put = ({ ca, cert, key }: Pems) => write({ "ca.pem": ca, "node.pem": cert, "node.key": key });
  const config = await parseConfig(CONFIG, FILE);
  const refused =
    /:8:9: tls\.cert: .*\/node\.pem is for DNS:elsewhere, and not for 127\.0\.0\.1, where peers has/;
  put(other);
  await assert.rejects(checkConfig(config), refused);
  put(good);
  assert.deepEqual(await checkConfig(config), []);

  const warnings: string[] = [];
  const warn = (_: object, text: string) => warnings.push(text);
  const service = await Service.open(config, { ...newLogger("error", process.stderr, 1), warn });
  try {
    const end = /^raftmark_tls_not_after_timestamp_seconds\{node="1"\} (\d+)$/m;
    const figures = await (await fetch(`http://${service.http}/metrics`)).text();
    const { validTo } = new X509Certificate(good.cert);
    // The authority's may be a second sooner.
    const ends = [good.ca, good.cert].map((pem) => Date.parse(new X509Certificate(pem).validTo));
    assert.equal(Number(end.exec(figures)?.[1]) * 1000, Math.min(...ends));
    put(other);
    await service.reloadTls();
    assert.match(warnings.at(-1)!, refused);
    put(good);
    // A quarter of its life is left.
    mock.timers.enable({ apis: ["Date"], now: Date.parse(validTo) - 11 * 3600_000 });
    const soon = /:8:9: tls\.cert: .*\/node\.pem counts until \d{4}-\d\d-\d\d only: put a new one there/;
    assert.match((await checkConfig(config))[0].message, soon);
    await service.reloadTls();
    assert.match(warnings.at(-1)!, soon);
  } finally {
    mock.timers.reset();
    await service.close({ timeoutMs: 0 });
  }
});

test("TLS: a node that nobody starts anew looks each day whether its certificate ends, or counts yet", {
  skip: NO_OPENSSL,
}, async () => {
  const authority = new Authority(null, 5);
  const { ca, cert, key } = authority.member(undefined, undefined, undefined, 5);
  authority.remove();
  write({ "ca.pem": ca, "node.pem": cert, "node.key": key });
  const config = await parseConfig(CONFIG, FILE);
  const said: string[] = [];
  const warn = (_: object, text: string) => said.push(text);
  const now = Date.now();
  mock.timers.enable({ apis: ["Date", "setInterval"], now });
  try {
    const seen = (await CertificatesSeen.of(config, { ...newLogger("error", process.stderr, 1), warn }))!;
    for (let day = 0; day < 5; day++) mock.timers.tick(24 * 3600_000);
    assert.equal(said.length, 2, said.join("\n"));
    assert.match(said[0], /node\.pem counts until .* only: put a new one there/);
    assert.match(said[1], /node\.pem expired on .*: the other members refuse it/);
    seen.end();
    mock.timers.reset();
    // A clock that is wrong by minutes.
    mock.timers.enable({ apis: ["Date"], now: Date.parse(new X509Certificate(cert).validFrom) - 120_000 });
    const early = /node\.pem counts only from \S+:\d\dZ on, and by this machine's clock it is \S+:\d\dZ: /;
    await assert.rejects(checkConfig(config), early);
  } finally {
    mock.timers.reset();
  }
});

test("TLS: a certificate counts as long as those by which it does: what is said of one between, wherever it stands", {
  skip: NO_OPENSSL,
}, async () => {
  const first = new Authority();
  const late = new Authority(first, 0);
  const between = new Authority(first, 1);
  const [old, good] = [late.member(), between.member()];
  for (const authority of [first, late, between]) authority.remove();
  const config = await parseConfig(CONFIG, FILE);
  const put = ({ cert, key }: Pems, ca: string, behind: string) =>
    write({ "ca.pem": ca, "node.pem": cert + behind, "node.key": key });
  const expired = (at: string) =>
    new RegExp(`:${at}.* has CN=below, by which .* expired on .*: the other members refuse it$`);
  put(old, first.ca, late.ca);
  await assert.rejects(checkConfig(config), expired("8:9: tls\\.cert"));
  // Whatever else is believed.
  put(old, first.ca + late.ca + between.ca, "");
  await assert.rejects(checkConfig(config), expired("7:7: tls\\.ca"));
  put(good, late.ca + first.ca, between.ca);
  assert.deepEqual(await checkConfig(config), []);
  const end = Date.parse(new X509Certificate(between.ca).validTo);
  assert.equal((await readCertificates(config.source, config.tls!)).end, end);
  mock.timers.enable({ apis: ["Date"], now: end - 5 * 3600_000 });
  try {
    const soon = /:8:9: tls\.cert: .* has CN=below, by which .* counts until .* only: put a new one there/;
    assert.match((await checkConfig(config))[0].message, soon);
  } finally {
    mock.timers.reset();
  }
});
