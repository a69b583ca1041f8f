/** The Worker that tests run in: an object with a database, and nothing else. */
import { DurableObject } from 'cloudflare:workers'

/** An empty Durable Object; tests reach its storage with `runInDurableObject`. */
export class TestSql extends DurableObject {}

/** Answers, so that the pool has something to start. */
export default {
  fetch(): Response {
    return new Response('the tests of dotdo run in this Worker')
  },
}
