// What members would say of each other's certificates, known before one is shown: no more is refused than TLS refuses.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { resolveTls } from "../../src/link/tls.js";
import { tryTls } from "../../src/link/tls-trial.js";
import { Authority, expiry, NO_OPENSSL, type Pems } from "./certificates.js";

const all: Authority[] = [];
after(() => {
  for (const authority of all) authority.remove();
});
function authority(...given: ConstructorParameters<typeof Authority>): Authority {
  all.push(new Authority(...given));
  return all.at(-1)!;
}

test("a certificate that members would refuse is told, with why; what TLS takes is taken", {
  skip: NO_OPENSSL,
}, async () => {
  const [ours, others] = [authority(), authority()];
  const [below, late] = [authority(ours), authority(ours, 0)];
  const good = ours.member();
  const [chained, old] = [below.member(), late.member()];
  const cases: [what: string, given: Pems, refusal: RegExp | null][] = [
    ["one of the authority", good, null],
    ["two authorities, as while one is replaced", { ...good, ca: `${others.ca}${good.ca}` }, null],
    ["the authority between is shown", { ...chained, cert: `${chained.cert}${below.ca}`, ca: ours.ca }, null],
    ["between others", { ...chained, cert: `${chained.cert}${others.ca}${below.ca}`, ca: ours.ca }, null],
    ["the authority between is believed, as the first is", { ...chained, ca: `${below.ca}${ours.ca}` }, null],
    ["the authority between has expired", { ...old, cert: `${old.cert}${late.ca}`, ca: ours.ca }, null],
    [
      "no authority between",
      { ...chained, ca: ours.ca },
      /: no authority in tls\.ca vouches for it; add the one/,
    ],
    ["only the authority between", chained, /: no authority in tls\.ca vouches for it; add the one/],
    [
      "another authority",
      { ...good, ca: others.ca },
      /: no authority in tls\.ca vouches for it; add the one/,
    ],
    ["itself as the authority", { ...good, ca: good.cert }, /: no authority in tls\.ca vouches for it; add/],
    [
      "for servers alone",
      ours.member("IP:127.0.0.1", "serverAuth"),
      /INVALID_PURPOSE\): it is not for a TLS client/,
    ],
    [
      "for clients alone",
      ours.member("IP:127.0.0.1", "clientAuth"),
      /INVALID_PURPOSE\): it is not for a TLS server/,
    ],
  ];
  const expired = others.member("IP:127.0.0.1", "serverAuth", undefined, 0);
  await expiry(expired);
  cases.push(
    ["expired", { ...expired, ca: others.ca }, /dates counted: it is not for a TLS client$/],
    [
      "expired, of another authority",
      { ...expired, ca: ours.ca },
      /dates counted: no authority in tls\.ca vouches for it$/,
    ],
  );
  for (const [what, given, expected] of cases) {
    const said = await tryTls(resolveTls(given)).then(
      () => null,
      (error: { code: string; message: string }) => `${error.code} ${error.message}`,
    );
    if (expected === null) assert.equal(said, null, what);
    else {
      assert.match(said ?? "", expected, what);
      assert.match(said!, /^RAFT_BAD_OPTION tls\.cert: would be refused by the other members \(/, what);
    }
  }
});

test("a key under a passphrase, and one that TLS 1.3 has no use for, are told in words, on a line", {
  skip: NO_OPENSSL,
}, async () => {
  const ours = authority();
  const good = ours.member();
  assert.throws(
    () => resolveTls({ ...good, key: ours.locked(good.key) }),
    /^RaftmarkError: tls\.key: is encrypted, .*: openssl pkey -in FILE writes it without$/,
  );
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-nodes"];
  const other = ours.member("IP:127.0.0.1", "serverAuth,clientAuth", curve);
  await assert.rejects(
    tryTls(resolveTls(other)),
    /^RaftmarkError: tls\.cert: no connection can be made with it and tls\.key: no suitable signature algorithm$/,
  );
});
