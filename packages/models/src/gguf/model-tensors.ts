import { storedRows, type TensorEntry, type TensorSource } from '@frugal/checkpoint';
import { joinLatent } from './latent-rows.js';

type Read = TensorSource['readRange'];

/** A tensor that is seen otherwise than it is stored. */
interface Seen {
  readonly entry: TensorEntry;
  readonly readRange: Read;
}

/**
 * The tensors of a GGUF file as the modules of a model want them: each expert by itself (`ffn_gate.3`, as the oldest
 * files have them), whether the file stacks them by kind or gates and ups together, and one matrix for keys and values
 * of latent attention. Experts are slices of the file; only that matrix is computed when it is read.
 */
export function modelTensors(source: TensorSource): TensorSource {
  const seen = new Map<string, Seen>();
  const hidden = new Set<string>();
  for (const entry of source.entries.values()) {
    const views = [...expertsOf(source, entry), ...latentOf(source, entry)];
    if (views.length === 0 && !isJoined(source, entry)) continue;
    hidden.add(entry.name);
    for (const view of views) seen.set(view.entry.name, view);
  }
  if (hidden.size === 0) return source;
  const kept = [...source.entries].filter(([name]) => !hidden.has(name));
  const entries = new Map([...kept, ...[...seen].map(([name, { entry }]) => [name, entry] as const)]);
  const readRange: Read = (name, byteOffset, byteLength) =>
    seen.get(name)?.readRange(name, byteOffset, byteLength) ?? source.readRange(name, byteOffset, byteLength);
  const read = (name: string) => readRange(name, 0, entries.get(name)?.byteLength ?? 0);
  return { ...source, entries, read, readRange };
}

/** `blk.0.ffn_gate_exps.weight`; `gate_up` has each expert's gate before its up. */
const STACK = /^(blk\.\d+\.ffn_)(gate|up|down|gate_up)_exps\.(weight)$/;

function expertsOf(source: TensorSource, entry: TensorEntry): Seen[] {
  const [, prefix, kind, suffix] = STACK.exec(entry.name) ?? [];
  if (!prefix || entry.shape.length !== 3) return [];
  const [experts, rows, columns] = entry.shape;
  const kinds = kind === 'gate_up' ? ['gate', 'up'] : [kind];
  const byteLength = entry.byteLength / (experts * kinds.length);
  return Array.from({ length: experts * kinds.length }, (_, i): Seen => {
    const name = `${prefix}${kinds[i % kinds.length]}.${Math.floor(i / kinds.length)}.${suffix}`;
    const start = i * byteLength;
    return {
      entry: {
        ...entry,
        name,
        shape: [rows / kinds.length, columns],
        byteOffset: entry.byteOffset + start,
        byteLength,
      },
      readRange: (_name, offset, length) => source.readRange(entry.name, start + offset, length),
    };
  });
}

const KEYS = /^(blk\.\d+\.attn_)k_b\.weight$/;
const VALUES = /^(blk\.\d+\.attn_)v_b\.weight$/;

function latentOf(source: TensorSource, keys: TensorEntry): Seen[] {
  const [, prefix] = KEYS.exec(keys.name) ?? [];
  const values = prefix && source.entries.get(`${prefix}v_b.weight`);
  if (!values || keys.shape.length !== 3 || values.shape.length !== 3) return [];
  const [heads, latentSize, plainSize] = keys.shape;
  const [, valueSize] = values.shape;
  const rows = joinLatent(storedRows(source, keys.name), storedRows(source, values.name), {
    heads,
    plainSize,
    valueSize,
    latentSize,
  });
  const rowBytes = 4 * latentSize;
  const entry: TensorEntry = {
    ...keys,
    name: `${prefix}kv_b.weight`,
    dtype: 'F32',
    shape: [rows.rows, latentSize],
    byteLength: rows.rows * rowBytes,
    isComputed: true,
  };
  const readRange: Read = async (_name, offset, length) => {
    const first = Math.floor(offset / rowBytes);
    const bytes = await rows.readBytes(first, Math.ceil((offset + length) / rowBytes) - first);
    return bytes.slice(
      offset - first * rowBytes,
      offset - first * rowBytes + length,
    ) as Uint8Array<ArrayBuffer>;
  };
  return [{ entry, readRange }];
}

/** Values of latent attention, which are seen together with their keys. */
function isJoined({ entries }: TensorSource, { name }: TensorEntry): boolean {
  return VALUES.test(name) && entries.has(name.replace('v_b.weight', 'k_b.weight'));
}
