/** The way to the filesystem of a database: the shard that owns its slot. */
import { Failure, fromWire } from '@dotdo/core/errors'
import type { Call, Database } from '@dotdo/core/shard'
import { FSX } from '../program.ts'
import { FSX_SLOT } from '../tables.ts'
import type { Caller } from './request.ts'

/** Make the way to the filesystem of a database.
 *  @param open opens another one: without it, there are no forks in others */
export function callerOf(database: Database, open?: (name: string) => Promise<Database>): Caller {
  const { map, router } = database
  let index = map.shardOf(FSX_SLOT)
  let client = database.client(index)
  const here = () => {
    const now = map.shardOf(FSX_SLOT)
    if (now !== index) client = database.client(now)
    index = now
    return client
  }
  const callOf = (name: string, args: object): Call => {
    return { program: FSX, name, slot: FSX_SLOT, epoch: map.epoch, args }
  }
  const callNow = (name: string, args: object): unknown => {
    const { runNow } = here()
    if (runNow === undefined) throw new Failure('unsupported', 'the shard is not in this thread')
    const reply = runNow([callOf(name, args)])[0]
    if (reply instanceof Failure) throw reply
    return reply
  }
  return {
    async call(name, args) {
      const [answer] = await here().submit([callOf(name, args)])
      const reply = typeof answer === 'object' && answer !== null ? fromWire(answer) : answer
      if (!(reply instanceof Failure)) return reply
      // It has moved, or was never told what it owns: the router knows what to do.
      if (reply.code !== 'moved' && reply.code !== 'unassigned') throw reply
      return router.call({ program: FSX, name, args }, { slot: FSX_SLOT })
    },
    database: database.name,
    ...(open && { elsewhere: async (name: string) => callerOf(await open(name), open) }),
    job: (name, args) => here().job(name, args),
    ...(client.runNow && { callNow }),
  }
}
