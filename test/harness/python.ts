import { spawnSync } from 'node:child_process';

const has = (...modules: string[]) => spawnSync('python3', ['-c', `import ${modules.join()}`]).status === 0;

/** Whether what the docs show in Python can be run here. */
export const hasRequests = has('requests');
if (!hasRequests) console.warn('Skipped: the Python examples need python3 with the package "requests".');

/** Whether the streams can be read here as most Python programs read them. */
export const hasHttpxSse = has('httpx', 'httpx_sse');
if (!hasHttpxSse) console.warn('Skipped: the Python readers of streams need python3 with "httpx" and "httpx-sse".');

/** Whether OAuth can be spoken here as Python programs do it. */
export const hasAuthlib = has('requests', 'authlib');
if (!hasAuthlib) console.warn('Skipped: OAuth by Authlib needs python3 with "requests" and "authlib".');

/** Whether agents can be called here with orchagent's own client. */
export const hasOrchagent = has('httpx', 'orchagent');
if (!hasOrchagent) console.warn('Skipped: orchagent\'s client needs python3 with the package "orchagent-sdk".');
