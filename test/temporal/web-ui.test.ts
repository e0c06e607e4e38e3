import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { findTemporal, startTemporal, type Temporal } from '../../src/embedded/temporal.ts';
import { executablePath } from '../harness/chromium.ts';
import { runSteps } from '../harness/orchestration.ts';
import { until } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/** What operators see of a run in the real Temporal Web UI, drawn by a real browser. */

let dir: string;
let temporal: Temporal;
let browser: Browser;
afterAll(async () => {
  await browser?.close();
  await temporal.stop();
  await rm(dir, { recursive: true, force: true });
});
const story = useStory(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'orchflow-web-ui-'));
  const report = () => {};
  const files = { logFile: path.join(dir, 'temporal.log'), pidFile: path.join(dir, 'temporal.json') };
  temporal = await startTemporal({ binary: await findTemporal({ report }), report, ...files });
  return { TEMPORAL_ADDRESS: temporal.address };
});
beforeAll(async () => {
  if (executablePath) browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
});
afterEach(async () => {
  for (const context of browser?.contexts() ?? []) await context.close();
});

/** Quotes and fractions are set as printers do, which nothing prevents. */
const typed = (text: string) => text.replaceAll(/[“”]/g, '"').replaceAll(/[‘’]/g, "'").replaceAll('⁄', '/');

/** The page of a run, with the texts of its panels as they are drawn once one of them has this text. */
async function openRun(run_id: string, awaited: string) {
  const page = await browser.newPage();
  const { runId } = await story.orchflow.client.workflow.getHandle(run_id).describe();
  await page.goto(`${temporal.ui_url}/namespaces/default/workflows/${run_id}/${runId}/user-metadata`);
  let panels: string[] = [];
  await until(async () => {
    const frames = page.frames().filter((frame) => frame.url().includes('/render?'));
    const texts = await Promise.all(
      frames.map((frame) =>
        frame
          .locator('body')
          .innerText()
          .catch(() => ''),
      ),
    );
    panels = texts.map(typed);
    return panels.some((text) => text.includes(awaited));
  }, `a panel says ${awaited}`);
  const codes = await Promise.all(
    page.frames().map((frame) =>
      frame
        .locator('pre')
        .allInnerTexts()
        .catch(() => []),
    ),
  );
  return { panels, codes: codes.flat().map((text) => text.trim()) };
}

const hostile = [
  'It costs $0.008192 and not $0.004 or $5',
  'a <b>bold</b> <img src=x onerror=alert(1)> <!-- word -->',
  '{x} {{ y }} ${z} {% if %} {@html 1}',
  'a | b | c || d',
  'run `rm -rf` and ```all``` of it',
  String.raw`\(x\) \[y\] \\ \$ \textbf{z} c:\new\table`,
  '[here](https://example.com) ![pic](https://example.com/a.png) <https://example.com>',
  'https://example.com/a?b=1&c=2 www.example.com me@example.com',
  '&amp; &lt; &#36; & AT&T &copy;',
  '👍🏽 ❤️ :smile: مرحبا 日本語',
  '*it* _em_ __strong__ snake_case_word **b** ~~gone~~ ~x~ ^sup^ ==mark==',
  '# heading',
  '- item',
  '1. first',
  '> quote',
  '+ plus = -- --- ---- .. ... .... (c) (TM) +/- 1/2 -> <= ===',
  `"quoted" 'words' aren't`,
  '[^1] [x] [ ] [a]: b',
];

test.skipIf(!executablePath)('what people, models and money say is drawn as it is', async () => {
  const ids = hostile.map((_, index) => `step-${index}`);
  const paused = await runSteps(
    story.user,
    [
      { id: 'all', type: 'parallel', parallel_branches: ids.map((id) => [id]), next_step_id: null },
      ...ids.map((id, index) => ({ id, name: hostile[index]!, type: 'human', next_step_id: null })),
    ],
    {},
    hostile.join(' '),
  );
  const run = story.user.openRun(paused.body.run_id);
  await run.until(({ waiting_tasks }) => waiting_tasks.length === ids.length);
  await story.orchflow.client.workflow
    .getHandle(run.run_id)
    .signal('completeTask', { task_id: hostile[0], output: 'x' });
  await run.until(({ warnings }) => warnings.length === 1);

  const { panels } = await openRun(run.run_id, 'was not taken');
  const details = panels.find((text) => text.includes('was not taken'))!;
  // In the table of tasks.
  const titles = details.split('\n').map((line) => line.split('\t')[1]?.trim());
  for (const [index, text] of hostile.entries()) {
    expect.soft(details).toContain(`step-${index} ${text} waits for the input of a person.`);
    expect.soft(titles).toContain(text);
  }
  expect(details).toContain(`A signal for ${hostile[0]} was not taken`);
  const goal = hostile.join(' ').slice(0, 150);
  expect(panels.find((text) => text.startsWith(goal.slice(0, 10)))).toContain(goal);
  await run.cancel();
});

test.skipIf(!executablePath)('an error that speaks of money, and a form whose signal can be copied', async () => {
  const { user, model } = story;
  model.on(() => 'A word or two.');
  const failed = await runSteps(user, [{ id: 'write', type: 'llm', model: 'gpt-4o' }], {
    max_total_cost_usd: 0.000001,
  });
  expect(failed.body.response).toMatch(/^Cost limit exceeded: \$0\.\d+ > max \$0\.000001$/);
  expect((await openRun(failed.body.run_id, 'Cost limit')).panels.join('\n')).toContain(failed.body.response);

  const human_fields = [
    { name: 'price', type: 'number', required: true },
    { name: 'sure', type: 'boolean', required: true },
    { name: 'which', type: 'select', options: ['$5 {a} | "b" </code> ``` &amp; \\', 'no'], required: true },
    { name: 'note', type: 'text', required: true },
  ];
  const paused = await runSteps(user, [{ id: 'ask', type: 'human', human_fields, output_key: 'ask' }]);
  const run = user.openRun(paused.body.run_id);
  const { codes } = await openRun(run.run_id, 'completeTask');
  expect(codes).toHaveLength(1);
  await story.orchflow.client.workflow.getHandle(run.run_id).signal('completeTask', JSON.parse(codes[0]!));
  expect((await run.until('completed')).warnings).toEqual([]);
  const { body } = await user.get(`/orchestrations/runs/${run.run_id}`);
  const which = human_fields[2]!.options![0];
  expect(body.shared_state.ask).toEqual({ price: 1, sure: true, which, note: 'your text' });
});
