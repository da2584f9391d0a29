// What Service.open would refuse, or warn of certificates, found before it: no port is opened, and nothing on the disk changed.
import { constants } from "node:fs";
import { access, lstat, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { checkOptions } from "../index.js";
import { nameError, readCertificates } from "./certificates.js";
import { openError, type ServiceConfig } from "./config.js";
import { type ConfigError, errorAt } from "./config-error.js";
import { engineOptions } from "./engine-options.js";
import { KvStore } from "./kv.js";
import { newLogger } from "./logger.js";

/** Of statfs(2): file systems in which nobody, root included, can make anything. */
const PROC_SUPER_MAGIC = 0x9fa0;
const SYSFS_MAGIC = 0x62656572;

/**
 * Throws ConfigError for the first thing that is wrong; resolves with what will be. What is in the data directory, and whether
 * the ports are free, shows at the start alone.
 */
export async function checkConfig(config: ServiceConfig): Promise<ConfigError[]> {
  try {
    await checkOptions(engineOptions(config, new KvStore(), newLogger("error", process.stderr, config.id)));
  } catch (error) {
    throw openError(error, config);
  }
  const { tls, source } = config;
  const certificates = tls === undefined ? null : await readCertificates(source, tls);
  const wrong = certificates && (certificates.outOfDate ?? nameError(config, certificates.own));
  if (wrong !== null) throw wrong;
  await checkDataDir(config);
  return certificates?.endsSoon ? [certificates.endsSoon] : [];
}

/** Throws ConfigError where the data directory cannot be used, or made. The start asks as well: see whyUnusable. */
export async function checkDataDir({ dataDir, source }: ServiceConfig): Promise<void> {
  const why = await whyUnusable(dataDir);
  if (why !== null) throw errorAt(source, ["dataDir"], why);
}

/**
 * Why a directory cannot be used, or, where it is not there, made; null: it can. Nothing is tried: on /proc everybody seems to
 * have the right, and Node's recursive mkdir, as `cluster up` has it, tries for ever there.
 */
export async function whyUnusable(dir: string): Promise<string | null> {
  const at = await nearestThere(dir);
  const what = at === dir ? `cannot use ${dir}` : `cannot make ${dir}`;
  try {
    if (!(await stat(at)).isDirectory()) return `${what}: ${at} is no directory`;
    await access(at, constants.W_OK | constants.X_OK | (at === dir ? constants.R_OK : 0));
    const { type } = await statfs(at);
    if (type !== PROC_SUPER_MAGIC && type !== SYSFS_MAGIC) return null;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return `${what}: ${at} cannot be written to (${code}); take another, or mend its rights`;
  }
  return `${what}: ${at} is the kernel's, and no place for data`;
}

/** The path, or the nearest above it that is there, a link to nothing included. */
async function nearestThere(path: string): Promise<string> {
  const above = dirname(path);
  const isThere = await lstat(path).then(
    () => true,
    ({ code }: NodeJS.ErrnoException) => code !== "ENOENT" && code !== "ENOTDIR",
  );
  return isThere || above === path ? path : nearestThere(above);
}
