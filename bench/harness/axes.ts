// The axes a bench can vary: name, meaning, allowed values, how a word of the command line becomes a value. Pure.
import type { Durability, WriterKind } from "../../src/index.js";
import { BenchError } from "./bench-error.js";
import { didYouMean } from "./suggest.js";

/** One point of the matrix: every axis has a value. */
export interface Settings {
  readonly nodes: number;
  readonly entryBytes: number;
  readonly inFlight: number;
  readonly writer: WriterKind;
  readonly durability: Durability;
  /** Cap on the bytes of one group commit; 0: the engine's default. */
  readonly batchBytes: number;
}
export type AxisName = keyof Settings;
export type AxisValues = { readonly [K in AxisName]: readonly Settings[K][] };

/** The values of every axis when a scenario and the command line say nothing. */
export const DEFAULT_SETTINGS: Settings = {
  nodes: 3,
  entryBytes: 256,
  inFlight: 1024,
  writer: "pool-wasm",
  durability: "o_dsync",
  batchBytes: 0,
};

interface Axis {
  readonly flag: string;
  readonly help: string;
  /** Words that stand for values; null for numbers. */
  readonly words: Readonly<Record<string, string>> | null;
  readonly min: number;
  readonly max: number;
  /** Heading of the column, and how a value reads in it. */
  readonly title: string;
}

/** A payload carries a header by which the truth check knows it. */
export const ENTRY_BYTES_MIN = 16;

const same = (...words: string[]) => Object.fromEntries(words.map((word) => [word, word]));
const none = { words: null, min: 0, max: 0 };

export const AXES: { readonly [K in AxisName]: Axis } = {
  nodes: {
    ...none,
    flag: "nodes",
    title: "nodes",
    help: "nodes in the cluster, one process each",
    min: 1,
    max: 9,
  },
  entryBytes: {
    ...none,
    flag: "entry-bytes",
    title: "bytes",
    help: "bytes of one proposal",
    min: ENTRY_BYTES_MIN,
    max: 1024 * 1024,
  },
  inFlight: {
    ...none,
    flag: "in-flight",
    title: "in flight",
    help: "proposals under way at once (closed loop)",
    min: 1,
    max: 65_536,
  },
  writer: {
    ...none,
    flag: "writer",
    title: "writer",
    help: "where the log is encoded and written: main thread in JS or WASM, or a pool worker in WASM",
    words: same("inline-js", "inline-wasm", "pool-wasm"),
  },
  durability: {
    ...none,
    flag: "durability",
    title: "durability",
    help: "how an append becomes durable; fsync means the default kind (o_dsync), none is not durable",
    words: { ...same("o_dsync", "fdatasync", "none"), fsync: "o_dsync" },
  },
  batchBytes: {
    ...none,
    flag: "batch-bytes",
    title: "batch cap",
    help: "cap on the bytes of one group commit; 0 is the engine's default",
    max: 64 * 1024 * 1024,
  },
};
export const AXIS_NAMES = Object.keys(AXES) as AxisName[];

/** "16, 256": every allowed value in words, for help and messages. */
export function allowedText(name: AxisName): string {
  const { words, min, max } = AXES[name];
  return words === null ? `whole numbers from ${min} to ${max}` : Object.keys(words).join(", ");
}

/** Values of one axis from "a,b,c". Throws BenchError (usage) naming the word, what is allowed and what was meant. */
export function parseAxis(name: AxisName, text: string): readonly (string | number)[] {
  const values: (string | number)[] = [];
  for (const word of text.split(",").map((part) => part.trim())) {
    const value = parseValue(name, word);
    if (!values.includes(value)) values.push(value);
  }
  return values;
}

function parseValue(name: AxisName, word: string): string | number {
  const { flag, words, min, max } = AXES[name];
  if (words !== null) {
    if (Object.hasOwn(words, word)) return words[word];
    const hint = didYouMean(word, Object.keys(words));
    throw new BenchError("usage", `--${flag}: "${word}" is not one of ${allowedText(name)}.${hint}`);
  }
  const value = Number(word);
  if (/^\d+$/.test(word) && value >= min && value <= max) return value;
  throw new BenchError(
    "usage",
    `--${flag}: "${word}" is not allowed: it takes ${allowedText(name)}, separated by commas.`,
  );
}
