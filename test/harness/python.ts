import { spawnSync } from 'node:child_process';

/** Whether what the docs show in Python can be run here. */
export const hasRequests = spawnSync('python3', ['-c', 'import requests']).status === 0;
if (!hasRequests) console.warn('Skipped: the Python examples need python3 with the package "requests".');
