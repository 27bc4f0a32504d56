import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { backendNames } from '../backend-candidates.js';
import { isHubReference } from '../hub/reference.js';
import { checkSettings, readSettingsFile, settings } from '../settings.js';

const count = z.int().positive();
const milliseconds = z.number().nonnegative();

const clientLimits = settings({ requestsPerMinute: count.optional(), concurrentRequests: count.optional() });

const schema = settings({
  /** What requests call it → MODEL, relative to the folder of this file. */
  models: z.record(z.string().min(1), z.string().min(1)).optional(),
  host: z.string().min(1).optional(),
  port: z.int().min(0).max(65_535).optional(),
  backend: settings({
    name: z.enum(['auto', ...backendNames]).optional(),
    threads: count.optional(),
  }).optional(),
  /** How much is computed at once, for each model. */
  limits: settings({
    cacheBytes: count.optional(),
    maxRunning: count.optional(),
    maxWaiting: count.optional(),
    tokensPerStep: count.optional(),
  }).optional(),
  /** A file of `frugal api-key`, relative to the folder of this file. */
  apiKeys: z.string().min(1).optional(),
  /** Adapters in this folder can be loaded while the server runs; relative to the folder of this file. */
  adapters: z.string().min(1).optional(),
  /** Of keys without limits of their own. */
  clientLimits: clientLimits.optional(),
  /** Web pages that may use the API from a browser. */
  origins: z
    .array(z.union([z.literal('*'), z.url().refine(isOrigin, 'expected an origin, without a path')]))
    .optional(),
  bodyLimit: count.optional(),
  drainTimeout: milliseconds.optional(),
  slowReaderTimeout: milliseconds.optional(),
  /** Whether /metrics answers without a key. */
  openMetrics: z.boolean().optional(),
  log: z.enum(['silent', 'error', 'warn', 'info', 'debug']).optional(),
});

export type ServeConfig = z.infer<typeof schema>;

const hint = 'frugal serve --help says where an example is.';

/**
 * The configuration of a server, in YAML or JSON.
 * @throws CommandError listing every wrong field
 */
export async function readServeConfig(file: string): Promise<ServeConfig> {
  const config = checkSettings(schema, await readSettingsFile(file, hint), file, hint);
  const from = (path: string) => resolve(dirname(file), path);
  const { models, apiKeys, adapters } = config;
  return {
    ...config,
    ...(apiKeys !== undefined && { apiKeys: from(apiKeys) }),
    ...(adapters !== undefined && { adapters: from(adapters) }),
    ...(models && {
      models: Object.fromEntries(
        Object.entries(models).map(([name, model]) => [name, isHubReference(model) ? model : from(model)]),
      ),
    }),
  };
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}
