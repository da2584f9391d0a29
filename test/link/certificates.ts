// Certificates for tests of TLS, made by openssl; null where there is none.
import { execFileSync, spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
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

  /** `above`: who vouches for it, `days` long; without one it is the first. */
  constructor(above: Authority | null = null, days = 2) {
    const names = [...NEW_KEY, "-keyout", "ca.key"];
    if (above === null) {
      this.openssl("req", "-x509", ...names, "-out", "ca.pem", "-subj", "/CN=ca", "-days", `${days}`);
    } else {
      this.openssl("req", ...names, "-out", "ca.csr", "-subj", "/CN=below");
      const use = "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n";
      writeFileSync(join(this.dir, "ca.pem"), above.sign(this.read("ca.csr"), use, days));
    }
    this.ca = this.read("ca.pem");
  }

  /** A member dialled at `address`; `days` 0: it has expired, within a second. */
  member(address = "IP:127.0.0.1", use = "serverAuth,clientAuth", newKey = NEW_KEY, days = 2): Pems {
    const name = `m${++this.count}`;
    this.openssl("req", ...newKey, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    const cert = this.sign(
      this.read(`${name}.csr`),
      `subjectAltName=${address}\nextendedKeyUsage=${use}\n`,
      days,
    );
    return { ca: this.ca, cert, key: this.read(`${name}.key`) };
  }

  /** A key under a passphrase, as openssl makes one that is not asked for anything else. */
  locked(key: string): string {
    writeFileSync(join(this.dir, "open.key"), key);
    this.openssl("pkey", "-in", "open.key", "-aes256", "-passout", "pass:x", "-out", "locked.key");
    return this.read("locked.key");
  }

  private sign(request: string, extensions: string, days: number): string {
    writeFileSync(join(this.dir, "request"), request);
    writeFileSync(join(this.dir, "ext"), extensions);
    const how = [
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      `${days}`,
      "-extfile",
      "ext",
    ];
    this.openssl("x509", "-req", "-in", "request", "-out", "signed.pem", ...how);
    return this.read("signed.pem");
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

/** Resolves when it has expired. */
export async function expiry({ cert }: Pems): Promise<void> {
  const end = Date.parse(new X509Certificate(cert).validTo);
  while (Date.now() <= end) await new Promise((resolve) => setTimeout(resolve, 50));
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
