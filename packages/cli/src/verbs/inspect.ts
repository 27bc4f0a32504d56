import { type Checkpoint, openCheckpoint, type TensorEntry } from '@frugal/checkpoint';
import { configOf, tokenizerOf } from '@frugal/models';
import { formatBytes, formatNumber, renderTable } from '@frugal/report';
import { type Context, printJson } from '../context.js';
import { modelPath } from '../model.js';
import { addVerb, type JsonOption, MODEL_ARGUMENT, type Verb } from '../verb.js';

/** Tensors that belong together: one layer, or what has no layer (embedding, norm, head). */
export interface Part {
  readonly name: string;
  readonly parameters: number;
  readonly bytes: number;
  /** Stored dtypes, the largest first. */
  readonly formats: readonly string[];
}

export interface Inspection {
  readonly path: string;
  readonly architecture: string | null;
  readonly parameters: number;
  readonly bytes: number;
  readonly contextLength: number | null;
  readonly vocabularySize: number | null;
  /** Bytes by stored dtype. */
  readonly formats: Readonly<Record<string, number>>;
  readonly quantization: string | null;
  readonly parts: readonly Part[];
  readonly tokenizer: TokenizerFacts | { readonly error: string } | null;
  /** How the checkpoint came to be, from frugal.json. */
  readonly kind: string | null;
}

interface TokenizerFacts {
  readonly vocabularySize: number;
  readonly bos: string | null;
  readonly eos: readonly string[];
  readonly chatTemplate: boolean;
}

export const inspectVerb: Verb = (program, context) => {
  addVerb(program, {
    name: 'inspect',
    summary: 'architecture, parameters, formats, bytes by layer, tokenizer',
    examples: ['frugal inspect runs/student', 'frugal inspect runs/student --json | jq .bytes'],
  })
    .argument(...MODEL_ARGUMENT)
    .action(async (source: string, { json }: JsonOption) => {
      const inspection = await inspectModel(await modelPath(source, context));
      if (json) printJson(context, inspection);
      else printInspection(inspection, context);
    });
};

/** Reads headers only: as quick for large models as for small ones. */
export async function inspectModel(path: string): Promise<Inspection> {
  const checkpoint = await openCheckpoint(path);
  try {
    const { manifest } = checkpoint;
    const config = await configOf(checkpoint);
    const parts = partsOf([...checkpoint.tensors.entries.values()]);
    const count = (value: unknown) => (typeof value === 'number' ? value : null);
    const quantization = config.quantization_config as { quant_method?: string; format?: string } | undefined;
    return {
      path,
      architecture: Array.isArray(config.architectures) ? String(config.architectures[0]) : null,
      parameters: sumOf(parts, 'parameters'),
      bytes: sumOf(parts, 'bytes'),
      contextLength: count(config.max_position_embeddings),
      vocabularySize: count(config.vocab_size),
      formats: bytesByFormat(checkpoint),
      quantization: quantization
        ? [quantization.quant_method, quantization.format].filter(Boolean).join(' ')
        : null,
      parts,
      tokenizer: await tokenizerFacts(checkpoint),
      kind: manifest?.kind ?? null,
    };
  } finally {
    await checkpoint.close();
  }
}

function partsOf(entries: readonly TensorEntry[]): Part[] {
  const groups = new Map<string, TensorEntry[]>();
  for (const entry of entries) {
    const name = partName(entry.name);
    groups.set(name, [...(groups.get(name) ?? []), entry]);
  }
  const parts = [...groups].map(([name, members]): Part => {
    const sizes = new Map<string, number>();
    for (const { dtype, byteLength } of members) sizes.set(dtype, (sizes.get(dtype) ?? 0) + byteLength);
    const formats = [...sizes].sort((a, b) => b[1] - a[1]).map(([dtype]) => dtype);
    const bytes = members.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return { name, parameters: members.reduce((sum, entry) => sum + parametersOf(entry), 0), bytes, formats };
  });
  return parts.sort((a, b) => layerNumber(a.name) - layerNumber(b.name));
}

/** `model.layers.3.mlp.up_proj.weight` → `model.layers.3`; `lm_head.weight` → `lm_head`. */
function partName(tensor: string): string {
  const layer = /^(.*?\.\d+)\./.exec(tensor);
  return layer ? layer[1] : tensor.replace(/\.[^.]+$/, '');
}

/** What has no number stands around the layers: embeddings before them, norms and heads after. */
function layerNumber(name: string): number {
  const match = /\.(\d+)$/.exec(name);
  if (match) return Number(match[1]);
  return /embed|wte|tok/.test(name) ? -1 : Number.MAX_SAFE_INTEGER;
}

/** Scales and zero points of packed weights are bytes, not parameters. */
function parametersOf({ name, shape }: TensorEntry): number {
  if (/(_scale|_scales|_zero_point|\.scales|\.zeros|\.qzeros|\.g_idx)$/.test(name)) return 0;
  return shape.reduce((product, size) => product * size, 1);
}

function bytesByFormat({ tensors }: Checkpoint): Record<string, number> {
  const formats: Record<string, number> = {};
  for (const { dtype, byteLength } of tensors.entries.values())
    formats[dtype] = (formats[dtype] ?? 0) + byteLength;
  return formats;
}

async function tokenizerFacts(checkpoint: Checkpoint): Promise<Inspection['tokenizer']> {
  if (checkpoint.kind === 'directory' && !checkpoint.files.includes('tokenizer.json')) return null;
  try {
    const tokenizer = await tokenizerOf(checkpoint);
    const name = (id: number) => tokenizer.tokenOf(id) ?? String(id);
    return {
      vocabularySize: tokenizer.vocabularySize,
      bos: tokenizer.bosId === undefined ? null : name(tokenizer.bosId),
      eos: tokenizer.eosIds.map(name),
      chatTemplate: Object.keys(tokenizer.chatTemplates).length > 0,
    };
  } catch (error) {
    return { error: (error as Error).message }; // the rest of the model is still worth looking at
  }
}

function printInspection(inspection: Inspection, { terminal }: Context): void {
  const { path, architecture, parameters, bytes, formats, tokenizer, quantization, kind } = inspection;
  const facts: [string, string][] = [
    ['model', path],
    ['architecture', architecture ?? 'unknown'],
    ['parameters', formatNumber(parameters)],
    [
      'size',
      `${formatBytes(bytes)} (${Object.entries(formats)
        .map(([name, size]) => `${name} ${formatBytes(size)}`)
        .join(', ')})`,
    ],
    ...(quantization ? ([['quantization', quantization]] as const) : []),
    [
      'context',
      inspection.contextLength === null ? 'not said' : `${formatNumber(inspection.contextLength)} tokens`,
    ],
    ['tokenizer', describeTokenizer(tokenizer)],
    ...(kind ? ([['made by', kind]] as const) : []),
  ].map(([name, value]) => [name, value]);
  const width = Math.max(...facts.map(([name]) => name.length));
  terminal.out(`${facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')}\n\n`);
  const columns = [
    { title: 'part' },
    { title: 'parameters' },
    { title: 'size', format: 'bytes' as const },
    { title: 'stored as' },
  ];
  const rows = foldLayers(inspection.parts).map((part) => [
    part.name,
    part.parameters,
    part.bytes,
    part.formats.join(', '),
  ]);
  terminal.out(`${renderTable(columns, rows, { maxWidth: terminal.columns })}\n`);
}

function describeTokenizer(tokenizer: Inspection['tokenizer']): string {
  if (tokenizer === null) return 'none';
  if ('error' in tokenizer) return tokenizer.error;
  const { vocabularySize, bos, eos, chatTemplate } = tokenizer;
  const facts = [
    `${formatNumber(vocabularySize)} tokens`,
    `BOS ${bos ?? 'none'}`,
    `EOS ${eos.join(' ') || 'none'}`,
  ];
  return [...facts, chatTemplate ? 'chat template' : 'no chat template'].join(', ');
}

/** Equal neighbours become one line: `model.layers.0–29 (each)`. */
function foldLayers(parts: readonly Part[]): Part[] {
  const folded: { part: Part; last: string }[] = [];
  for (const part of parts) {
    const previous = folded[folded.length - 1];
    if (previous && isSameLayer(previous.part, part)) previous.last = part.name;
    else folded.push({ part, last: part.name });
  }
  return folded.map(({ part, last }) =>
    last === part.name ? part : { ...part, name: `${part.name}–${/\d+$/.exec(last)?.[0]} (each)` },
  );
}

function isSameLayer(a: Part, b: Part): boolean {
  const stem = (name: string) => name.replace(/\d+$/, '');
  const same = a.parameters === b.parameters && a.bytes === b.bytes && a.formats.join() === b.formats.join();
  return same && stem(a.name) === stem(b.name) && stem(a.name) !== a.name;
}

function sumOf(parts: readonly Part[], key: 'parameters' | 'bytes'): number {
  return parts.reduce((sum, part) => sum + part[key], 0);
}
