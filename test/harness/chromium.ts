import { existsSync } from 'node:fs';

/** Where a Chromium is, for tests of pages; undefined when there is none here. CHROMIUM may say where it is. */
export const executablePath = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
]
  .filter((file) => file !== undefined)
  .find((file) => existsSync(file));

if (!executablePath) console.log('Pages are not looked at: there is no Chromium here. CHROMIUM may say where it is.');
