import { EventSource } from 'eventsource';
import { until } from './client.ts';

/** A reader of a run's events as a browser is one: it reconnects by itself, and resumes from the last id. */

export type StreamEvent = { type: string; run_id: string; seq?: number; [field: string]: any };

const types = ['created', 'started', 'phase', 'planned', 'warning', 'completed', 'failed', 'cancelled'];
const names = [
  ...types.map((type) => `run.${type}`),
  ...['started', 'evaluated', 'retrying', 'completed'].map((type) => `task.${type}`),
  ...['opened', 'answered', 'reminder', 'overdue', 'expired'].map((type) => `gate.${type}`),
];

export type Reader = ReturnType<typeof readEvents>;

export function readEvents({ api_key }: { api_key: string }, url: string, run_id: string, query = '') {
  const statuses: number[] = [];
  const source = new EventSource(`${url}/api/v1/runs/${run_id}/events${query}`, {
    fetch: async (input, init) => {
      const response = await fetch(input, { ...init, headers: { ...init.headers, 'x-api-key': api_key } });
      statuses.push(response.status);
      return response;
    },
  });
  const reader = {
    source,
    /** What each connection was answered. */
    statuses,
    /** The run's own events, as they came. */
    events: [] as StreamEvent[],
    deltas: [] as StreamEvent[],
    lastEventId: '',
    done: undefined as StreamEvent | undefined,
    /** `task.started T2` for each event, in order. */
    told: () => reader.events.map(({ type, task_id, phase }) => [type, task_id ?? phase].filter(Boolean).join(' ')),
    seqs: () => reader.events.map(({ seq }) => seq),
    /** The text of a task's (or the final) output as it was streamed. Fails when it has a gap. */
    streamed(task_id: string | null): string {
      let text = '';
      for (const delta of reader.deltas.filter((one) => one.task_id === task_id)) {
        if (delta.offset === 0) text = '';
        if (delta.offset !== text.length) throw new Error(`A gap at ${text.length}: ${JSON.stringify(delta)}`);
        text += delta.text;
      }
      return text;
    },
    until: (holds: () => boolean, deadline_ms?: number) =>
      until(holds, () => `${String(holds)}, but: ${reader.told().join(', ')}; ${statuses.join()}`, deadline_ms),
    untilDone: () => reader.until(() => reader.done !== undefined),
    close: () => source.close(),
  };
  for (const name of names) {
    source.addEventListener(name, ({ data, lastEventId }) => {
      reader.lastEventId = lastEventId;
      reader.events.push(JSON.parse(data));
    });
  }
  source.addEventListener('delta', ({ data }) => reader.deltas.push(JSON.parse(data)));
  source.addEventListener('done', ({ data, lastEventId }) => {
    reader.lastEventId = lastEventId;
    reader.done = JSON.parse(data);
  });
  return reader;
}
