// The files of the page at /: read when the service starts, from where the build puts them. Paths are those of the
// files below this directory, so that its scripts find each other, and what they share with the service.
import { readFileSync } from "node:fs";

export interface Asset {
  readonly type: string;
  readonly body: string;
}

const SCRIPT = "text/javascript; charset=utf-8";
const STYLE = "text/css; charset=utf-8";
const FILES: readonly [path: string, file: string, type: string][] = [
  ["/", "page/client/index.html", "text/html; charset=utf-8"],
  ["/page/client/page.css", "page/client/page.css", STYLE],
  ["/page/client/uPlot.css", "page/client/uPlot.min.css", STYLE],
  ["/page/client/uPlot.js", "page/client/uPlot.iife.min.js", SCRIPT],
  ...[
    "page/client/page.js",
    "page/client/charts.js",
    "page/client/figures.js",
    "page/client/members.js",
    "load.js",
  ].map((file): [string, string, string] => [`/${file}`, file, SCRIPT]),
];

/** The page asks this node and nobody else. */
export const PAGE_POLICY =
  "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** By path. */
export function readAssets(): ReadonlyMap<string, Asset> {
  return new Map(
    FILES.map(([path, file, type]) => {
      const text = readFileSync(new URL(file, import.meta.url), "utf8");
      return [path, { type, body: text.replace(/^\/\/# sourceMappingURL=.*$/m, "") }];
    }),
  );
}
