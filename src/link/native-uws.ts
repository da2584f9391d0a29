// Finds a native uWebSockets.js. None is a dependency: its authors publish outside the npm registry, and what is in it
// is 114 MB of binaries for a few versions of Node.js. Whoever installed one, under the authors' name or another's, gets
// it, where it loads.
import type * as uWS from "uWebSockets.js";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

export type UwsModule = typeof uWS;

export interface NativeUws {
  readonly module: UwsModule;
  /** For reports: "uWebSockets.js 20.30.0 (native)". */
  readonly implementation: string;
}

/** Why there is none, and what to do; behind "and". */
export const NO_UWS =
  `no uWebSockets.js that loads on Node.js ${process.version} is installed beside raftmark: install one, or use ws ` +
  '(README, "uWebSockets.js")';

const NO_TLS =
  '"uws" cannot go with tls: uWebSockets.js takes certificates from files only, reloads none and lets in who shows ' +
  "none; leave acceptor out";

/** Why it cannot accept though it was asked for; null: it can. `withTls`: the connections are to have that. */
export function refusalOfUws(withTls: boolean): string | null {
  if (withTls) return NO_TLS;
  return loadNativeUws() === null ? `"uws" is asked for, and ${NO_UWS}` : null;
}

const AUTHORS = "uWebSockets.js";
const BTC_VISION = "@btc-vision/uwebsockets.js";
const REPACK = "@trufflesuite/uws-js-unofficial";

interface Found {
  /** What is required. */
  readonly name: string;
  /** What its package.json says: under the authors' name may lie another's. */
  readonly package: string;
  readonly version: string;
  readonly dir: string;
}

/**
 * The first that loads of: what the user has put under the authors' name, such as their own build; @btc-vision's, with
 * binaries for newer versions of Node.js; the repack of Node.js 16 to 20. Null: none does. Where one is installed it is
 * used: on Node.js 20 it and `ws` measured the same, and elsewhere nobody has it unasked. `from`: whose packages count.
 */
export function loadNativeUws(from: string = import.meta.url): NativeUws | null {
  const require = createRequire(from);
  if (/^(true|1)$/i.test(process.env["UWS_USE_FALLBACK"] ?? "")) return null;
  const installed = [AUTHORS, BTC_VISION, REPACK]
    .map((name) => findPackage(require, name))
    .filter((found) => found !== null);
  const repacks = installed.filter((found) => found.package === REPACK);
  for (const found of [...installed.filter((each) => !repacks.includes(each)), ...repacks]) {
    const module = load(require, found);
    if (module === null) continue;
    const name = found.package === BTC_VISION ? BTC_VISION : AUTHORS;
    return { module, implementation: `${name} ${found.version.replace(/-.*/, "")} (native)` };
  }
  return null;
}

// Not by require.resolve: a package's exports may not include its package.json.
function findPackage(require: NodeJS.Require, name: string): Found | null {
  for (const folder of require.resolve.paths(name) ?? []) {
    const dir = join(folder, name);
    const file = join(dir, "package.json");
    if (!existsSync(file)) continue;
    const { name: own, version } = JSON.parse(readFileSync(file, "utf8")) as {
      name: string;
      version: string;
    };
    return { name, package: own, version, dir };
  }
  return null;
}

function load(require: NodeJS.Require, { name, package: own, dir }: Found): UwsModule | null {
  try {
    // The repack without a binary for this Node is not even loaded: it would print warnings.
    const binary = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
    if (own === REPACK && !existsSync(join(dir, "binaries", binary))) return null;
    const module = require(name) as UwsModule;
    // The repack's binary may still not load (an old libc); then we were handed its fallback, which lacks this.
    return typeof module.getParts === "function" ? module : null;
  } catch {
    return null;
  }
}
