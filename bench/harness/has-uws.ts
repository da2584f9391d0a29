// A program: says whether a native uWebSockets.js loads on the Node.js that it runs on.
import { loadNativeUws, NO_UWS } from "../../src/link/native-uws.js";

process.stdout.write(loadNativeUws() === null ? `uws: ${NO_UWS}\n` : "uws: yes\n");
