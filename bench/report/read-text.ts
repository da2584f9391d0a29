// A file's text as people's tools leave it: UTF-8, with or without the mark that some editors and shells put in front.
import { readFile } from "node:fs/promises";

/** The text of the file at `path`, without a byte order mark. Rejects as readFile() does. */
export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readFile(path)); // Leaves the mark out, as "utf8" does not.
}
