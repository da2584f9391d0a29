// The last step of the build: what the compiler leaves alone of the two pages (style sheets, HTML), and uPlot for the live page,
// which a service serves without the package being there. Its licence goes with it.
import { copyFileSync } from "node:fs";

const copy = (from, to) =>
  copyFileSync(new URL(`../${from}`, import.meta.url), new URL(`../dist/${to}`, import.meta.url));

copy("bench/report/page/client/page.css", "bench/report/page/client/page.css");
for (const name of ["index.html", "page.css"])
  copy(`src/serve/page/client/${name}`, `src/serve/page/client/${name}`);
for (const name of ["uPlot.iife.min.js", "uPlot.min.css"])
  copy(`node_modules/uplot/dist/${name}`, `src/serve/page/client/${name}`);
copy("node_modules/uplot/LICENSE", "src/serve/page/client/uPlot.LICENSE");
