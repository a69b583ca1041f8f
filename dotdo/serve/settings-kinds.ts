/** What a setting is, and the kinds of values that settings have. */
import { z } from 'zod'

/** One thing a server can be told. */
export interface Setting {
  /** Its name in the configuration file. */
  readonly name: string
  readonly flag: string
  readonly env: string
  readonly help: string
  readonly schema: z.ZodType
  /** What the schema wants, in words. */
  readonly wants: string
  /** Absent when it may stay unset. */
  readonly fallback?: string | number | boolean
  /** Never shown. */
  readonly secret?: boolean
}

/** How values of a kind are checked. */
type Kind = Pick<Setting, 'schema' | 'wants'>

/** A TCP port. */
export const port: Kind = {
  schema: z.union([z.int().min(0).max(65_535), z.literal('off')]),
  wants: 'a port (0 to 65535), or off',
}

/** Text as it stands: the password 1234 is no number. */
export const text: Kind = { schema: z.string().min(1), wants: 'text' }

/** A whole number within bounds. */
export function whole(least: number, most: number): Kind {
  return { schema: z.int().min(least).max(most), wants: `a whole number from ${least} to ${most}` }
}

/** One of a few words. */
export function oneOf(choices: readonly [string, ...string[]]): Kind {
  return { schema: z.enum(choices), wants: `one of ${choices.join(', ')}` }
}
