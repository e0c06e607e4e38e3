import type { AuditedRun, AuditEvent } from '../db/audit.ts';
import type { Account } from './accounts.ts';
import { createAttendance, createEnds } from './attendance.ts';
import { readUsage } from './called.ts';
import { createCallers } from './callers.ts';
import { createCourses } from './course.ts';
import { createCrowd } from './crowd.ts';
import { createDriver } from './driver.ts';
import { createFiles } from './files.ts';
import { createFirsts, shapesOfFirsts, type Firsts } from './firsts.ts';
import { createForgetting } from './forgetting.ts';
import type { CallKind } from './journal.ts';
import { createPeople } from './people.ts';
import { createReaders } from './readers.ts';
import { createRequests, type Asking, type Requests } from './requests.ts';
import { createShelf } from './shelf.ts';

export type Audit = AuditedRun & { events: AuditEvent[] };

/** `web` is where people send agents. */
type Given = Asking & { web: string };

/**
 * Clients of both APIs that try again as careful ones do: after a 5xx or no answer, at the other API, a start with the
 * same Idempotency-Key and an answer with its gate's id.
 */
export function createClients({ apis, journal, random, web }: Given) {
  const stopping = new AbortController();
  const requests = createRequests({ apis, journal, random }, stopping.signal);
  const { attempt, insist, read } = requests;
  const { cancel, retry } = createEnds(requests);
  let isHurried = false;
  const firsts = createFirsts();
  const files = createFiles({ attempt, insist, read, random, firsts });
  const answer = createPeople({ insist, random, web, files, firsts, isHurried: () => isHurried });
  const attend = createAttendance({ attempt, retry, answer, random, firsts }, stopping.signal);
  const setCourse = createCourses({ insist, random, firsts, isHurried: () => isHurried });
  const forgetting = createForgetting({ insist, read, random, firsts });
  const startMany = createCrowd({ insist, random, attend, cancel, setCourse });
  const isOver = () => stopping.signal.aborted;
  const shelve = createShelf({ insist, attempt, read, random, firsts, isOver });
  const followAgent = createReaders({ attempt, random, firsts, attend, setCourse, isOver });
  const { call, callNext } = createCallers({ attempt, random, firsts, isOver });
  const given = { attempt, insist, cancel, random, firsts, files, attend, setCourse, forgetting };
  const { drive, steered } = createDriver({ ...given, isHurried: () => isHurried });

  return {
    drive,
    startMany,
    shelve,
    followAgent,
    callNext,
    doWhatIsDue: (...whose: Whose) => doWhatIsDue({ firsts, drive, startMany, shelve, followAgent, call }, ...whose),
    isAnythingDue: () => firsts.due().length > 0,
    walk: (account: Account) => walk(read, account),
    usage: (account: Account) => readUsage(requests, account),
    /** Of all runs whose tasks were steered. */
    audits: async () => new Map(await Promise.all([...steered].map((each) => audit(read, ...each)))),
    lookForPurged: forgetting.look,
    lookForFiles: files.look,
    /** From now on people answer at once and send nothing back: what takes time is not theirs. */
    hurry: () => (isHurried = true),
    /** Nobody tries again, and nobody looks any more. */
    stop: () => stopping.abort(),
  };
}

/** Who does what is due, who calls agents, those who come in crowds, and a name for it. */
type Whose = [account: Account, caller: Account, crowded: Account, name: string];

type Does = Record<'startMany' | 'shelve' | 'followAgent', (account: Account, name: string) => Promise<void>> &
  Pick<ReturnType<typeof createDriver>, 'drive'> &
  Pick<ReturnType<typeof createCallers>, 'call'>;

/** What clients do in every run of this program and nobody has done yet: once, and in calm weather. */
async function doWhatIsDue(
  { firsts, drive, startMany, shelve, followAgent, call }: Does & { firsts: Firsts },
  ...[account, caller, crowded, name]: Whose
): Promise<void> {
  const due = new Set(firsts.due().map((first) => shapesOfFirsts[first]));
  const doing = [...due].map((one) => {
    switch (one) {
      case 'crowd':
        return startMany(crowded, name);
      case 'shelf':
        return shelve(account, name);
      case 'reader':
        return followAgent(account, `${name}-read`);
      case 'call once':
      case 'call as events':
      case 'call again':
      case 'call in a chain':
      case 'call too late':
      case 'call code':
      case 'call code that calls':
        return call(one.slice('call '.length) as CallKind, caller, account, `${name}-${one.replaceAll(' ', '-')}`);
      case undefined:
        return Promise.resolve();
      default:
        return drive(account, `${name}-${one.replace(' ', '-')}`, { due: one });
    }
  });
  await Promise.all(doing);
}

/** The whole story of a run, as its client reads it; undefined when it could not be had. */
async function audit(read: Requests['read'], run_id: string, account: Account): Promise<[string, Audit | undefined]> {
  const { outcome, body } = await read(account, { op: 'list' }, `/runs/${run_id}/audit`);
  return [run_id, outcome === 'ok' ? (body as Audit) : undefined];
}

/** The ids in the whole list, page by page; undefined when a page could not be had. */
async function walk(read: Requests['read'], account: Account): Promise<string[] | undefined> {
  const ids: string[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const path: string = `/runs?limit=7${cursor && `&cursor=${cursor}`}`;
    const { outcome, body } = await read(account, { op: 'list' }, path);
    if (outcome !== 'ok') return undefined;
    ids.push(...body.runs.map(({ run_id }: { run_id: string }) => run_id));
    cursor = body.next_cursor;
  }
  return ids;
}
