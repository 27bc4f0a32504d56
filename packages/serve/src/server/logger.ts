import { type Logger, pino } from 'pino';

/** One line of JSON per request, and for what goes wrong, on standard error. Never a prompt, an answer or a key. */
export function serverLogger(level: string): Logger {
  return pino({ level, base: null }, pino.destination({ dest: 2, sync: false }));
}
