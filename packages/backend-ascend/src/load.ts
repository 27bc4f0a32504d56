import { openLibraries } from './abi/library.js';
import { AscendBackend } from './backend.js';
import { AscendUnavailableError } from './errors.js';
import { candidateFolders, findInstallation } from './installation.js';

export interface AscendOptions {
  /** Which of the devices that ASCEND_RT_VISIBLE_DEVICES leaves; default: FRUGAL_ASCEND_DEVICE, or 0. */
  readonly device?: number | undefined;
}

let opened: { readonly device: number; readonly backend: AscendBackend } | null = null;

/**
 * The backend of a device, always the same one. It belongs to the thread that asked first, and a process drives one device:
 * contexts of CANN belong to threads.
 * @throws AscendUnavailableError, which says what is missing and what to run
 */
export function ascendBackend({
  device = Number(process.env.FRUGAL_ASCEND_DEVICE || 0),
}: AscendOptions = {}): AscendBackend {
  if (!Number.isInteger(device) || device < 0) {
    throw new AscendUnavailableError({
      where: 'ascend backend',
      what: 'this is no number of a device',
      got: process.env.FRUGAL_ASCEND_DEVICE ?? String(device),
      expected: '0, 1, …',
      hint: 'Set FRUGAL_ASCEND_DEVICE, or leave it out.',
    });
  }
  if (opened && opened.device !== device) {
    throw new AscendUnavailableError({
      where: 'ascend backend',
      what: 'one process drives one device',
      got: `device ${device} beside device ${opened.device}`,
      hint: 'Start a process for each device.',
    });
  }
  if (!opened) {
    opened = { device, backend: open(device) };
    // CANN must be told before the process ends, and not by a destructor.
    process.once('exit', closeAtExit);
  }
  return opened.backend;
}

function open(device: number): AscendBackend {
  const installation = findInstallation();
  if (!installation) {
    throw new AscendUnavailableError({
      where: 'ascend backend',
      what: 'CANN is not found',
      got: `no lib64/libascendcl.so in ${candidateFolders().join(', ')}`,
      hint: 'Install the CANN toolkit and `source set_env.sh` before Node starts, or set ASCEND_HOME_PATH.',
    });
  }
  return new AscendBackend(openLibraries(installation), device);
}

function closeAtExit(): void {
  try {
    opened?.backend.close();
  } catch {
    // A device that failed cannot be given back: the driver does it when the process is gone.
  }
}
