import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import { DataError } from '../errors.js';
import type { SourceRecord } from './record.js';
import type { SourceFile } from './source-file.js';

const PACKAGE = '@duckdb/node-api';

/** What is used of that package, which need not be there. */
interface Connection {
  runAndReadAll(sql: string, values: string[]): Promise<{ getRowsJson(): unknown[][] }>;
  stream(sql: string, values: string[]): Promise<{ yieldRowObjectJson(): AsyncIterable<unknown[]> }>;
  closeSync(): void;
}

interface DuckDb {
  readonly DuckDBInstance: {
    create(
      path: string,
      options: Record<string, string>,
    ): Promise<{ connect(): Promise<Connection>; closeSync(): void }>;
  };
}

/** Rows of a Parquet file as objects, read by DuckDB in bounded memory. @throws DataError, also when DuckDB is not installed */
export async function* readParquet(file: SourceFile): AsyncGenerator<SourceRecord> {
  const { DuckDBInstance } = await importDuckDb(file.place);
  const local = file.path === undefined ? await unpack(file) : undefined;
  const path = local?.path ?? (file.path as string);
  // Nothing is to be fetched from anywhere, whatever a file says.
  const database = await DuckDBInstance.create(':memory:', {
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  const connection = await database.connect();
  try {
    yield* readRows(connection, path, file.place);
  } finally {
    connection.closeSync();
    database.closeSync();
    if (local) await rm(local.folder, { recursive: true, force: true });
  }
}

async function* readRows(connection: Connection, path: string, place: string): AsyncGenerator<SourceRecord> {
  const pattern = path.replace(/[*?[]/g, '[$&]'); // a name, not a pattern
  let row = 0;
  let expected = 0;
  try {
    const counted = await connection.runAndReadAll('SELECT count(*) FROM read_parquet($1)', [pattern]);
    expected = Number(counted.getRowsJson()[0][0]);
    const result = await connection.stream('SELECT * FROM read_parquet($1)', [pattern]);
    for await (const rows of result.yieldRowObjectJson())
      for (const value of rows) yield { place: `${place}:${++row}`, value };
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError({
      file: place,
      what: 'the Parquet file cannot be read',
      got: (cause as Error).message.split('\n')[0],
      cause,
    });
  }
  // A stream of DuckDB's ends quietly where it fails.
  if (row === expected) return;
  throw new DataError({
    file: place,
    what: 'the Parquet file is damaged',
    got: `${row} rows`,
    expected: `${expected}`,
    offset: row,
  });
}

/** DuckDB reads parts of a file at will: what lies in an archive is put into a file of its own. */
async function unpack(file: SourceFile): Promise<{ folder: string; path: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'frugal-parquet-'));
  const path = join(folder, 'rows.parquet');
  try {
    await pipeline(Readable.from(file.open()), createWriteStream(path));
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return { folder, path };
}

/** From where this package finds its own dependencies, or else from the folder that the user is in. */
async function importDuckDb(place: string): Promise<DuckDb> {
  try {
    return await import(PACKAGE);
  } catch (cause) {
    try {
      const found = createRequire(join(process.cwd(), 'index.js')).resolve(PACKAGE);
      return await import(pathToFileURL(found).href);
    } catch {
      throw new DataError({
        file: place,
        what: 'Parquet needs DuckDB, which is not installed',
        hint: `Install it: npm install ${PACKAGE}.`,
        cause,
      });
    }
  }
}
