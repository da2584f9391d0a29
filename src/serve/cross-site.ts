// Keeps pages of other sites from changing anything: a browser that reaches the node sends what any page tells it to, with no
// more than a few headers to show for it. Who is no browser has none of them.
import type { IncomingMessage } from "node:http";
import { isRead } from "./http.js";
import { HttpError } from "./http-error.js";

/**
 * Throws 403 for what a page of another origin sends, unless it is a read, whose answer that page does not get to see.
 * Sec-Fetch-Site counts where it is there, also behind a proxy that changes Host; browsers send it to https and
 * localhost alone, else Origin.
 */
export function refuseCrossSite(request: IncomingMessage): void {
  if (isRead(request)) return;
  const { origin, host } = request.headers;
  const site = request.headers["sec-fetch-site"];
  if (site === undefined ? origin === undefined || isAt(origin, host) : OWN_SITES.includes(String(site)))
    return;
  const whose = origin === undefined ? "another site" : origin.slice(0, 100);
  const text = `a page of ${whose} sent this, and changes come from pages of this node's own origin, or from programs, which send neither Origin nor Sec-Fetch-Site`;
  throw new HttpError(403, "KV_CROSS_SITE", text);
}

/** The page's own origin; or what somebody typed. */
const OWN_SITES = ["same-origin", "none"];

/** Whether the host and port of an origin are those that the request was sent to. */
function isAt(origin: string, host: string | undefined): boolean {
  try {
    const { protocol, host: at } = new URL(origin);
    // Both without the port that the scheme has anyway.
    return at !== "" && at === new URL(`${protocol}//${host}`).host;
  } catch {
    // "null", for one.
    return false;
  }
}
