/** The Worker that tests run in: an object with a database, and nothing else. */
import { DurableObject } from 'cloudflare:workers'

/** An empty Durable Object; tests reach its storage with `runInDurableObject`. */
export class TestSql extends DurableObject {
  /** Does nothing: without it, no alarm could be set. Tests run their own objects' in its place. */
  override alarm(): void {}
}

/** The Worker itself is never called. */
export default {
  /** Say what this is. */
  fetch(): Response {
    return new Response('the tests of dotdo run in this Worker')
  },
}
