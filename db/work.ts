import { sql } from 'kysely';
import { jsonArrayFrom } from 'kysely/helpers/postgres';
import type { Progress, RunStatus } from '../workflows/messages.ts';
import type { Db } from './index.ts';
import { cooldownsOfAccount, type Cooldown } from './provider-cooldowns.ts';
import { savedStatus } from './progress.ts';
import type { Run, Task } from './schema.ts';

/** What an activity works from. */
export type Work = {
  run: Run;
  /** In the order of the plan. */
  tasks: Pick<Task, 'id' | 'title' | 'description' | 'kind'>[];
  /** The texts that were asked for, by id. Ids without a text are missing. */
  texts: Map<string, string>;
  /** The journalled model calls of the run. */
  paid_calls: Set<string>;
  /** Of the providers that may be asked. */
  cooldowns: Cooldown[];
};

/**
 * Saves the progress that came with an activity, and loads the run with what the activity needs of it, in one round trip.
 * `run.status` is the one that stands after that. Throws when there is no such run.
 */
export async function loadWork(db: Db, run_id: string, text_ids: string[], progress?: Progress): Promise<Work> {
  const status = progress ? savedStatus(run_id, progress) : sql<RunStatus>`runs.status`;
  const { tasks, texts, paid_calls, cooldowns, ...run } = await db
    .selectFrom('runs')
    .selectAll('runs')
    .select((eb) => [
      jsonArrayFrom(
        eb
          .selectFrom('tasks')
          .select(['id', 'title', 'description', 'kind'])
          .whereRef('tasks.run_id', '=', 'runs.run_id')
          .orderBy('position'),
      ).as('tasks'),
      jsonArrayFrom(
        eb
          .selectFrom('texts')
          .select(['text_id', 'text'])
          .where('text_id', '=', eb.fn.any(eb.val(text_ids))),
      ).as('texts'),
      jsonArrayFrom(eb.selectFrom('llm_calls').select('call_id').whereRef('llm_calls.run_id', '=', 'runs.run_id')).as(
        'paid_calls',
      ),
      jsonArrayFrom(cooldownsOfAccount(eb)).as('cooldowns'),
      status.as('status'),
    ])
    .where('runs.run_id', '=', run_id)
    .executeTakeFirstOrThrow();
  return {
    run,
    tasks,
    texts: new Map(texts.map(({ text_id, text }) => [text_id, text])),
    paid_calls: new Set(paid_calls.map(({ call_id }) => call_id)),
    cooldowns,
  };
}
