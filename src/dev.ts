/** `npm start`: PostgreSQL, Temporal, migrations, worker and API in one command; one Ctrl-C ends them all. */
import { enableCompileCache } from 'node:module';
import { compileCache } from './node/start.ts';

// What is imported below is found compiled, which an import above would not be.
enableCompileCache(compileCache);
const { launch } = await import('./embedded/launcher.ts');
await launch();
