export * from './engine.js';
export {
  closeOnSignal,
  type RunningServer,
  type ServeEngineOptions,
  type ServeOptions,
  serveEngine,
  serveModels,
} from './serve-models.js';
export { ListenError, type ListenOptions } from './server/listen.js';
export { createServer, type ServerOptions } from './server/server.js';
