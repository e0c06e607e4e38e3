import { comparable } from '../measure.ts';
import { seconds } from '../table.ts';

/** `npm start` until it says that it is ready: with a new directory, and then with that directory again. */
export const start = comparable({
  name: 'npm start',
  rounds: 3,
  ownServers: true,
  rows: {
    again: { what: 'npm start, ready', unit: seconds, bars: [{ most: 0.7, of: 'old' }] },
    first: { what: 'npm start with a new directory, ready', unit: seconds },
  },
  async round(servers) {
    const launcher = await servers.launch();
    try {
      const first = await launcher.start();
      await launcher.stop();
      const again = await launcher.start();
      await launcher.stop();
      return { first: [first.took_ms], again: [again.took_ms] };
    } finally {
      await launcher.destroy();
    }
  },
});
