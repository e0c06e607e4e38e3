import assert from 'node:assert/strict';
import type { User } from '../test/harness/client.ts';
import { createAgents } from '../test/harness/orchagent.ts';
import { send } from '../test/harness/raw.ts';
import { bytesOf } from '../test/harness/upload.ts';
import { zipOf } from '../test/harness/zip.ts';
import { calledMark } from './agent.ts';
import { caps } from './limits.ts';
import { hasSandbox } from './sandbox.ts';
import { beginPath } from './web.ts';

/** The agents that an account publishes, which are called at `/{org}/{agent}/{version}/{endpoint}`. */

/** How long each has, in seconds. */
const timeouts = { reader: 60, lead: 90, teller: 30, courier: 45 };

export type AgentName = keyof typeof timeouts;

const input_schema = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] };

/** It says that it has begun, and answers with what it was told then. */
const teller = `
import http.client, json, os, sys, urllib.parse
given = json.load(sys.stdin)
def begin():
    way = urllib.parse.urlsplit(os.environ["HTTP_PROXY"])
    line = http.client.HTTPConnection(way.hostname, way.port)
    line.request("POST", "$WEB", "$NAME " + os.environ["ORCHAGENT_REQUEST_ID"])
    return line.getresponse().read().decode()
told = {"begin": begin()}
`;

/**
 * It calls the reader of its own account besides, as the clients of orchagent do: again after what another try may mend, also where
 * its gateway is away, until its time is over.
 */
const courier = `${teller}
import time, urllib.error, urllib.request
names = {"CALL_CHAIN": "call-chain", "CALL_CHAIN_SIG": "call-chain-sig", "DEADLINE_MS": "deadline-ms", "MAX_HOPS": "max-hops"}
headers = {"x-orchagent-" + header: os.environ["ORCHAGENT_" + name] for name, header in names.items() if "ORCHAGENT_" + name in os.environ}
headers.update({"authorization": "Bearer " + os.environ["ORCHAGENT_SERVICE_KEY"], "content-type": "application/json"})
def call():
    body = json.dumps({"text": given["text"] + " [below]"}).encode()
    asked = urllib.request.Request(os.environ["ORCHAGENT_GATEWAY_URL"] + "/$ORG/reader/v1/run", body, headers)
    try:
        return json.load(urllib.request.urlopen(asked, timeout=20))
    except urllib.error.HTTPError as error:
        said = error.read().decode()
        try: whole = json.loads(said)
        except ValueError: return None
        retryable = whole.get("error", {}).get("is_retryable", True)
        return whole if not retryable or "run_id" in whole.get("metadata", {}) else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
while (answer := call()) is None: time.sleep(0.5)
told.update({"run": answer["metadata"].get("run_id"), "data": answer.get("data"), "code": answer.get("error", {}).get("code")})
`;

const answering = '\nprint(json.dumps(told))\n';

/** Publishes them all, and returns the organisation that they are of. `web` is where code says that it has begun. */
export async function publishAgents(api: string, user: User, web: string): Promise<string> {
  const agents = createAgents(api, user);
  const org = await agents.slug();
  const publish = async (name: AgentName, more: object): Promise<string> => {
    const description = `${calledMark}${name}.`;
    const { agent } = await agents.publish({
      name,
      description,
      timeout_seconds: timeouts[name],
      input_schema,
      ...more,
    });
    return agent.id as string;
  };

  async function publishCode(name: AgentName, code: string, more: object): Promise<void> {
    const hosts = [new URL(web).host];
    const id = await publish(name, { type: 'tool', manifest: { hosts, max_hops: caps.hops }, ...more });
    const content = (code + answering)
      .replace('$WEB', web + beginPath)
      .replace('$ORG', org)
      .replace('$NAME', name);
    const { body, headers } = bytesOf(zipOf([{ name: 'main.py', content }]));
    const more_headers = { authorization: `Bearer ${user.api_key}`, 'x-entrypoint': 'main.py', ...headers };
    const sent = await send(api, 'POST', `/agents/${id}/upload`, more_headers, body);
    assert.equal(sent.status, 200, JSON.stringify(sent.body));
  }

  await publish('reader', { type: 'prompt', is_public: true, supported_providers: ['openai'] });
  if (hasSandbox) {
    await publishCode('teller', teller, {});
    await publishCode('courier', courier, { idempotent: true });
  }
  const below = ['reader', ...(hasSandbox ? ['courier'] : [])];
  const manifest = {
    dependencies: below.map((name) => ({ id: `${org}/${name}`, version: 'v1' })),
    max_hops: caps.hops,
    per_call_downstream_cap: caps.per_call,
    downstream_spend_cap: caps.all,
  };
  await publish('lead', { type: 'agent', supported_providers: ['anthropic'], manifest });
  return org;
}
