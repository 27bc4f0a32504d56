import { Decompress } from 'fzstd';

/** Zstandard frames, piece by piece (Node 20 has no decompressor of its own). @throws Error for damaged or cut-off data */
export async function* decompressZstandard(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let ready: Buffer[] = [];
  const stream = new Decompress((chunk) => ready.push(Buffer.from(chunk)));
  for await (const chunk of bytes) {
    stream.push(chunk);
    yield* ready;
    ready = [];
  }
  stream.push(new Uint8Array(0), true);
  yield* ready;
}
