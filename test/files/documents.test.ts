import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { open, rename, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../harness/orchflow.ts';
import { pdfOf, pdfWith } from '../harness/pdf.ts';
import { useStory } from '../harness/story.ts';
import { upload } from '../harness/upload.ts';
import { docxOf, paragraph } from '../harness/zip.ts';

/** What is read of documents that are attached, and what of those that cannot be. */

const story = useStory({}, { worker: false });

async function keep(content: string | Uint8Array<ArrayBuffer>, name: string, type = 'application/octet-stream') {
  const { body } = await upload(story.orchflow.url, story.user.api_key, content, { name, type });
  return body.file_id as string;
}

/** Keeps a file from being read to its end: who opens it waits. */
async function obstruct(file_id: string) {
  const place = path.join(story.orchflow.env.FILES_DIR!, 'stored', file_id);
  await rename(place, `${place}.whole`);
  execFileSync('mkfifo', [place]);
  let end: FileHandle | undefined;
  return {
    /** Until somebody reads it. */
    untilRead: () =>
      until(async () => {
        end ??= await open(place, constants.O_WRONLY | constants.O_NONBLOCK).catch(() => undefined);
        return end !== undefined;
      }, 'its reader'),
    async clear() {
      await rename(`${place}.whole`, place);
      await end?.close();
    },
  };
}

const locked = pdfWith(
  ['<< /Type /Catalog /Pages 2 0 R >>', '<< /Type /Pages /Kids [] /Count 0 >>'],
  '/Encrypt << /Filter /Standard /V 1 /R 2 /O (01234567890123456789012345678901) /U (01234567890123456789012345678901) /P -44 >> /ID [(0123456789012345)(0123456789012345)] ',
);
const pages = Array.from({ length: 80 }, (_, page) => Array.from({ length: 60 }, () => `Page ${page} of the report.`));

test('PDFs, DOCX and HTML are read once for their run, whichever worker dies; what cannot be read is told', async () => {
  const { user, orchflow, model } = story;
  const offer = await keep(pdfOf([['The price is 25 euros.'], ['It is due in May.']]), 'offer.pdf', 'application/pdf');
  const attachments = [
    await keep(docxOf(paragraph('Terms', 'Heading1') + paragraph('Either side may leave.')), 'terms.docx'),
    offer,
    await keep('<title>Plans</title><style>p{}</style><p>Three agents are free.</p>', 'plans.html', 'text/html'),
    await keep(locked, 'locked.pdf'),
    await keep(pdfOf([[], []]), 'scan.pdf'),
    await keep(pdfOf(pages), 'report.pdf'),
  ];
  const obstruction = await obstruct(offer);
  const first = await story.startWorkerProcess();
  const plan = ['Compare', 'Check', 'Report'];
  const dependencies = { T3: [], T4: ['T2', 'T3'] };
  const run = await story.start({ plan, dependencies }, { attachments, ask_me_about: ['the budget'] });
  await obstruction.untilRead();
  await first.kill();
  expect(model.calls).toHaveLength(0);
  await obstruction.clear();
  await story.startWorkerHere();

  await run.untilWaiting('T1');
  for (const file_id of attachments) expect((await user.delete(`/files/${file_id}`)).status).toBe(200);
  const answer = await keep(docxOf(paragraph('No more than ten euros.')), 'budget.docx');
  await run.complete('T1', { output: 'It is attached.', attachments: [answer] });
  const { warnings } = await run.until('completed');

  const asked = model.calls.filter(({ purpose }) => ['split', 'execute', 'finalize'].includes(purpose));
  expect(asked).toHaveLength(5);
  const unread = (name: string, why: RegExp) =>
    new RegExp(`name="${name}"[^>]*>\nThis file could not be read, and what is in it is not given. ${why.source}`);
  for (const { prompt } of asked) {
    expect(prompt).toMatch(/name="terms.docx"[^>]*>\n# Terms\n+Either side may leave\.\n<\/file>/);
    expect(prompt).toMatch(/name="offer.pdf"[^>]*>\nThe price is 25 euros\.\n+It is due in May\.\n<\/file>/);
    expect(prompt).toContain('Three agents are free.');
    expect(prompt).not.toContain('p{}');
    expect(prompt).toMatch(unread('locked.pdf', /It is encrypted/));
    expect(prompt).toMatch(unread('scan.pdf', /There is no text in it: it may be scanned/));
    expect(prompt).toContain('Page 0 of the report.');
  }
  for (const { prompt } of asked.slice(1)) expect(prompt).toContain('No more than ten euros.');
  const told = [
    'The file "locked.pdf" could not be read. It is encrypted, and asks for a password.',
    'The file "scan.pdf" could not be read. There is no text in it: it may be scanned. Pictures of text are not read.',
  ];
  expect(warnings.filter((warning: string) => warning.includes('could not be read'))).toEqual(told);
  const { events } = (await user.get(`/runs/${run.run_id}/audit`)).body;
  const ofWarnings = events.filter(({ type }: { type: string }) => type === 'run.warning');
  expect(ofWarnings.map(({ data }: any) => data.warning)).toEqual(expect.arrayContaining(told));

  const kept = orchflow.db.selectFrom('texts').select(['text_id', 'text']).where('run_id', '=', run.run_id);
  const texts = await kept.where('text_id', 'like', '%/files/%').execute();
  expect(texts).toHaveLength(7);
  const report = texts.find(({ text_id }) => text_id.endsWith(attachments.at(-1)!))!.text;
  expect(report).toMatch(/\n\[… the file goes on; it has \d+ bytes\]$/);
  expect(report.length).toBeLessThan(80_100);
  const history = await orchflow.client.workflow.getHandle(run.run_id).fetchHistory();
  expect(JSON.stringify(history)).not.toContain('25 euros');

  const rerun = await user.post(`/runs/${run.run_id}/rerun`, { from_task: 'T4' });
  const again = await user.openRun(rerun.body.run_id).until('completed');
  expect(again.warnings).toContain('The file "scan.pdf" could not be read. Its file was deleted before it was read.');
  expect(story.prompts('T4').at(-1)).toContain('The price is 25 euros.');
});
