import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { dropSlowReader } from './slow-reader.js';

/** A server that answers with `answer`, and a client that has asked but reads nothing yet. */
async function connected(answer: (response: ServerResponse) => void) {
  const server = createServer((_request, response) => {
    dropSlowReader(response, 30);
    answer(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => {});
  onTestFinished(() => {
    socket.destroy();
    server.close();
  });
  socket.pause();
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  return socket;
}

it('hangs up on a client that stops reading', async () => {
  const ended = new Promise<boolean>((resolve) => {
    void connected((response) => {
      response.once('finish', () => resolve(!response.destroyed));
      response.once('close', () => resolve(false));
      response.end(Buffer.alloc(64 * 2 ** 20)); // more than the buffers of the system take
    });
  });
  expect(await ended).toBe(false);
});

it('waits for a client that reads slowly, and for a server that has nothing to say yet', async () => {
  const size = 16 * 2 ** 20;
  const socket = await connected(async (response) => {
    await sleep(100);
    response.end(Buffer.alloc(size));
  });
  let received = 0;
  socket.on('data', (bytes: Buffer) => {
    received += bytes.length;
    socket.pause();
    setImmediate(() => socket.resume());
  });
  socket.resume();
  await once(socket, 'end');
  expect(received).toBeGreaterThan(size);
});
