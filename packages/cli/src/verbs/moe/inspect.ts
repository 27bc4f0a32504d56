import { saveFile } from '@frugal/checkpoint';
import { inspectRouting, type LayerRouting } from '@frugal/moe';
import { heatMap, htmlPage, renderTable } from '@frugal/report';
import { addBackendOptions, type BackendOptions, useBackend } from '../../backend.js';
import { type Context, printJson } from '../../context.js';
import { DOMAIN_TEXT, readDomains, windowsOf } from '../../domains.js';
import { refuseExisting } from '../../files.js';
import { modelPath, openSpeaker } from '../../model.js';
import { withProgress } from '../../progress.js';
import { addVerb, integer, type JsonOption, MODEL_ARGUMENT, type Verb } from '../../verb.js';

interface Options extends BackendOptions, JsonOption {
  readonly text: readonly string[];
  readonly tokens: number;
  readonly html?: string;
  readonly force?: boolean;
}

const WINDOW = 512;

export const inspectRoutingVerb: Verb = (moe, context) => {
  const command = addVerb(moe, {
    name: 'inspect',
    summary: 'where the routers of a model send texts',
    notes:
      'load entropy: 1 when all experts are used alike; gate entropy: 1 when routers cannot decide; specialization: 1 when no\n' +
      'two domains share an expert, 0 when all use the same ones.',
    examples: [
      'frugal moe inspect runs/sparse --text english=speeches.jsonl chinese=novel.txt',
      'frugal moe inspect runs/sparse --text *.txt --html routing.html --json',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .requiredOption('--text <[NAME=]FILE...>', DOMAIN_TEXT)
    .option('--tokens <N>', 'tokens of each domain', integer(2), 4096)
    .option('--html <FILE>', 'write a page with heat maps')
    .option('--force', 'replace that file');
  addBackendOptions(command).action(async (source: string, options: Options) => {
    const { html, force, json, tokens } = options;
    if (html !== undefined) await refuseExisting(html, force);
    const domains = await readDomains(options.text);
    const path = await modelPath(source, context);
    useBackend(options, context);
    const { model, tokenizer } = await openSpeaker(path, context);
    const length = Math.min(WINDOW, model.contextLength);
    const routed = domains.map((domain) => ({
      name: domain.name,
      sequences: windowsOf(tokenizer, domain, { length, tokens }),
    }));
    const layers = await withProgress(context, 'Routing', (update) =>
      inspectRouting(model, routed, {
        signal: context.signal,
        onProgress: ({ done, total }) => update(done, total),
      }),
    );
    if (html !== undefined) await saveFile(html, routingPage(source, layers));
    if (json) return printJson(context, { layers });
    printLayers(layers, context);
  });
};

function printLayers(layers: readonly LayerRouting[], { terminal }: Context): void {
  const columns = [
    { title: 'layer' },
    { title: 'experts' },
    { title: 'busiest', decimals: 2, unit: '× mean' },
    { title: 'never chosen' },
    { title: 'load entropy', decimals: 3 },
    { title: 'gate entropy', decimals: 3 },
    { title: 'specialization', decimals: 3 },
  ];
  const rows = layers.map(({ path, experts, chosen, load, loadEntropy, gateEntropy, specialization }) => [
    path,
    `${chosen} of ${experts}`,
    Math.max(...load) * experts,
    load.filter((share) => share === 0).length,
    loadEntropy,
    gateEntropy,
    specialization,
  ]);
  terminal.out(`${renderTable(columns, rows)}\n`);
}

/** A heat map of all layers, then one of each layer by domain. */
export function routingPage(source: string, layers: readonly LayerRouting[]): string {
  const width = Math.max(...layers.map(({ experts }) => experts));
  const columns = Array.from({ length: width }, (_, e) => String(e));
  const relative = ({ experts }: LayerRouting, load: readonly number[]) =>
    load.map((share) => share * experts);
  const maps = layers.map((layer) =>
    heatMap({
      title: layer.path,
      subtitle: `specialization ${layer.specialization.toFixed(3)}, load entropy ${layer.loadEntropy.toFixed(3)}`,
      xLabel: 'expert',
      yLabel: 'domain',
      columns: columns.slice(0, layer.experts),
      rows: layer.domains.map(({ name }) => name),
      values: layer.domains.map(({ load }) => relative(layer, load)),
      numbers: { decimals: 2 },
    }),
  );
  const all = heatMap({
    title: 'Load of every expert',
    subtitle: 'times the mean of its layer, domains counting alike',
    xLabel: 'expert',
    yLabel: 'layer',
    columns,
    rows: layers.map(({ path }) => path),
    values: layers.map((layer) => relative(layer, layer.load)),
    numbers: { decimals: 2 },
  });
  const domains = layers[0].domains.map(({ name, tokens }) => `${name} (${tokens} tokens)`).join(', ');
  return htmlPage({
    title: 'Routing',
    subtitle: `${source}: ${domains}`,
    sections: [{ charts: [all] }, { title: 'By domain', charts: maps }],
  });
}
