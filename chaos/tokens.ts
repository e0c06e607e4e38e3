/** What was read of the stream of a run: its text as its tokens come to, and its result, where that has come. */
export type ReadTokens = {
  run_id?: string;
  text: string;
  /** Tokens that did not go on where the text ended. */
  gaps: number;
  result?: { status: string; output: string | null };
  /** It broke off before its result, or its client has left. */
  broke?: string;
};

/** Reads the events of a run until they end, whatever ends them, or until so many are read and its client leaves. */
export async function readTokens(response: Response, leave_after = Infinity): Promise<ReadTokens> {
  const read: ReadTokens = { text: '', gaps: 0 };
  let left = '';
  let events = 0;
  try {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = `${left}${chunk}`.split('\n\n');
      left = blocks.pop()!;
      for (const block of blocks) {
        hear(read, block);
        events += 1;
        if (events < leave_after || read.result) continue;
        read.broke = 'Its client has left.';
        return read;
      }
    }
  } catch (error) {
    read.broke = String(error);
  }
  return read;
}

function hear(read: ReadTokens, block: string): void {
  const [, data] = /^data: (.*)$/m.exec(block) ?? [];
  if (data === undefined) return;
  const { type, ...told } = JSON.parse(data) as Record<string, any>;
  if (type === 'run') read.run_id = told.run_id;
  else if (type === 'token') {
    if (told.offset > read.text.length) read.gaps += 1;
    read.text = read.text.slice(0, told.offset) + (told.text as string);
  } else if (type === 'result') read.result = { status: told.status, output: told.output };
}
