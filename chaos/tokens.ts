/** What was read of the stream of a run: its text as its tokens come to, and its result, where that has come. */
export type ReadTokens = {
  run_id?: string;
  text: string;
  /** Tokens that did not go on where the text ended. */
  gaps: number;
  result?: { status: string; output: string | null };
  /** It broke off before its result, or its client has left. */
  broke?: string | undefined;
};

/** Reads the events of a run until they end, whatever ends them, or until so many are read and its client leaves. */
export async function readTokens(response: Response, leave_after = Infinity): Promise<ReadTokens> {
  const read: ReadTokens = { text: '', gaps: 0 };
  read.broke = await hearEvents(response, leave_after, (block) => {
    hear(read, block);
    return read.result !== undefined;
  });
  return read;
}

/**
 * Hears the events of a stream until they end, whatever ends them, or until so many are heard and its client leaves. `listen` says
 * whether the last of them is heard. Returns how it broke off.
 */
export async function hearEvents(
  response: Response,
  leave_after: number,
  listen: (block: string) => boolean,
): Promise<string | undefined> {
  let left = '';
  let events = 0;
  try {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = `${left}${chunk}`.split('\n\n');
      left = blocks.pop()!;
      for (const block of blocks) {
        const isAll = listen(block);
        events += 1;
        if (events >= leave_after && !isAll) return 'Its client has left.';
      }
    }
  } catch (error) {
    return String(error);
  }
  return undefined;
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
