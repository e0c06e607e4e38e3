/** What a subscription is sent to try its endpoint: of no run, and attempted once. */
export const testEvent = 'test';

/** It has the members of any other event. */
export function testBody(id: string): string {
  const ofNoRun = { run_id: null, kind: null, seq: null, task_id: null, gate_id: null, title: null };
  return JSON.stringify({ id, type: testEvent, timestamp: new Date().toISOString(), ...ofNoRun, data: {} });
}
