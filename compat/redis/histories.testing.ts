/** Random commands over time, with restarts and kills between them, on us and on a real Redis: every reply must be the
 *  same. For tests only. */
import type { ShardLimits } from '@dotdo/core/shard'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Lake } from './cold.testing.ts'
import { installedVersion, RealRedis } from './real-redis.testing.ts'
import { TestRedis } from './testing.ts'
import { show } from './transcript.testing.ts'
import type { Value } from './value.ts'

/** One of some words. */
export const word = (...words: string[]): fc.Arbitrary<string> => fc.constantFrom(...words)

/** A command: words, and what makes one word or several. */
export function line(...parts: (string | fc.Arbitrary<string> | fc.Arbitrary<string[]>)[]): fc.Arbitrary<string[]> {
  return fc
    .tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : (part as fc.Arbitrary<string>))))
    .map((words) => words.flat())
}

/** Under which conditions commands are run. */
export interface Condition {
  readonly name: string
  /** Whether every value leaves for the lake after each command. */
  readonly isCold?: boolean
  /** The part of the limits on memory that may be used. Default 1. */
  readonly share?: number
  readonly limits?: Partial<ShardLimits>
}

/** What is run. */
export interface Histories {
  readonly commands: fc.Arbitrary<string[]>
  readonly conditions: readonly Condition[]
  /** Show a reply as far as it is compared. Default: whole. */
  readonly shown?: (reply: Value) => string
}

/** Declare the tests. */
export function compareHistories({ commands, conditions, shown = show }: Histories): void {
  const version = installedVersion()
  const title =
    version === undefined ? 'no redis-server is installed: only that no command is a bug' : `Redis ${version}`
  describe.each(conditions)(`random commands, $name: ${title}`, ({ isCold = false, share = 1, limits = {} }) => {
    let ours: TestRedis
    let real: RealRedis | undefined
    beforeAll(async () => {
      ours = await TestRedis.open(limits, isCold ? new Lake() : undefined, share)
      if (version !== undefined) real = await RealRedis.start()
    })
    afterAll(async () => {
      ours.close()
      await real?.stop()
    })

    /** @returns our reply, and Redis' */
    async function ask(argv: readonly string[]): Promise<[string, string | undefined]> {
      const reply = shown(await ours.run(...argv))
      if (isCold) await ours.evictAll()
      return [reply, real && shown(await real.run(...argv))]
    }

    async function run(steps: readonly string[][]): Promise<void> {
      await ours.run('FLUSHALL')
      await real?.run('FLUSHALL')
      for (const [at, argv] of steps.entries()) {
        if (argv[0] === 'reopen' || argv[0] === 'crash') {
          await ours.reopen(argv[0] === 'crash')
          continue
        }
        const [reply, wanted] = await ask(argv)
        expect(reply).not.toContain('ERR internal')
        if (wanted === undefined || reply === wanted) continue
        const history = steps.slice(0, at + 1).map((words) => words.slice(0, 12).join(' '))
        expect(reply, history.join('\n')).toBe(wanted)
      }
    }

    test('have the same replies, restarts and kills between them', async () => {
      const step = fc.oneof({ arbitrary: commands, weight: 30 }, line(word('reopen', 'crash', 'crash')))
      const session = fc.array(step, { minLength: 1, maxLength: 60 })
      await fc.assert(fc.asyncProperty(session, run), { numRuns: Number(process.env.DOTDO_COLLECTION_RUNS ?? 15) })
    })
  })
}
