/** Data from outside, checked. */
import { Failure } from '@dotdo/core/errors'
import type { z } from 'zod'

/** Check data from outside.
 *  @throws invalid, naming the field */
export function checked<T>(schema: z.ZodType<T>, data: unknown, what: string): T {
  const { data: good, error } = schema.safeParse(data)
  if (error === undefined) return good
  const said = error.issues.map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
  throw new Failure('invalid', `${what}: ${said.join('; ')}`)
}
