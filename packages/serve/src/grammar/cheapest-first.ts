/** A queue that gives what costs least: a binary heap. */
export class CheapestFirst {
  private readonly items: number[] = [];
  private readonly costs: number[] = [];

  add(item: number, cost: number): void {
    const { items, costs } = this;
    let at = items.length;
    for (let parent = (at - 1) >> 1; at > 0 && costs[parent] > cost; parent = (at - 1) >> 1) {
      items[at] = items[parent];
      costs[at] = costs[parent];
      at = parent;
    }
    items[at] = item;
    costs[at] = cost;
  }

  /** Takes it out; undefined: nothing is left. */
  take(): number | undefined {
    const { items, costs } = this;
    const first = items[0];
    const item = items.pop();
    const cost = costs.pop();
    if (item === undefined || cost === undefined || items.length === 0) return first;
    let at = 0;
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      if (child + 1 < items.length && costs[child + 1] < costs[child]) child++;
      if (costs[child] >= cost) break;
      items[at] = items[child];
      costs[at] = costs[child];
      at = child;
    }
    items[at] = item;
    costs[at] = cost;
    return first;
  }
}
