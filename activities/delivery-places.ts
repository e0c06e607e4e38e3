/** Of the 200 activities that a worker has at work at once. */
const placesOfAll = 100;
const placesOfAccount = 20;

/**
 * Places for webhooks that are under way in a worker: endpoints that hang must not keep those of others waiting, nor
 * calls to models.
 */
export function createDeliveryPlaces() {
  const taken = new Map<string, number>();
  let all = 0;

  /** Takes a place for a delivery of this account. Returns the function that gives it back; undefined when none is free. */
  function take(account_id: string): (() => void) | undefined {
    const own = taken.get(account_id) ?? 0;
    if (own >= placesOfAccount || all >= placesOfAll) return undefined;
    taken.set(account_id, own + 1);
    all += 1;
    return () => {
      all -= 1;
      const left = taken.get(account_id)! - 1;
      if (left) taken.set(account_id, left);
      else taken.delete(account_id);
    };
  }

  return { take };
}
