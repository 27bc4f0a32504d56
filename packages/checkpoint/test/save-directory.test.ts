import { mkdirSync, readdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openCheckpoint, saveDirectory, saveFile, tensorInput, writeCheckpoint } from '../src/index.js';
import { ownerTag } from '../src/save/owner.js';
import { temporaryFolder } from './support.js';
import { contentsOfVersion, readVersion } from './version-contents.js';

const read = (...path: string[]) => readFileSync(join(...path), 'utf8');

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield new TextEncoder().encode(text);
}

describe('saveDirectory', () => {
  it('puts files of every kind in place, and replaces the folder whole', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'a', 'b');
    const steps: string[] = [];
    await saveDirectory(
      path,
      async (staging) => {
        await staging.writeJson('config.json', { a: 1 });
        await staging.writeFile('text/x.txt', 'x');
        await staging.writeFile('bytes', Uint8Array.of(65));
        await staging.writeFile('chunks', chunks('one ', 'two'));
        await staging.copyFile('copy', join(staging.path, 'bytes'));
        await staging.writeTensors('t.safetensors', [tensorInput('t', 'F32', [1], Float32Array.of(1))]);
        writeFileSync(join(staging.path, 'own'), 'own');
        expect(readdirSync(join(folder, 'a'))).toEqual([basename(staging.path)]);
      },
      { onStep: (step) => steps.push(step) },
    );
    expect(readdirSync(path).sort()).toEqual([
      'bytes',
      'chunks',
      'config.json',
      'copy',
      'own',
      't.safetensors',
      'text',
    ]);
    expect([read(path, 'chunks'), read(path, 'copy'), read(path, 'text/x.txt')]).toEqual([
      'one two',
      'A',
      'x',
    ]);
    expect(read(path, 'config.json')).toBe('{\n  "a": 1\n}\n');
    expect(steps).toEqual(['staging', 'written', 'flushed', 'new-in-place', 'done']);
    await saveDirectory(path, (staging) => staging.writeJson('config.json', { a: 2 }), { durable: false });
    expect(readdirSync(path)).toEqual(['config.json']);
    expect(readdirSync(join(folder, 'a'))).toEqual(['b']);
  });

  it('lets errors of the writer through and leaves the old version', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    await writeCheckpoint(path, contentsOfVersion(1));
    const failed = saveDirectory(path, async (staging) => {
      await staging.writeJson('config.json', {});
      throw new RangeError('loss is NaN');
    });
    await expect(failed).rejects.toThrow(RangeError);
    expect(await readVersion(path)).toBe(1);
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('runs saves to one path one after the other', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    const log: string[] = [];
    const save = (name: string) =>
      saveDirectory(path, async (staging) => {
        log.push(`${name} begins`);
        await staging.writeJson('config.json', { name });
        await new Promise((resolve) => setTimeout(resolve, 5));
        log.push(`${name} ends`);
      });
    const failing = saveDirectory(path, async () => Promise.reject(new Error('no')));
    const results = await Promise.allSettled([save('a'), failing, save('b'), save('c')]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
    expect(read(path, 'config.json')).toContain('"c"');
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('replaces other folders when told what they look like', async () => {
    const path = join(temporaryFolder(), 'shards');
    const write = () =>
      saveDirectory(path, (staging) => staging.writeFile('00.bin', 'x'), { replaceable: ['*.bin'] });
    await write();
    await write();
    await expect(saveDirectory(path, async () => {})).rejects.toThrow(/does not look like/);
  });
});

describe('recovery', () => {
  it('puts the previous version back when a crash left none, for readers and writers', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    await writeCheckpoint(path, contentsOfVersion(1));
    const crash = () => renameSync(path, join(folder, '.model.previous'));
    crash();
    expect(await readVersion(path)).toBe(1);
    expect(readdirSync(folder)).toEqual(['model']);
    crash();
    const failed = saveDirectory(path, async () => Promise.reject(new Error('no')));
    await expect(failed).rejects.toThrow('no');
    expect(await readVersion(path)).toBe(1);
    crash();
    await expect(writeCheckpoint(path, contentsOfVersion(2))).rejects.toThrow(/exists already/);
    await writeCheckpoint(path, contentsOfVersion(2), { force: true });
    expect(await readVersion(path)).toBe(2);
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('deletes leftovers of the dead, of this machine at once, of others when they are old', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    const [host] = ownerTag().split('-');
    const other = host === '00000000' ? '11111111' : '00000000';
    const make = (name: string, hoursAgo: number) => {
      mkdirSync(join(folder, name));
      const time = new Date(Date.now() - hoursAgo * 3_600_000);
      utimesSync(join(folder, name), time, time);
    };
    make(`.model.saving-${host}-4194305-1-aaaaaaaa`, 0); // beyond the highest process id
    make(`.model.saving-${host}-${process.pid}-1-bbbbbbbb`, 0); // our id, but another start time
    make(`.model.removing-${host}-4194305-1-cccccccc`, 0);
    make(`.model.saving-${other}-1-1-dddddddd`, 2);
    make(`.model.saving-${other}-1-1-eeeeeeee`, 0);
    make(`.models.saving-${host}-4194305-1-ffffffff`, 0); // of another checkpoint
    writeFileSync(join(folder, '.model.txt'), '');
    await writeCheckpoint(path, contentsOfVersion(1));
    expect(readdirSync(folder).sort()).toEqual([
      `.model.saving-${other}-1-1-eeeeeeee`,
      '.model.txt',
      `.models.saving-${host}-4194305-1-ffffffff`,
      'model',
    ]);
  });

  it('refuses to save beside another process that lives', async () => {
    const folder = temporaryFolder();
    const [host] = ownerTag().split('-');
    const parent = `.model.saving-${host}-${process.ppid}-0-aaaaaaaa`;
    mkdirSync(join(folder, parent));
    await expect(writeCheckpoint(join(folder, 'model'), contentsOfVersion(1))).rejects.toThrow(
      new RegExp(`process ${process.ppid} is saving to the same place.*delete .*aaaaaaaa`),
    );
    expect(readdirSync(folder)).toEqual([parent]);
  });
});

describe('saveFile', () => {
  it('replaces a file in one step, or not at all', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'x.txt');
    await saveFile(path, async (temporary) => writeFileSync(temporary, 'one'));
    await expect(
      saveFile(path, async (temporary) => {
        writeFileSync(temporary, 'two');
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(read(path)).toBe('one');
    await saveFile(path, async (temporary) => writeFileSync(temporary, 'three'));
    expect(read(path)).toBe('three');
    expect(readdirSync(folder)).toEqual(['x.txt']);
  });

  it('runs saves to one file one after the other', async () => {
    const path = join(temporaryFolder(), 'x.txt');
    const texts = ['a', 'b', 'c'];
    await Promise.all(
      texts.map((text) => saveFile(path, async (temporary) => writeFileSync(temporary, text))),
    );
    expect(read(path)).toBe('c');
  });

  it('explains what the system refuses', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'x'));
    const failed = saveFile(join(folder, 'x'), async (temporary) => writeFileSync(temporary, 'a'));
    await expect(failed).rejects.toThrow(/\/x\] could not be saved: got EISDIR/);
    expect(readdirSync(folder)).toEqual(['x']);
    await expect(openCheckpoint(join(folder, 'x'))).rejects.toThrow(/empty folder/);
  });
});
