import { spawn } from 'node:child_process';

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const MAX_LOG_BYTES = 8 * 1024 * 1024;

/** A phase whose command failed; its log has been printed. */
export class PhaseError extends Error {
  constructor(label, code, hint) {
    super(`${label}: the command ended with ${code}`);
    this.name = 'PhaseError';
    this.code = code;
    this.hint = hint;
  }
}

function spinner(label) {
  const started = Date.now();
  const seconds = () => ((Date.now() - started) / 1000).toFixed(1);
  const live = process.stderr.isTTY;
  let frame = 0;
  const draw = () => {
    frame = (frame + 1) % FRAMES.length;
    process.stderr.write(`\r\x1b[2K${FRAMES[frame]} ${label} ${seconds()} s`);
  };
  const timer = live ? setInterval(draw, 100) : undefined;
  return (mark) => {
    clearInterval(timer);
    process.stderr.write(`${live ? '\r\x1b[2K' : ''}${mark} ${label} ${seconds()} s\n`);
  };
}

/**
 * Runs a command as one line on the terminal: a spinner while it works, its time at the end, and its whole output only
 * when it fails, followed by `hint`. Returns what the command printed.
 *
 * @throws PhaseError when the command does not end with 0
 */
export async function phase(label, command, args, { cwd, env, hint } = {}) {
  const finish = spinner(label);
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = () => child.kill('SIGTERM');
  process.once('SIGTERM', stop);
  let log = '';
  const keep = (chunk) => {
    log = (log + chunk).slice(-MAX_LOG_BYTES);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const code = await new Promise((resolve) => {
    child.on('error', (error) => {
      keep(`${error.message}\n`);
      resolve(127);
    });
    child.on('close', (status, signal) => resolve(status ?? signal));
  });
  process.removeListener('SIGTERM', stop);
  finish(code === 0 ? '✓' : '✗');
  if (code !== 0) {
    process.stderr.write(`${log.trimEnd()}\n`);
    throw new PhaseError(label, code, hint);
  }
  return log;
}
