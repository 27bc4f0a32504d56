import { once } from 'node:events';
import { addBackendOptions, type BackendOptions } from '../backend.js';
import { type Context, printJson } from '../context.js';
import { UsageError } from '../errors.js';
import { EXPERT_MEMORY_OPTION, modelPath, requireThere, residentWeightBytes } from '../model.js';
import { type NamedPlace, PLACE_OPTION, placesOf } from '../placement.js';
import { readServeConfig, type ServeConfig } from '../serving/config.js';
import type { ModelSource } from '../serving/engine-settings.js';
import { pairsOf, sourcesOf } from '../serving/model-names.js';
import { addVerb, byteCount, integer, type JsonOption, Option, type Verb } from '../verb.js';

interface Options extends BackendOptions, JsonOption {
  readonly config?: string;
  readonly host?: string;
  readonly port?: number;
  readonly apiKey?: string;
  readonly apiKeys?: string;
  readonly origin?: readonly string[];
  readonly adapter?: readonly string[];
  readonly modelMemory?: number;
  readonly expertMemory?: number;
  readonly place?: readonly NamedPlace[];
  readonly router?: readonly string[];
  readonly log?: ServeConfig['log'];
}

export const serveVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'serve',
    summary: 'serve models with an OpenAI-compatible API and a chat page',
    notes:
      'Ctrl-C and SIGTERM let running requests finish. The models run in a process of their own, which is started again\n' +
      'when it crashes. FILE of --config is YAML or JSON: models (name: MODEL), host, port, backend, limits, apiKeys,\n' +
      'clientLimits, origins, log and more; docs/deploy.md has an example. Options win over it. --json prints the address\n' +
      'as JSON.',
    examples: [
      'frugal serve runs/student-int8',
      'frugal serve small=runs/student-int8 large=runs/teacher --port 8000',
      'frugal serve model.gguf --adapter polite=adapters/polite',
      'frugal serve small.gguf large.gguf --model-memory 4GB --router auto=router.json',
      'frugal serve model.gguf --host 0.0.0.0 --api-keys keys.json',
      `curl http://127.0.0.1:8080/v1/completions -H 'content-type: application/json' -d '{"model":"student-int8","prompt":"Fellow"}'`,
    ],
  })
    .argument('[MODELS...]', 'models, each also as NAME=MODEL')
    .option('--config <FILE>', 'settings of the server')
    .option(
      '--adapter <NAME=DIR...>',
      "LoRA adapters in PEFT's layout, asked for as MODEL:NAME; with several models MODEL:NAME=DIR",
    )
    .option(
      '--model-memory <SIZE>',
      'weights and caches of all models that are loaded at a time; those used longest ago make room (default: all stay)',
      byteCount,
    )
    .option(...EXPERT_MEMORY_OPTION)
    .option(...PLACE_OPTION)
    .option(
      '--router <NAME=FILE...>',
      'a name under which a saved ModelRouter chooses a model for each request',
    )
    .option('--host <ADDRESS>', 'where to listen; 0.0.0.0: everywhere (default: 127.0.0.1)')
    .option('--port <N>', '0: any free one (default: 8080)', integer(0, 65_535))
    .addOption(new Option('--api-key <KEY>', 'a key that clients must send').env('FRUGAL_API_KEY'))
    .option('--api-keys <FILE>', 'keys of several clients, made by frugal api-key')
    .option('--origin <ORIGINS...>', 'web pages that may use the API from a browser; *: all')
    .addOption(
      new Option(
        '--log <LEVEL>',
        'one line of JSON per request at info, on standard error (default: info)',
      ).choices(['silent', 'error', 'warn', 'info', 'debug']),
    );
  addBackendOptions(command).action(async (sources: readonly string[], options: Options) => {
    const file = options.config === undefined ? {} : await readServeConfig(options.config);
    // The default of an option is no wish of the user: the file wins over it.
    const isDefault = command.getOptionValueSource('backend') === 'default';
    const config = merged(file, { ...options, backend: isDefault ? undefined : options.backend }, sources);
    for (const folder of Object.values(config.loadAdapters ?? {})) await requireThere(folder);
    const place = options.place ?? placesOf(config.backend?.place);
    const models: ModelSource[] = [];
    for (const [name, source] of Object.entries(config.models ?? {})) {
      const path = await modelPath(source, context);
      await requireThere(path);
      const { expertBytes: expertMemory } = config.limits ?? {};
      models.push({ name, path, bytes: await residentWeightBytes(path, expertMemory), expertMemory, place });
    }
    if (models.length === 0) {
      const hint = 'Name one, or a --config file that does.';
      throw new UsageError({ where: 'serve', what: 'there is no model to serve', hint });
    }
    await serveUntilStopped(models, config, options, context);
  });
};

/** What the command line says wins over the file. */
function merged(file: ServeConfig, options: Options, sources: readonly string[]): ServeConfig {
  const { host, port, apiKeys, origin: origins, log } = options;
  const said = { host, port, apiKeys, origins: origins && [...origins], log };
  const { backend: name, threads } = options;
  const routers = options.router && Object.entries(pairsOf(options.router, '--router'));
  return {
    ...file,
    ...(options.adapter && {
      loadAdapters: { ...file.loadAdapters, ...pairsOf(options.adapter, '--adapter') },
    }),
    limits: {
      ...file.limits,
      ...(options.modelMemory && { modelBytes: options.modelMemory }),
      ...(options.expertMemory && { expertBytes: options.expertMemory }),
    },
    ...(routers && {
      routers: {
        ...file.routers,
        ...Object.fromEntries(routers.map(([name, path]) => [name, { file: path }])),
      },
    }),
    ...Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)),
    backend: { ...file.backend, ...(name && { name }), ...(threads && { threads }) },
    models: sources.length > 0 ? sourcesOf(sources) : file.models,
  };
}

async function serveUntilStopped(
  models: readonly ModelSource[],
  config: ServeConfig,
  { apiKey, json }: Options,
  context: Context,
): Promise<void> {
  const { terminal, signal } = context;
  // Loaded only here: the HTTP stack would slow every other verb down.
  const { startServer } = await import('../serving/start-server.js');
  const server = await startServer(models, config, apiKey, context);
  if (json) printJson(context, { url: server.url, models: models.map(({ name }) => name) });
  else terminal.out(`Chat page: ${server.url}   API: ${server.url}v1   (Ctrl-C ends)\n`);
  if (!signal.aborted) await once(signal, 'abort');
  await server.close();
}
