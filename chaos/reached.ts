/**
 * Asks until an API is reached. After a request that was aborted, fetch opens a connection and does not use it; Node closes it in
 * the end, with a 408. What is sent in that moment has not come to an API, and is sent again.
 */
export async function untilReached(ask: () => Promise<Response>): Promise<Response> {
  for (;;) {
    const response = await ask();
    if (response.status !== 408 || response.headers.has('server-timing')) return response;
  }
}
