#!/usr/bin/env bash
# mammoth 1.13.0 reads a .docx made by docx 9.5.1: <w:tblHeader w:val="false"/>, a row that says it is no head.
#
# In a .docx, properties like this one are on when they stand there without a value, and `w:val="false"` says that they are
# off (ECMA-376, ST_OnOff). A program that is told `tableHeader: false` of a row writes that, as docx does. mammoth reads it so
# of bold and italic text, and of rows looks only whether the element is there: each such row is one of the head, and where
# all rows say it, the table is all head.
#
#   says nothing   <table><tr><td>Free</td></tr><tr><td>Pro</td></tr></table>
#   says no        <table><thead><tr><th>Free</th></tr><tr><th>Pro</th></tr></thead></table>
#
# The guess was that the two are the same. Whoever repeats a table's head over each of its parts repeats the whole table.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm pkg set type=module >/dev/null
npm install --silent --no-audit --no-fund mammoth@1.13.0 docx@9.5.1
cat >rows.js <<'JS'
import { Document, Packer, Paragraph, Table, TableCell, TableRow, TextRun } from 'docx';
import mammoth from 'mammoth';

async function htmlOf(said, bold) {
  const cell = (text) =>
    new TableCell({ children: [new Paragraph({ children: [new TextRun({ text, ...bold })] })] });
  const rows = ['Free', 'Pro'].map((text) => new TableRow({ ...said, children: [cell(text)] }));
  const buffer = await Packer.toBuffer(new Document({ sections: [{ children: [new Table({ rows })] }] }));
  const { value } = await mammoth.convertToHtml({ buffer });
  return value.replaceAll(/<\/?p>/g, '');
}
const nothing = await htmlOf({}, {});
const no = await htmlOf({ tableHeader: false }, { bold: false });
console.log(`says nothing   ${nothing}`);
console.log(`says no        ${no}`);
const isAsSeen =
  nothing === '<table><tr><td>Free</td></tr><tr><td>Pro</td></tr></table>' &&
  // Of bold text it reads the value.
  no === '<table><thead><tr><th>Free</th></tr><tr><th>Pro</th></tr></thead></table>';
console.log(isAsSeen ? 'as seen' : 'CHANGED');
process.exitCode = isAsSeen ? 0 : 1;
JS
node rows.js
