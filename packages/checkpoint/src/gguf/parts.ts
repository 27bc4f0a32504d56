import type { ByteSource } from '../byte-source.js';
import { CheckpointFormatError, show } from '../errors.js';
import { type TensorEntry, tensorSourceOf } from '../tensor-source.js';
import { type GgufSource, readGguf } from './reader.js';

/** What llama.cpp's `gguf-split` calls a part: `model-00002-of-00005.gguf`. */
const PART = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/i;

/** More parts than any model has; a damaged count must not open files without end. */
const MOST_PARTS = 4096;

/** How many files a model is split over, and which of them this is. */
function partOf({ metadata }: GgufSource, file: string): { readonly index: number; readonly count: number } {
  const [index, count] = ['split.no', 'split.count'].map((key) => Number(metadata.get(key) ?? 0));
  const sound = Number.isInteger(count) && count >= 0 && count <= MOST_PARTS && Number.isInteger(index);
  if (sound && (count === 0 || (index >= 0 && index < count))) return { index, count };
  const got = `${show(metadata.get('split.no'))} of ${show(metadata.get('split.count'))}`;
  throw new CheckpointFormatError({ file, what: 'bad split.no or split.count', got });
}

/**
 * All parts of a GGUF model that `gguf-split` cut, as one source with the metadata of the first part, whichever part is
 * given; a file that is whole comes back as it is. `open` opens the other parts.
 * @throws CheckpointFormatError for parts that do not belong together, what `open` throws for parts that are missing
 */
export async function withAllParts(
  given: GgufSource,
  source: ByteSource,
  open: (path: string) => Promise<ByteSource>,
): Promise<GgufSource> {
  const { index, count } = partOf(given, source.name);
  if (count < 2) return given;
  const [, stem, number, total, end] = PART.exec(source.name) ?? [];
  if (!stem || Number(number) !== index + 1 || Number(total) !== count) {
    throw new CheckpointFormatError({
      file: source.name,
      what: 'a part of a split model has another name',
      got: `part ${index + 1} of ${count}`,
      expected: 'NAME-00001-of-00003.gguf and the like',
      hint: 'Give all parts the names that gguf-split gave them.',
    });
  }
  const files = new Map<string, ByteSource>([[source.name, source]]);
  try {
    const parts: GgufSource[] = [];
    for (let i = 0; i < count; i++) {
      const name = `${stem}-${String(i + 1).padStart(5, '0')}-of-${total}${end}`;
      parts.push(i === index ? given : await openPart(name, { index: i, count }, files, open));
    }
    const tensors = tensorSourceOf('gguf', mergeEntries(parts), parts[0].metadata, files);
    const { fields, version, alignment } = parts[0];
    return { ...tensors, format: 'gguf', version, alignment, fields };
  } catch (error) {
    files.delete(source.name);
    await Promise.all([...files.values()].map((file) => file.close()));
    throw error;
  }
}

async function openPart(
  name: string,
  wanted: { readonly index: number; readonly count: number },
  files: Map<string, ByteSource>,
  open: (path: string) => Promise<ByteSource>,
): Promise<GgufSource> {
  const file = await open(name);
  files.set(file.name, file);
  const part = await readGguf(file);
  const { index, count } = partOf(part, name);
  if (index === wanted.index && count === wanted.count) return part;
  throw new CheckpointFormatError({
    file: name,
    what: 'a part of another split model',
    got: `part ${index + 1} of ${count}`,
    expected: `part ${wanted.index + 1} of ${wanted.count}`,
  });
}

function mergeEntries(parts: readonly GgufSource[]): Map<string, TensorEntry> {
  const entries = new Map<string, TensorEntry>();
  for (const part of parts) {
    for (const [name, entry] of part.entries) {
      if (entries.has(name))
        throw new CheckpointFormatError({
          file: entry.file,
          what: 'a tensor is in two parts',
          got: show(name),
        });
      entries.set(name, entry);
    }
  }
  const wanted = Number(parts[0].metadata.get('split.tensors.count') ?? entries.size);
  if (wanted === entries.size) return entries;
  throw new CheckpointFormatError({
    file: [...parts[0].entries.values()][0]?.file ?? 'split model',
    what: 'the parts have another number of tensors than the first one says',
    got: String(entries.size),
    expected: String(wanted),
  });
}
