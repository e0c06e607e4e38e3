import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Opens so many streams at once, and each that is refused or ends again and again. Arguments: how many, and the URL; the
 * key is `API_KEY`. Prints how many are open, every second.
 */
const [streams, url] = process.argv.slice(2);
/** As the refusal of a stream says, and not all at the same moment. */
const again_ms = 5_000;
let open = 0;

async function openStream(): Promise<void> {
  const answer = await fetch(url!, { headers: { 'x-api-key': process.env.API_KEY! } });
  if (answer.ok) open += 1;
  try {
    for await (const _ of answer.body!);
  } finally {
    if (answer.ok) open -= 1;
  }
}

async function keepKnocking(): Promise<never> {
  for (;;) {
    await openStream().catch(() => {}); // the API may be gone, or too busy to take one more
    await sleep(again_ms * (0.5 + Math.random()));
  }
}

for (let stream = 0; stream < Number(streams); stream += 1) void keepKnocking();
setInterval(() => console.log(open), 1_000);
