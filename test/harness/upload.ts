import { send } from './raw.ts';

/** Sends a file to the API, as browsers and SDKs do. */
export function upload(
  url: string,
  api_key: string,
  content: string | Uint8Array<ArrayBuffer>,
  { name = 'notes.txt', type = 'text/plain', headers = {} as Record<string, string> } = {},
) {
  const form = new FormData();
  form.append('file', new File([content], name, { type }));
  return send(url, 'POST', '/api/v1/files', { 'x-api-key': api_key, ...headers }, form);
}

/** The same body as a text, of parts that are written by hand. */
export function formOf(...parts: string[]): { body: string; headers: Record<string, string> } {
  const body = [...parts.map((part) => `--cut\r\n${part}\r\n`), '--cut--\r\n'].join('');
  return { body, headers: { 'content-type': 'multipart/form-data; boundary=cut' } };
}

export function filePart(content: string, name = 'notes.txt', field = 'file'): string {
  return `Content-Disposition: form-data; name="${field}"; filename="${name}"\r\nContent-Type: text/plain\r\n\r\n${content}`;
}

/** The body of one part `file` with these bytes. */
export function bytesOf(content: Uint8Array<ArrayBuffer>): { body: Blob; headers: Record<string, string> } {
  const head = filePart('', 'bundle.zip').replace('text/plain', 'application/zip');
  return { body: new Blob([`--cut\r\n${head}`, content, '\r\n--cut--\r\n']), headers: formOf().headers };
}
