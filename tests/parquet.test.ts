import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readDocuments, readRecords } from '@frugal/data';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { findPeer } from './support/peers.js';

const peers = findPeer('@duckdb/node-api');
const start = process.cwd();
let folder: string;

beforeEach((context) => {
  if (!peers) context.skip('needs @duckdb/node-api in the folder that FRUGAL_NODE_PEERS names');
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'frugal-parquet-'));
  if (!peers) return;
  process.chdir(peers);
  const { DuckDBInstance } = await import(
    pathToFileURL(createRequire(join(peers, 'index.js')).resolve('@duckdb/node-api')).href
  );
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const table = `SELECT i AS id, 'text 第' || i AS text, {'a': [i, 2]} AS more FROM range(5000) t(i)`;
  await connection.run(
    `COPY (${table}) TO '${join(folder, 'rows[1].parquet')}' (FORMAT parquet, ROW_GROUP_SIZE 2048)`,
  );
  connection.closeSync();
});
afterAll(async () => {
  process.chdir(start);
  await rm(folder, { recursive: true, force: true });
});

it('rows of Parquet are documents', async () => {
  const documents = [];
  for await (const document of readDocuments([join(folder, 'rows[1].parquet')])) documents.push(document);
  expect(documents).toHaveLength(5000);
  expect(documents[4321]).toEqual({ id: '4321', text: 'text 第4321' });
});

it('rows keep lists and structures', async () => {
  for await (const { place, value } of readRecords(join(folder, 'rows[1].parquet'))) {
    expect(place).toMatch(/rows\[1\]\.parquet:1$/);
    expect(value).toMatchObject({ more: { a: ['0', '2'] } });
    break;
  }
});

it('a damaged file is an error, not fewer rows', async () => {
  const bytes = await readFile(join(folder, 'rows[1].parquet'));
  const file = join(folder, 'damaged.parquet');
  bytes.fill(0xff, bytes.length >> 1, (bytes.length >> 1) + 400);
  await writeFile(file, bytes);
  const all = (async () => {
    for await (const _ of readRecords(file));
  })();
  await expect(all).rejects.toThrow(/Parquet file (is damaged|cannot be read)/);
  await writeFile(file, 'no parquet at all');
  await expect(readRecords(file).next()).rejects.toThrow(/Parquet file cannot be read/);
  await expect(readRecords(join(folder, 'none.parquet')).next()).rejects.toThrow(
    /cannot be read|no such file/,
  );
});

it('says what to install where DuckDB is missing', async () => {
  process.chdir(folder);
  await expect(readRecords('any.parquet').next()).rejects.toThrow(/npm install @duckdb\/node-api/);
  if (peers) process.chdir(peers);
});
