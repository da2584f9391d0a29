// What is wrong with a configuration, and where: the file, the line and the column of the field, as an editor shows them.

import type { Document } from "yaml";
import { isMap, type LineCounter, type Node } from "yaml";

/** A configuration that cannot be used. Its message is one sentence that begins with file:line:column. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** The text of a configuration with its places. */
export interface Source {
  /** As messages name it. */
  readonly file: string;
  readonly document: Document.Parsed;
  readonly lines: LineCounter;
}

/** An error at the field that `path` leads to; at the nearest one around it, if that is missing. */
export function errorAt(source: Source, path: readonly string[], text: string): ConfigError {
  const name = path.length === 0 ? "" : `${path.join(".")}: `;
  return new ConfigError(`${placeOf(source, path)}: ${name}${text}`);
}

/** file:line:column of the value at `path`, or of its key where `ofKey`. */
export function placeOf({ file, document, lines }: Source, path: readonly string[], ofKey = false): string {
  let offset = document.contents?.range?.[0] ?? 0;
  let node: Node | null = document.contents;
  for (const [i, step] of path.entries()) {
    if (!isMap(node)) break;
    const pair = node.items.find(({ key }) => String(key) === step);
    if (pair === undefined) break;
    const key = pair.key as Node;
    const value = pair.value as Node | null;
    const isLast = i === path.length - 1;
    offset = (isLast && ofKey ? key : (value ?? key)).range?.[0] ?? offset;
    node = value;
  }
  const { line, col } = lines.linePos(offset);
  return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
}
