// TLS between links: who has a certificate of the members' authority is let in, everybody else is told why not, in both
// logs; and new certificates count without a restart.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { after, type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { reasonOf } from "../../src/link/close-codes.js";
import {
  CloseBadCertificate,
  CloseTimeout,
  createUwsLink,
  type LinkRefusal,
  type TlsOptions,
  type UwsLink,
} from "../../src/link/index.js";
import { resolveTls } from "../../src/link/tls.js";
import { type Carry, Relay } from "../relay.js";
import { Authority, expiry, NO_OPENSSL } from "./certificates.js";
import { append, Ear, response } from "./ear.js";

const options = { skip: NO_OPENSSL };
const ours = NO_OPENSSL === false ? new Authority() : null!;
const others = NO_OPENSSL === false ? new Authority() : null!;
after(() => {
  for (const authority of [ours, others]) authority?.remove();
});

class Member {
  readonly ear = new Ear();
  readonly refusals: LinkRefusal[] = [];
  readonly unreached: string[] = [];
  readonly link: UwsLink;

  constructor(t: TestContext, id: number, tls: TlsOptions | undefined) {
    Object.assign(this.ear, {
      onUnreached: (_peer: number, _address: string, why: string) => {
        this.unreached.push(why);
        this.ear.changed();
      },
      onRefused: (refusal: LinkRefusal) => {
        // As where the machine stood still in the middle: it says nothing of certificates.
        if (refusal.code === CloseTimeout) return;
        this.refusals.push(refusal);
        this.ear.changed();
      },
    });
    this.link = createUwsLink({
      id,
      clusterId: 1,
      listen: "127.0.0.1:0",
      peers: {},
      secret: "of the test, long enough",
      tls,
      // The other answers a TLS hello with nothing.
      acceptor: "ws",
    });
    t.after(() => this.link.close());
  }

  /** `peer code by`, each once. */
  get told(): string[] {
    return [...new Set(this.refusals.map(({ peer, code, by }) => `${peer} ${code} ${by}`))].sort();
  }

  until(check: () => boolean): Promise<void> {
    return this.ear.until(check);
  }
}

async function meet(t: TestContext, ...tls: (TlsOptions | undefined)[]): Promise<Member[]> {
  const members = tls.map((each, i) => new Member(t, i + 1, each));
  for (const { link, ear } of members) await link.start(ear);
  members.forEach(({ link }, i) => {
    members.forEach((other, j) => {
      if (i !== j) link.setPeer(j + 1, `127.0.0.1:${other.link.port}`);
    });
  });
  return members;
}

test("members with certificates of one authority hear each other, frames of any size", options, async (t) => {
  const [one, two] = await meet(t, ours.member(), ours.member());
  assert.match(one!.link.implementation, /^ws on node:tls/);
  await one!.until(() => one!.ear.peers.includes("+2"));
  const sizes = [0, 1, 1000, 20_000, 300_000, 3_000_000, 10];
  for (const [index, size] of sizes.entries())
    one!.link.send(0, [append(1, 2, index, new Uint8Array(size).fill(index))]);
  await two!.until(() => two!.ear.messages.length === sizes.length);
  for (const [index, { entries }] of two!.ear.messages.entries())
    assert.deepEqual(entries[0]!.data, new Uint8Array(sizes[index]!).fill(index));
  assert.deepEqual([one!.refusals, two!.refusals, one!.ear.unreachable], [[], [], []]);
});

test("nothing but TLS is on the wire", options, async (t) => {
  const [one, two] = await meet(t, ours.member(), ours.member());
  let seen = "";
  const look: Carry = (from, to) =>
    from.on("data", (bytes) => {
      seen += bytes.toString("latin1");
      to.write(bytes);
    });
  const path = await Relay.listen(one!.link.port, look, look);
  t.after(() => path.close());
  two!.link.setPeer(1, `127.0.0.1:${path.port}`);
  const marker = "a text that nobody on the way is to read";
  while (!two!.ear.messages.some(({ index }) => index === 77) || seen.length < 1000) {
    one!.link.send(0, [append(1, 2, 77, Buffer.from(marker))]);
    await new Promise((done) => setTimeout(done, 5));
  }
  assert.ok(!seen.includes(marker) && !seen.includes("raftmark/link"));
});

test("a certificate of another authority is refused, and both sides know why", options, async (t) => {
  const [one, two] = await meet(t, ours.member(), others.member());
  const both = (peer: number): string[] => [
    `${peer} ${CloseBadCertificate} peer`,
    `${peer} ${CloseBadCertificate} self`,
  ];
  // Who dialled is not known before it has proved a thing.
  const stranger = `0 ${CloseBadCertificate} self`;
  for (const [member, peer] of [
    [one!, 2],
    [two!, 1],
  ] as const) {
    const self = both(peer)[1]!;
    await member.until(() => member.told.includes(self));
    assert.ok(member.told.every((line) => [...both(peer), stranger].includes(line)));
    assert.match(member.refusals[0]!.reason, /^bad certificate/);
    assert.deepEqual(member.ear.peers, []);
  }
});

test("the environment cannot turn off what a certificate says", options, async (t) => {
  const { NODE_TLS_REJECT_UNAUTHORIZED: before } = process.env;
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
  t.after(() => {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
  });
  const [one] = await meet(t, ours.member(), others.member());
  await one!.until(() => one!.told.includes(`2 ${CloseBadCertificate} self`));
});

test(
  "who dials with a certificate that does not count is told so, and why, and logged",
  options,
  async (t) => {
    const [one] = await meet(t, ours.member());
    // Node 2 believes both authorities, and shows a certificate of its own.
    const strange = others.member();
    const two = new Member(t, 2, { ...strange, ca: `${strange.ca}${ours.ca}` });
    await two.link.start(two.ear);
    two.link.setPeer(1, `127.0.0.1:${one!.link.port}`);
    await two.until(() => two.told.includes(`1 ${CloseBadCertificate} peer`));
    assert.deepEqual(one!.told, [`0 ${CloseBadCertificate} self`]);
    assert.match(one!.refusals[0]!.reason, /^bad certificate \([A-Z_]+\)$/);
    assert.equal(two.refusals[0]!.reason, one!.refusals[0]!.reason);
  },
);

test("a certificate for another address is refused by who dials", options, async (t) => {
  const [one] = await meet(t, ours.member(), ours.member("IP:10.1.2.3"));
  await one!.until(() => one!.told.includes(`2 ${CloseBadCertificate} self`));
  assert.match(one!.refusals[0]!.reason, /ERR_TLS_CERT_ALTNAME_INVALID/);
});

test(
  "a certificate that has expired is refused with all that is wrong with it, by who dials and who is dialled",
  options,
  async (t) => {
    const late = others.member("IP:10.1.2.3", "serverAuth,clientAuth", undefined, 0);
    await expiry(late);
    // Who shows it believes the other, and goes on as far as to be refused.
    const [one, two] = await meet(t, ours.member(), { ...late, ca: `${late.ca}${ours.ca}` });
    const reason = (peer: number): string =>
      one!.refusals.find((each) => each.peer === peer && each.by === "self")?.reason ?? "";
    await one!.until(() => reason(2) !== "" && reason(0) !== "");
    const rest = "no authority in tls\\.ca vouches for it\\)$";
    const date = "CERT_HAS_EXPIRED: it expired on \\d{4}-\\d\\d-\\d\\d";
    assert.match(
      reason(2),
      new RegExp(`${date}; it is for IP Address:10\\.1\\.2\\.3, not for 127\\.0\\.0\\.1; ${rest}`),
    );
    assert.match(reason(0), new RegExp(`${date}; ${rest}`));
    await two!.until(() => two!.told.includes(`1 ${CloseBadCertificate} peer`));
    assert.equal(two!.refusals.find(({ by }) => by === "peer")!.reason, "bad certificate (CERT_HAS_EXPIRED)");
  },
);

test("of the words that a peer closes with, none but a code is repeated", () => {
  assert.equal(
    reasonOf(CloseBadCertificate, "bad certificate (CERT_REVOKED)"),
    "bad certificate (CERT_REVOKED)",
  );
  for (const words of ["bad certificate (run this)", "bad certificate (A)\nB", "x\nbad certificate (A)", ""])
    assert.equal(reasonOf(CloseBadCertificate, words), "bad certificate");
  assert.equal(reasonOf(4999, "bad certificate (A)"), "code 4999");
});

test("a member without TLS comes to nothing, and both sides know why", options, async (t) => {
  const [one, two] = await meet(t, ours.member(), undefined);
  await one!.until(() => one!.told.includes(`0 ${CloseBadCertificate} self`));
  await one!.until(() => one!.told.includes(`2 ${CloseBadCertificate} self`));
  assert.match(one!.refusals.find(({ peer }) => peer === 0)!.reason, /no TLS/);
  await two!.until(() => two!.unreached.length > 0);
  assert.match(two!.unreached[0]!, /if it wants TLS/);
  assert.deepEqual([one!.ear.peers, two!.ear.peers], [[], []]);
});

test("strangers who shake no hands are cut after their time, and the rest goes on", options, async (t) => {
  const [one, two] = await meet(t, ours.member(), ours.member());
  await one!.until(() => one!.ear.peers.includes("+2"));
  const { port } = one!.link;
  const silent = connectTcp({ host: "127.0.0.1", port });
  const bare: TLSSocket = connect({ host: "127.0.0.1", port, ca: ours.ca });
  for (const socket of [silent, bare]) socket.on("error", () => {});
  await Promise.all([silent, bare].map((socket) => once(socket.resume(), "close")));
  one!.link.send(0, [response(1, 2, 5)]);
  await two!.until(() => two!.ear.messages.length === 1);
});

test("new certificates count for new connections, and old connections stay", options, async (t) => {
  const [one, two] = await meet(t, ours.member(), ours.member());
  await one!.until(() => one!.ear.peers.includes("+2"));
  assert.throws(() => one!.link.setTls({ ...ours.member(), key: others.member().key }), {
    code: "RAFT_BAD_OPTION",
    message: /^tls\.key, with tls\.cert: /,
  });
  // The authority changes: first both are believed, then the new one's certificates are shown.
  const renewed = others.member();
  const ca = `${ours.ca}${others.ca}`;
  two!.link.setTls({ ...ours.member(), ca });
  one!.link.setTls({ ...renewed, ca });
  two!.link.setTls({ ...others.member(), ca: others.ca });
  one!.link.send(0, [response(1, 2, 1)]);
  await two!.until(() => two!.ear.messages.length === 1);
  assert.deepEqual(one!.ear.peers, ["+2"]);
  // One more member, which knows nothing of the old authority.
  const three = new Member(t, 3, others.member());
  await three.link.start(three.ear);
  one!.link.setPeer(3, `127.0.0.1:${three.link.port}`);
  three.link.setPeer(1, `127.0.0.1:${one!.link.port}`);
  await one!.until(() => one!.ear.peers.includes("+3"));
  await three.until(() => three.ear.peers.includes("+1"));
  assert.deepEqual([one!.refusals, three.refusals], [[], []]);
});

test("what TLS cannot be made of is refused by name", options, () => {
  const good = ours.member();
  const refused = (more: object): RegExp | string => {
    try {
      resolveTls({ ...good, ...more });
    } catch (error) {
      assert.equal((error as { code: string }).code, "RAFT_BAD_OPTION");
      return (error as Error).message;
    }
    return "";
  };
  assert.equal(refused({}), "");
  assert.equal(refused({ cert: Buffer.from(good.cert), key: new Uint8Array(Buffer.from(good.key)) }), "");
  assert.equal(refused({ key: undefined }), "tls.key: must be PEM, as a string or bytes, and is missing");
  assert.equal(refused({ ca: 5 }), "tls.ca: must be PEM, as a string or bytes");
  for (const name of ["cert", "key"])
    assert.match(`${refused({ [name]: "x" })}`, new RegExp(`^tls\\.${name}: `));
  assert.match(`${refused({ ca: "" })}`, /^tls\.ca: /);
  assert.match(`${refused({ key: others.member().key })}`, /^tls\.key, with tls\.cert: /);
  const uws = {
    id: 1,
    clusterId: 1,
    listen: "127.0.0.1:0",
    peers: {},
    secret: "s",
    tls: good,
  } as const;
  assert.match(createUwsLink(uws).implementation, /^ws on node:tls/);
  assert.throws(() => createUwsLink({ ...uws, acceptor: "uws" }), {
    code: "RAFT_BAD_OPTION",
    message: /cannot go with tls/,
  });
});
