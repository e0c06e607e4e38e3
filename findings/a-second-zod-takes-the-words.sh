#!/usr/bin/env bash
# zod 4.6.7 and 4.4.3 in one process, as when a library still brings the zod that it was made with.
#
# z.config() is of no copy: since 4.4.0 every zod 4 keeps its settings in one object on globalThis. Copies before 4.5.0 put the English
# texts there when they are loaded, whatever is there. So a library that is first imported in the middle of a process's life takes
# away the localeError that the program has set, also for the schemas that the program has made with its own, newer copy, which
# by itself would leave it. Nothing is said:
#
#   before the other copy: ["Mandatory."]
#   after it: ["Invalid input: expected string, received undefined"]
#   by customError: ["Mandatory."]
#
# The guess was that settings are of the copy that they were set with, as its classes are; so it was until 4.3. What is set as
# customError stays, as no copy sets one: whoever tells people their faults in words of their own sets them so.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm pkg set type=module >/dev/null
npm install --silent --no-audit --no-fund zod@4.6.7 of-a-library@npm:zod@4.4.3 older@npm:zod@4.4.3
cat >run.mjs <<'JS'
import { z } from 'zod';

const schema = z.object({ name: z.string() });
const words = () => JSON.stringify(schema.safeParse({}).error.issues.map(({ message }) => message));
const own = ({ code, input }) => (code === 'invalid_type' && input === undefined ? 'Mandatory.' : undefined);

z.config({ localeError: own });
console.log(`before the other copy: ${words()}`);
await import('of-a-library');
console.log(`after it: ${words()}`);
z.config({ customError: own });
await import('older');
console.log(`by customError: ${words()}`);
JS
node run.mjs | tee seen
diff seen - <<'SEEN'
before the other copy: ["Mandatory."]
after it: ["Invalid input: expected string, received undefined"]
by customError: ["Mandatory."]
SEEN
