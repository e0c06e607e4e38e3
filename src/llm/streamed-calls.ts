/** The calls of a stream on OpenAI's wire, put together from their pieces. */

/**
 * A piece of a call. By the book, the first one has the id and the name, and `index` says whose the others are. Servers
 * leave out each of them, give all calls the same index, repeat the id or the name with every piece or send new ids with
 * them, and send what they have so far again and again.
 */
export type CallPiece = {
  index?: number | null;
  id?: string | null;
  name?: string | null;
  arguments?: unknown;
  /** What must come back with the call. */
  beside?: Record<string, unknown>;
};

type Call = {
  id: string;
  index: number | undefined;
  name: string;
  pieces: string[];
  isWhole: (more: string) => boolean;
  /** The arguments, once they are a whole object. */
  whole?: string;
  beside?: Record<string, unknown>;
};

/** Takes the pieces in the order in which they come; `calls` are those that they add up to. */
export function gatherCalls() {
  const calls: Call[] = [];
  const byId = new Map<string, Call>();
  const byIndex = new Map<number, Call>();

  function find({ id, index }: CallPiece): Call | undefined {
    const there = typeof index === 'number' ? byIndex.get(index) : calls.at(-1);
    return !id || there?.id === id ? there : (byId.get(id) ?? there);
  }

  function begin({ id, index }: CallPiece, name: string): Call {
    const call = { id: id ?? '', index: index ?? undefined, name, pieces: [], isWhole: objectScan() };
    calls.push(call);
    if (id) byId.set(id, call);
    if (typeof index === 'number') byIndex.set(index, call);
    return call;
  }

  return {
    /** In a message that is whole, every piece is a call. */
    add(piece: CallPiece, isWhole: boolean): void {
      const given = textOf(piece.arguments);
      const found = isWhole ? undefined : find(piece);
      const call = found && continues(found, piece, given) ? found : begin(piece, piece.name || found?.name || '');
      call.name = longerName(call.name, piece.name ?? '');
      if (given) call.pieces.push(given);
      if (call.isWhole(given)) call.whole ??= call.pieces.join('');
      if (piece.beside) call.beside = { ...call.beside, ...piece.beside };
    },
    calls: () => calls.map(({ id, name, pieces, beside }) => ({ id, name, arguments: sumOf(pieces), beside })),
  };
}

/** Whether a piece belongs to the call that its id, its index or its place points to. Else it begins another one. */
function continues(call: Call, { id, index, name }: CallPiece, given: string): boolean {
  const isSameId = !id || !call.id || id === call.id;
  const isOtherIndex = typeof index === 'number' && call.index !== undefined && index !== call.index;
  if (isOtherIndex) return !name && id === call.id;
  // After a whole object comes that of another call, unless it is the same again, or the first was empty and stood for it.
  if (call.whole !== undefined && given.trimStart().startsWith('{')) {
    return isSameId && (given === call.whole || (!name && isEmptyObject(call.whole)));
  }
  if (!name) return true;
  if (call.whole !== undefined) return isSameId && name === call.name;
  if (name === call.name) return isSameId || typeof index === 'number';
  // The name itself may come in pieces, before any of the arguments.
  return isSameId && typeof index === 'number' && call.pieces.length === 0 && !given;
}

function longerName(known: string, said: string): string {
  if (said === known) return known;
  return said.startsWith(known) ? said : known + said;
}

function textOf(given: unknown): string {
  if (typeof given === 'string') return given;
  return given === undefined || given === null ? '' : JSON.stringify(given);
}

/** What the pieces add up to; the last of them, when each says again what came before it. */
function sumOf([first = '', ...others]: string[]): string {
  const pieces = isEmptyObject(first) && others.length ? others : [first, ...others];
  const sum = pieces.join('');
  const last = pieces.at(-1) ?? '';
  const isAllSaidAgain = pieces.length > 1 && sum === last + last;
  const isGrowing = pieces.length > 1 && pieces.every((piece, at) => piece.startsWith(pieces[at - 1] ?? ''));
  return (isAllSaidAgain || isGrowing) && !isWholeObject(sum) ? last : sum;
}

const isEmptyObject = (text: string) => /^\s*\{\s*\}\s*$/.test(text);

function isWholeObject(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}

/** A function that takes the text of an object piece by piece and says whether it is whole, each character looked at once. */
function objectScan(): (more: string) => boolean {
  let depth = 0;
  let state: 'before' | 'outside' | 'string' | 'escape' = 'before';
  return (more) => {
    for (const char of more) {
      if (state === 'escape') state = 'string';
      else if (state === 'string') state = char === '\\' ? 'escape' : char === '"' ? 'outside' : 'string';
      else if (char === '"') state = 'string';
      else if (char === '{' || char === '[') [state, depth] = ['outside', depth + 1];
      else if (char === '}' || char === ']') depth -= 1;
    }
    return state === 'outside' && depth === 0;
  };
}
