// What the disk alone gives: a worker thread that writes durably over blocks written before, one write after
// the other, as the log's writer would without a log.
import { closeSync, constants, fdatasyncSync, fsyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { DSYNC_REACHES_DISK } from "../../src/wal/disk/direct.js";
import type { LoopAnswer, LoopJob } from "./jobs.js";

const FILE_BYTES = 16 << 20;

const { dir, bytes, ms } = workerData as LoopJob;
const path = join(dir, "loop");
const zeros = Buffer.alloc(1 << 20);
const prepared = openSync(path, "w", 0o600);
for (let at = 0; at < FILE_BYTES; at += zeros.length) writeSync(prepared, zeros, 0, zeros.length, at);
fsyncSync(prepared);
closeSync(prepared);

const fd = openSync(path, constants.O_WRONLY | (DSYNC_REACHES_DISK ? constants.O_DSYNC : 0));
const record = Buffer.alloc(bytes, 0x5a);
let writes = 0;
const begun = performance.now();
let now = begun;
for (let at = 0; now < begun + ms; now = performance.now()) {
  writeSync(fd, record, 0, bytes, at);
  if (!DSYNC_REACHES_DISK) fdatasyncSync(fd);
  writes++;
  at = at + 2 * bytes > FILE_BYTES ? 0 : at + bytes;
}
closeSync(fd);
const answer: LoopAnswer = { writesPerS: Math.round((writes * 1000) / (now - begun)) };
parentPort!.postMessage(answer);
