import { openAsBlob } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { S3mini } from 's3mini';
import { NoSuchFile, type FileStore } from './store.ts';

export type S3Settings = {
  endpoint: string;
  bucket: string;
  region: string;
  access_key_id: string;
  secret_access_key: string;
};

/** In milliseconds: until a request is answered. A put is answered when all is there. */
const longest = { PUT: 60_000, GET: 10_000, DELETE: 10_000 };

/** Files in a bucket, whose path is in the URL and not in its host, so that any S3 of one's own will do. */
export function createS3Store({ endpoint, bucket, region, access_key_id, secret_access_key }: S3Settings): FileStore {
  const s3 = new S3mini({
    endpoint: `${endpoint.replace(/\/+$/, '')}/${bucket}`,
    region,
    accessKeyId: access_key_id,
    secretAccessKey: secret_access_key,
    fetch: answeredInTime,
  });

  return {
    incoming: path.join(tmpdir(), 'orchflow-incoming'),
    async put(file_id, from) {
      await s3.putObject(file_id, await openAsBlob(from));
    },
    async open(file_id) {
      const response = await s3.getObjectResponse(file_id);
      if (!response?.body) throw new NoSuchFile(`There is no ${file_id} in the bucket.`);
      return response.body;
    },
    async remove(file_id) {
      await s3.deleteObject(file_id);
    },
  };
}

/** For how long the body of an answer is read has no bound: its reader may be slow. */
async function answeredInTime(input: Parameters<typeof fetch>[0], init: RequestInit = {}): Promise<Response> {
  const late = new AbortController();
  const most = longest[init.method as keyof typeof longest] ?? longest.GET;
  const timer = setTimeout(() => late.abort(new Error(`The store of files did not answer within ${most} ms.`)), most);
  return fetch(input, { ...init, signal: late.signal }).finally(() => clearTimeout(timer));
}
