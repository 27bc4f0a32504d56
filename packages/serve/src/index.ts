export * from './engine.js';
export {
  closeOnSignal,
  type RunningServer,
  type ServeEngineOptions,
  type ServeOptions,
  serveEngine,
  serveModels,
} from './serve-models.js';
export { type ApiKey, ApiKeys, type ClientLimits, hashApiKey, newApiKey } from './server/access/api-keys.js';
export { ListenError, type ListenOptions } from './server/listen.js';
export { serverLogger } from './server/logger.js';
export type { Router } from './server/routers.js';
export { createServer, type ServerOptions } from './server/server.js';
