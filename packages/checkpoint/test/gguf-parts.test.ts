import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  CheckpointNotFoundError,
  type GgufFields,
  openCheckpoint,
  saveGguf,
  tensorInput,
} from '../src/index.js';
import { expectFormatError, temporaryFolder } from './support.js';

const tensorOf = (name: string, value: number) =>
  tensorInput(name, 'F32', [2], Float32Array.of(value, -value));

/** A model of six tensors over three files, as `gguf-split` cuts it: all metadata are in the first. */
async function splitModel(
  changes: { readonly count?: number; readonly repeated?: string } = {},
): Promise<string[]> {
  const folder = temporaryFolder();
  const paths: string[] = [];
  for (let i = 0; i < 3; i++) {
    const fields: GgufFields = {
      ...(i === 0 && { 'general.architecture': { type: 'string', value: 'llama' } }),
      'split.no': { type: 'u16', value: i },
      'split.count': { type: 'u16', value: 3 },
      'split.tensors.count': { type: 'i32', value: changes.count ?? 6 },
    };
    const path = join(folder, `tiny-0000${i + 1}-of-00003.gguf`);
    const second = i === 2 && changes.repeated ? changes.repeated : `b${i}`;
    await saveGguf(path, [tensorOf(`a${i}`, i), tensorOf(second, 10 + i)], fields);
    paths.push(path);
  }
  return paths;
}

describe('a GGUF model that is split over several files', () => {
  it.each([0, 1, 2])('opens as one, when part %i is named', async (named) => {
    const checkpoint = await openCheckpoint((await splitModel())[named]);
    const { tensors } = checkpoint;
    expect([...tensors.entries.keys()]).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'b2']);
    expect(tensors.metadata.get('general.architecture')).toBe('llama');
    for (const [name, value] of [
      ['a0', 0],
      ['b1', 11],
      ['a2', 2],
    ] as const)
      expect(new Float32Array((await tensors.read(name)).buffer)[0]).toBe(value);
    await checkpoint.close();
    await expect(tensors.read('a2')).rejects.toThrow();
  });

  it('is refused when parts are missing, renamed or of another model', async () => {
    const [, second] = await splitModel();
    await rename(second, second.replace('tiny', 'other'));
    await expect(openCheckpoint(second.replace('00002', '00001'))).rejects.toThrow(CheckpointNotFoundError);
    const [, , third] = await splitModel();
    await rename(third, third.replace('00003-of', '00002-of'));
    await expectFormatError(
      openCheckpoint(third.replace('00003-of', '00001-of')),
      /a part of another split model: got part 3 of 3; expected part 2 of 3/,
    );
    await rename(third.replace('00003-of', '00001-of'), join(third, '../single.gguf'));
    await expectFormatError(
      openCheckpoint(join(third, '../single.gguf')),
      /has another name: got part 1 of 3/,
    );
  });

  it('is refused when the tensors of its parts do not add up', async () => {
    const [first] = await splitModel({ repeated: 'a0' });
    await expectFormatError(openCheckpoint(first), /a tensor is in two parts: got "a0"/);
    const [other] = await splitModel({ count: 7 });
    await expectFormatError(openCheckpoint(other), /another number of tensors .*: got 6; expected 7/);
  });
});
