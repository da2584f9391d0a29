export * from "./conf-change.js";
export * from "./entry.js";
export * from "./message.js";
