import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { backendNames } from '../backend-candidates.js';
import { isHubReference } from '../hub/reference.js';
import { checkSettings, readSettingsFile, settings } from '../settings.js';

const count = z.int().positive();
const milliseconds = z.number().nonnegative();

const clientLimits = settings({
  requestsPerMinute: count.optional(),
  concurrentRequests: count.optional(),
  lowestPriority: z.int().optional(),
});

const schema = settings({
  /** What requests call it → MODEL, relative to the folder of this file. */
  models: z.record(z.string().min(1), z.string().min(1)).optional(),
  host: z.string().min(1).optional(),
  port: z.int().min(0).max(65_535).optional(),
  backend: settings({
    name: z.enum(['auto', ...backendNames]).optional(),
    threads: count.optional(),
    /** Blocks of every model that another backend computes: its name → blocks, as 0-11 or 3. */
    place: z.record(z.string(), z.union([z.string(), z.int().nonnegative()])).optional(),
  }).optional(),
  /** How much is computed at once, for each model but for `modelBytes`. */
  limits: settings({
    cacheBytes: count.optional(),
    maxRunning: count.optional(),
    maxWaiting: count.optional(),
    tokensPerStep: count.optional(),
    /** For all models together: weights and caches of those that are loaded. */
    modelBytes: count.optional(),
    /** Of each mixture of experts: experts in memory, the others stay on the disk. */
    expertBytes: count.optional(),
  }).optional(),
  /** A file of `frugal api-key`, relative to the folder of this file. */
  apiKeys: z.string().min(1).optional(),
  /** Adapters in this folder can be loaded while the server runs; relative to the folder of this file. */
  adapters: z.string().min(1).optional(),
  /** Adapters that are there from the start: `MODEL:NAME`, or `NAME` where there is one model → folder. */
  loadAdapters: z.record(z.string().min(1), z.string().min(1)).optional(),
  /** Whether clients can load and unload models. */
  manageModels: z.boolean().optional(),
  /** Names under which a router chooses a model for each request. */
  routers: z
    .record(
      z.string().min(1),
      settings({
        /** A ModelRouter of @frugal/moe as JSON, relative to the folder of this file. */
        file: z.string().min(1),
        /** How much worse than the best a cheaper model may be. */
        tolerance: z.number().nonnegative().optional(),
      }),
    )
    .optional(),
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
  const { models, apiKeys, adapters, loadAdapters, routers } = config;
  return {
    ...config,
    ...(apiKeys !== undefined && { apiKeys: from(apiKeys) }),
    ...(adapters !== undefined && { adapters: from(adapters) }),
    ...(models && { models: mapped(models, (model) => (isHubReference(model) ? model : from(model))) }),
    ...(loadAdapters && { loadAdapters: mapped(loadAdapters, from) }),
    ...(routers && { routers: mapped(routers, (router) => ({ ...router, file: from(router.file) })) }),
  };
}

function mapped<T, U>(record: Record<string, T>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}
