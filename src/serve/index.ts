// What the command runs: configurations and nodes of the service.
export { checkConfig, whyUnusable } from "./check.js";
export { type PeerAddresses, parseConfig, readConfig, type ServiceConfig } from "./config.js";
export { ConfigError } from "./config-error.js";
export { EXAMPLE_CONFIG } from "./example-config.js";
export { newLogger } from "./logger.js";
export { Service } from "./service.js";
