import {
  ApiKeys,
  boundYoungGeneration,
  hashApiKey,
  type RunningServer,
  serveEngine,
  serverLogger,
} from '@frugal/serve';
import type { Context } from '../context.js';
import { UsageError } from '../errors.js';
import { adapterSources } from './adapter-sources.js';
import type { ServeConfig } from './config.js';
import type { ModelSource } from './engine-settings.js';
import { readKeyFile } from './key-file.js';
import { openRouters } from './routers.js';
import { describeNotice, startEngine } from './start-engine.js';

/** A server over an engine of its own, as a configuration describes it. */
export async function startServer(
  models: readonly ModelSource[],
  config: ServeConfig,
  apiKey: string | undefined,
  context: Context,
): Promise<RunningServer> {
  boundYoungGeneration();
  const { terminal } = context;
  const { host, port, backend, limits, apiKeys: keyFile, adapters, log = 'info', ...options } = config;
  const readKeys = () => keysOf(apiKey, keyFile);
  const apiKeys = new ApiKeys(await readKeys());
  if (keyFile !== undefined && apiKeys.isEmpty) {
    throw new UsageError({
      where: keyFile,
      what: 'the file has no keys, so everybody could use the server',
      hint: 'Make one with frugal api-key, or leave apiKeys out.',
    });
  }
  if (apiKeys.isEmpty && host !== undefined && !isLoopback(host)) {
    terminal.err(`Everybody who can reach ${host} can use this server: --api-keys asks for keys.\n`);
  }
  const logger = serverLogger(log);
  const routers = await openRouters(options.routers, models);
  const settings = {
    ...{ models, limits, adapters: adapterSources(options.loadAdapters, models) },
    backend: { backend: backend?.name, threads: backend?.threads },
  };
  const engine = await startEngine(settings, context, (notice) => {
    const text = describeNotice(notice);
    if (notice.type === 'restarted') logger.info(text);
    else logger.error(text);
  });
  const reload = () => {
    readKeys()
      .then((keys) => apiKeys.replace(keys))
      .then(() => logger.info('read the API keys again'))
      .catch((error) => logger.error(`the API keys stay as they were: ${error.message}`));
  };
  if (keyFile !== undefined) process.on('SIGHUP', reload);
  const { openMetrics, clientLimits, origins, bodyLimit, drainTimeout, slowReaderTimeout, manageModels } =
    options;
  const server = await serveEngine(engine, {
    ...{ host, port, logger, apiKeys, openMetrics, clientLimits, origins },
    ...{ bodyLimit, drainTimeout, slowReaderTimeout, adapterFolder: adapters, manageModels, routers },
  });
  return {
    url: server.url,
    close: async () => {
      process.off('SIGHUP', reload);
      await server.close();
    },
  };
}

async function keysOf(apiKey: string | undefined, file: string | undefined) {
  if (apiKey === '') throw new UsageError({ where: '--api-key', what: 'the key is empty' });
  return [
    ...(apiKey === undefined ? [] : [{ name: 'api-key', sha256: hashApiKey(apiKey) }]),
    ...(file === undefined ? [] : await readKeyFile(file)),
  ];
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}
