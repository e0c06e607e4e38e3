#!/usr/bin/env bash
# turndown 7.2.5 with @joplin/turndown-plugin-gfm 1.0.68, given a document of linkedom 0.18.15: tables on their way to Markdown.
#
# turndown takes a text, which it reads itself, or a document that somebody has read, as those do who take the article out of a
# page first. The plugin's rules of tables ask a table for its `rows` and a row for its `cells`, which linkedom's elements do not
# have. No rule fits then, nothing is said, and of each table the cells stand one after the other with nothing between them.
#
#   its own reading   | Plan | Agents |\n| --- | --- |\n| Pro | 25 agents |
#   of linkedom       PlanAgentsPro25 agents
#
# The guess was that the two are the same, since linkedom has the interfaces that readability and turndown itself go through.
# A search over such a text finds no "Pro" and no "25 agents".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm pkg set type=module >/dev/null
npm install --silent --no-audit --no-fund turndown@7.2.5 @joplin/turndown-plugin-gfm@1.0.68 linkedom@0.18.15
cat >tables.js <<'JS'
import { gfm } from '@joplin/turndown-plugin-gfm';
import { parseHTML } from 'linkedom';
import Turndown from 'turndown';

const head = '<thead><tr><th>Plan</th><th>Agents</th></tr></thead>';
const html = `<table>${head}<tbody><tr><td>Pro</td><td>25 agents</td></tr></tbody></table>`;
const { document } = parseHTML(`<html><body>${html}</body></html>`);
const turndown = new Turndown();
turndown.use(gfm);
const own = turndown.turndown(html).replaceAll(/ +/g, ' ');
const given = turndown.turndown(document.body);
console.log(`its own reading   ${JSON.stringify(own)}`);
console.log(`of linkedom       ${JSON.stringify(given)}`);
console.log(`rows and cells    ${document.querySelector('table').rows} ${document.querySelector('tr').cells}`);
const isAsSeen =
  own === '| Plan | Agents |\n| --- | --- |\n| Pro | 25 agents |' && given === 'PlanAgentsPro25 agents';
console.log(isAsSeen ? 'as seen' : 'CHANGED');
process.exitCode = isAsSeen ? 0 : 1;
JS
node tables.js
