import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import { temporal } from '@temporalio/proto';
import { expect } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { fetchHistories } from './replay.ts';

/** Histories of runs of each release, which the code of today must replay. */
export const folder = path.join(import.meta.dirname, '../histories');

const { History } = temporal.api.history.v1;

/** Keeps the history of a run as it stands; of one that has continued as new, each. */
export async function keepHistories(client: Client, name: string, run_id: string): Promise<void> {
  const histories = await fetchHistories(client, run_id);
  for (const [index, history] of histories.toReversed().entries()) {
    expect(history.events!.length).toBeGreaterThan(10);
    if (!process.env.SAVE_HISTORIES) continue;
    const release = path.join(folder, packageJson.version);
    mkdirSync(release, { recursive: true });
    const plain = History.toObject(History.create(history), { longs: String, enums: String, bytes: String });
    const file = `${name}${index > 0 ? `-${index + 1}` : ''}.json`;
    // Stack traces name places of this machine.
    const text = JSON.stringify(plain, (key, value: unknown) => (key === 'stackTrace' ? undefined : value));
    writeFileSync(path.join(release, file), `${text}\n`);
  }
}
