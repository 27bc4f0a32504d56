const queues = new Map<string, Promise<unknown>>();

/** Runs tasks with the same key one after the other, whether the one before failed or not. */
export async function oneAfterTheOther(key: string, task: () => Promise<void>): Promise<void> {
  const before = queues.get(key) ?? Promise.resolve();
  const mine = before.then(task, task);
  queues.set(key, mine);
  try {
    await mine;
  } finally {
    if (queues.get(key) === mine) queues.delete(key);
  }
}
