#!/usr/bin/env bash
# @temporalio/worker 1.24.0 (with the swc-loader 0.2.7 and @swc/core 1.16.18 that npm chose): what becomes of /[\p{L}\p{N}]+/gu in the TypeScript
# of a workflow. JavaScript is left as it is.
#
# The worker bundles TypeScript for ES2017, and Unicode's classes are of ES2018. So swc writes each class out, as the ranges of all its
# characters, and makes of the literal a call: RegExp("[\\u0041-\\u005A…]", "gu"), wherever it stands. In a function, that is a new
# regular expression at each call, whose source V8 reads through before it finds that it has compiled it. A cell of a
# table that is escaped so took 50 microseconds; a run's table is drawn anew after each workflow task.
#
#   in the source:        17 characters, and a literal
#   in the bundle:        some 12,000 characters, and a call of RegExp
#   a thousand calls of the function take more than ten times as long as with the literal: true
#
# The guess was that a literal stays one, as Node 24 and the V8 that runs workflows know these classes; at most that it is rewritten once.
# It has another side: what is a letter is told by the table of swc, also where Node knows an older or newer Unicode.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm pkg set type=module >/dev/null
npm install --silent --no-audit --no-fund @temporalio/worker@1.24.0 @temporalio/workflow@1.24.0 swc-loader@0.2.7 @swc/core@1.16.18
cat >workflows.ts <<'JS'
export async function count(text: string): Promise<number> {
  return words(text).length;
}
function words(text: string): string[] {
  return text.match(/[\p{L}\p{N}]+/gu) ?? [];
}
JS
cat >run.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { bundleWorkflowCode } from '@temporalio/worker';

const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, log() {} };
const { code } = await bundleWorkflowCode({ workflowsPath: new URL('workflows.ts', import.meta.url).pathname, logger: silent });
const source = /return text\.match\((.*)\) \?\?/.exec(readFileSync('workflows.ts', 'utf8'))[1];
const bundled = /text\.match\((RegExp\("[^"]*", "gu"\))\)/.exec(code)?.[1];
console.log(`in the source: ${source}`);
console.log(`in the bundle: ${bundled?.slice(0, 25)}…, longer than 10,000 characters: ${bundled?.length > 10_000}`);

const took = (expression) => {
  const words = new Function('text', `return text.match(${expression})`);
  const times = Array.from({ length: 9 }, () => {
    const began = performance.now();
    for (let call = 0; call < 1_000; call += 1) words('compare pricing');
    return performance.now() - began;
  });
  return times.toSorted((a, b) => a - b)[4];
};
console.log(`more than ten times as long: ${took(bundled) > 10 * took(source)}`);
JS
node run.mjs | tee seen
diff seen - <<'SEEN'
in the source: /[\p{L}\p{N}]+/gu
in the bundle: RegExp("[\\u0041-\\u005A\…, longer than 10,000 characters: true
more than ten times as long: true
SEEN
