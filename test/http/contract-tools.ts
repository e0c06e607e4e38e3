import { mcpKey, startFakeMcp } from '../fakes/mcp.ts';
import type { Call } from './contract.ts';

/** Calls every operation on tools, with each of its outcomes. */
export async function callTools(call: Call): Promise<void> {
  const servers = '/api/v1/tools/mcp';
  const mcp = await startFakeMcp(() => 'Rain.');
  await call('POST', servers, {}, { name: 'weather', url: mcp.url, headers: { Authorization: mcpKey } });
  mcp.down();
  await call('GET', servers);
  await call('GET', '/api/v1/tools');
  await call('DELETE', `${servers}/{server_name}`, { server_name: 'weather' });
  await call('DELETE', `${servers}/{server_name}`, { server_name: 'weather' });
}
