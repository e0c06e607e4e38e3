import { open, rename } from 'node:fs/promises';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { bundleOptions, workflowBundle } from './workflow-bundle.ts';

/**
 * A process that makes the bundle of the workflows, and ends. With a file and options, as `workflowBundle` starts it, it
 * makes that one; without, all that a worker may ask for, so that an image has them.
 */
const [file, options] = process.argv.slice(2);
if (file && options) await bundle(file, options);
else for (const encrypts of [false, true]) await workflowBundle({ encrypts });

/** The file gets its name when all of it is on the disk. */
async function bundle(file: string, options: string) {
  const logger = new DefaultLogger('WARN');
  const { code } = await bundleWorkflowCode({ ...bundleOptions(JSON.parse(options)), logger });
  const draft = `${file}.${process.pid}`;
  const handle = await open(draft, 'w');
  try {
    await handle.writeFile(code);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
}
