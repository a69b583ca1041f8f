/** Async contexts: the same in Node and in workerd (nodejs_compat). */
import { AsyncLocalStorage } from 'node:async_hooks'

/** Remember the async context of now.
 *  @returns what runs work in it, whoever asks for that */
export function rememberContext(): <T>(work: () => T) => T {
  return AsyncLocalStorage.snapshot()
}
