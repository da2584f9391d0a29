// Certificates for tests of TLS, made by openssl; null where there is none.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Why tests that want certificates are skipped; false: they are not. */
export const NO_OPENSSL: string | false =
  spawnSync("openssl", ["version"]).status === 0 ? false : "no openssl to make certificates with";

export interface Pems {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** An authority of the test's own, and the members that it vouches for. */
export class Authority {
  private readonly dir = mkdtempSync(join(tmpdir(), "raftmark-ca-"));
  readonly ca: string;
  private count = 0;

  constructor() {
    this.openssl(
      "req",
      "-x509",
      ...NEW_KEY,
      "-keyout",
      "ca.key",
      "-out",
      "ca.pem",
      "-subj",
      "/CN=ca",
      "-days",
      "2",
    );
    this.ca = this.read("ca.pem");
  }

  /** A member dialled at `address`. */
  member(address = "IP:127.0.0.1"): Pems {
    const name = `m${++this.count}`;
    this.openssl("req", ...NEW_KEY, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    writeFileSync(
      join(this.dir, "ext"),
      `subjectAltName=${address}\nextendedKeyUsage=serverAuth,clientAuth\n`,
    );
    const authority = [
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      "2",
      "-extfile",
      "ext",
    ];
    this.openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.pem`, ...authority);
    return { ca: this.ca, cert: this.read(`${name}.pem`), key: this.read(`${name}.key`) };
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  private openssl(...args: string[]): void {
    execFileSync("openssl", args, { cwd: this.dir, stdio: "ignore" });
  }

  private read(name: string): string {
    return readFileSync(join(this.dir, name), "utf8");
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
