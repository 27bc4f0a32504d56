import { once } from 'node:events';
import { basename, resolve } from 'node:path';
import { addBackendOptions, type BackendOptions } from '../backend.js';
import { type Context, printJson } from '../context.js';
import { UsageError } from '../errors.js';
import { isHubReference } from '../hub/reference.js';
import { modelPath, requireThere } from '../model.js';
import type { EngineSettings, ModelSource } from '../serving/engine-settings.js';
import { addVerb, integer, type JsonOption, type Verb } from '../verb.js';

interface Options extends BackendOptions, JsonOption {
  readonly host: string;
  readonly port: number;
}

export const serveVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'serve',
    summary: 'serve models with an OpenAI-compatible API and a chat page',
    notes:
      'Ctrl-C lets running requests finish. There is no authentication: behind another --host than this machine,\n' +
      'put a proxy that has it. --json prints the address as JSON.',
    examples: [
      'frugal serve runs/student-int8',
      'frugal serve small=runs/student-int8 large=runs/teacher --port 8000',
      `curl http://127.0.0.1:8080/v1/completions -H 'content-type: application/json' -d '{"model":"student-int8","prompt":"Fellow"}'`,
    ],
  })
    .argument('<MODELS...>', 'models, each also as NAME=MODEL')
    .option('--host <ADDRESS>', 'where to listen; 0.0.0.0: everywhere', '127.0.0.1')
    .option('--port <N>', '0: any free one', integer(), 8080);
  addBackendOptions(command).action(async (sources: readonly string[], options: Options) => {
    const named = sources.map(nameOf);
    const twice = named.find(({ name }, i) => named.findIndex((other) => other.name === name) < i);
    if (twice) {
      const hint = 'Give each a name: NAME=MODEL.';
      throw new UsageError({ where: 'serve', what: 'two models have one name', got: twice.name, hint });
    }
    const models: ModelSource[] = [];
    for (const { name, source } of named) {
      const path = await modelPath(source, context);
      await requireThere(path);
      models.push({ name, path });
    }
    const { backend, threads } = options;
    await serveUntilStopped({ models, backend: { backend, threads } }, options, context);
  });
};

/** `NAME=MODEL`, or the name of the folder. */
function nameOf(model: string): { readonly name: string; readonly source: string } {
  const match = /^([^=/\\]+)=(.+)$/.exec(model);
  if (match) return { name: match[1], source: match[2] };
  return { name: isHubReference(model) ? model.slice(3) : basename(resolve(model)), source: model };
}

async function serveUntilStopped(settings: EngineSettings, { host, port, json }: Options, context: Context) {
  const { terminal, signal } = context;
  // Loaded only here: the HTTP stack would slow every other verb down.
  const { serveEngine } = await import('@frugal/serve');
  const { describeNotice, startEngine } = await import('../serving/start-engine.js');
  const engine = await startEngine(settings, context, (notice) =>
    terminal.err(`${describeNotice(notice)}\n`),
  );
  const server = await serveEngine(engine, { host, port });
  if (json) printJson(context, { url: server.url, models: engine.models().map(({ name }) => name) });
  else terminal.out(`Chat page: ${server.url}   API: ${server.url}v1   (Ctrl-C ends)\n`);
  if (!signal.aborted) await once(signal, 'abort');
  await server.close();
}
