import assert from "node:assert/strict";
import { test } from "node:test";
import { CloseBadCertificate, CloseBadCluster, CloseBadKey, type LinkRefusal } from "../../src/link/index.js";
import { refusalLine } from "../../src/node/peer-lines.js";

const refusal = (code: number, reason: string, by: "peer" | "us" = "us"): LinkRefusal =>
  ({ peer: 3, code, reason, by }) as LinkRefusal;

test("a refusal names the option to look at", () => {
  const text = (one: LinkRefusal) => refusalLine(one, true).text;
  assert.equal(
    text(refusal(CloseBadKey, "bad key")),
    "node 3 is refused: bad key (the two have different secrets: option secret)",
  );
  assert.equal(
    text(refusal(CloseBadCluster, "another cluster", "peer")),
    "node 3 refuses this node: another cluster (the two are of different clusters: option clusterId)",
  );
  assert.match(text(refusal(CloseBadCertificate, "ERR_SSL_WRONG_VERSION_NUMBER: 800C4C2D")), /without TLS/);
  assert.equal(text(refusal(CloseBadCertificate, "expired")), "node 3 is refused: expired");
});

test("another reason of a member's is another kind of line; what changes with each try is not", () => {
  const kind = (reason: string, isMember = true) =>
    refusalLine(refusal(CloseBadCertificate, reason), isMember).kind;
  assert.notEqual(kind("expired"), kind("no certificate for its address"));
  assert.equal(kind("error 800C4C2D6E7F0000: x"), kind("error 80AC4C2D6E7F0000: x"));
  assert.equal(kind("a", false), kind("b", false));
});
