/** The way to the filesystem of a database: the shard that owns its slot. */

import { StopSwitch } from '@dotdo/core/cdc'
import { Failure, fromWire } from '@dotdo/core/errors'
import type { Call, Clock, Database, Fabric, ShardClient } from '@dotdo/core/shard'
import { FSX } from '../program.ts'
import { FSX_SLOT } from '../tables.ts'
import type { Caller, Waiting } from './request.ts'

/** Make the way to the filesystem of a database.
 *  @param fabric what it is of: without it, nothing can be watched, and there are no forks in other databases */
export function callerOf(database: Database, fabric?: Pick<Fabric, 'clock' | 'database'>): Caller {
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
  const waiting = fabric && waitingBy(fabric.clock, here)
  const others = new Map<string, Promise<Caller>>()
  const elsewhere = (name: string): Promise<Caller> => {
    const known = others.get(name)
    if (known !== undefined) return known
    // What waits there ends with this one.
    const opened = (async () => {
      const there = callerOf(await (fabric as Fabric).database(name), fabric)
      waiting?.ended.addEventListener('abort', () => {
        void there.waiting?.session?.end()
        there.waiting?.ended.abort()
      })
      return there
    })()
    others.set(name, opened)
    opened.catch(() => others.delete(name))
    return opened
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
    ...(fabric && { elsewhere: (name: string) => elsewhere(name) }),
    job: (name, args) => here().job(name, args),
    ...(client.runNow && { callNow }),
    ...(waiting && { waiting }),
  }
}

function waitingBy(clock: Clock, here: () => ShardClient): Waiting {
  const awaitChange = (afterSeq: number, waitMs: number) => here().awaitChange(afterSeq, waitMs)
  return { clock, ended: new StopSwitch(), awaitChange }
}
