import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { saveFile } from '@frugal/checkpoint';
import type { Task, TaskResult } from '@frugal/eval';

/** Results of finished tasks in a folder, so that an evaluation that was interrupted goes on where it was. */
export class TaskStore {
  constructor(private readonly folder: string | undefined) {}

  /** What `work` finds for a task, or found when the same model was asked the same. */
  async once(model: string, task: Task, work: () => Promise<TaskResult>): Promise<TaskResult> {
    if (this.folder === undefined) return work();
    const key = createHash('sha256').update(JSON.stringify({ model, task })).digest('hex').slice(0, 20);
    const file = join(this.folder, 'tasks', `${key}.json`);
    const known = await readFile(file, 'utf8').catch(() => null);
    if (known !== null) return JSON.parse(known) as TaskResult;
    const result = await work();
    await saveFile(file, JSON.stringify(result));
    return result;
  }
}
