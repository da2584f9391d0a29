// Links over sockets that are started, and closed with their test.
import type { TestContext } from "node:test";
import { createUwsLink, type LinkRefusal, type UwsLink, type UwsLinkOptions } from "../../src/link/index.js";
import { Ear } from "./ear.js";

export const CLUSTER = 42;
export const SECRET = "the cluster's key";

export interface Node {
  link: UwsLink;
  ear: Ear;
  refusals: LinkRefusal[];
}

/** Peers are told later, where `options` does not name them. */
export async function startNode(
  t: TestContext,
  id: number,
  options: Partial<UwsLinkOptions> = {},
): Promise<Node> {
  const refusals: LinkRefusal[] = [];
  const ear = Object.assign(new Ear(), {
    onRefused: (refusal: LinkRefusal) => {
      refusals.push(refusal);
      ear.changed();
    },
  });
  const link = createUwsLink({
    id,
    clusterId: CLUSTER,
    listen: "127.0.0.1:0",
    peers: {},
    secret: SECRET,
    ...options,
  });
  t.after(() => link.close());
  await link.start(ear);
  return { link, ear, refusals };
}
