import type { AddressInfo } from 'node:net';
import { FrugalError } from '@frugal/tensor-core';
import type { FastifyInstance } from 'fastify';

export interface ListenOptions {
  /** Default 127.0.0.1: only this machine. */
  readonly host?: string | undefined;
  /** Default 8080; 0: any free one. */
  readonly port?: number | undefined;
}

/** The server cannot listen where it was told to. */
export class ListenError extends FrugalError {}

/** Returns the address of the chat page. @throws ListenError */
export async function listen(
  server: FastifyInstance,
  { host = '127.0.0.1', port = 8080 }: ListenOptions,
): Promise<string> {
  try {
    await server.listen({ host, port });
  } catch (cause) {
    throw listenError(cause, host, port);
  }
  return urlOf(server.addresses()[0] as AddressInfo);
}

function urlOf({
  address,
  port,
  family,
}: {
  address: string;
  port: number;
  family: string | number;
}): string {
  const everywhere = address === '0.0.0.0' || address === '::';
  const host = everywhere ? 'localhost' : family === 'IPv6' ? `[${address}]` : address;
  return `http://${host}:${port}/`;
}

function listenError(cause: unknown, host: string, port: number): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  const got = `${host}:${port}`;
  if (code === 'EADDRINUSE') {
    return new ListenError({
      where: 'serve',
      what: 'the port is in use',
      got,
      hint: 'Choose another one; 0 takes any free one.',
      cause,
    });
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EACCES') {
    return new ListenError({ where: 'serve', what: `cannot listen there (${code})`, got, cause });
  }
  return cause;
}
