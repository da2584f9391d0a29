// Why an address cannot be listened at, in words. Main thread.
import { createServer } from "node:net";
import { RaftmarkError } from "../base/errors.js";
import { type Address, formatAddress } from "./address.js";

/** uWS says only that it could not listen; Node's own listener, tried once, says why. */
export function listenError(address: Address): Promise<RaftmarkError> {
  const at = formatAddress(address);
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", (cause: NodeJS.ErrnoException) => {
      resolve(
        cause.code === "EADDRINUSE"
          ? new RaftmarkError("RAFT_ADDRESS_IN_USE", `${at} is in use; another node may be running there`, {
              cause,
            })
          : new RaftmarkError("RAFT_LINK", `cannot listen at ${at}: ${cause.message}`, { cause }),
      );
    });
    probe.listen({ host: address.host, port: address.port, exclusive: true }, () => {
      probe.close(() =>
        resolve(new RaftmarkError("RAFT_LINK", `could not listen at ${at}; now it would go`)),
      );
    });
  });
}
