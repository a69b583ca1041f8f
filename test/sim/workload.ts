/** Calls by chance: what the clients of one shard send. */
import type { ListTable, RunArgs, Step } from './program.ts'
import type { Random } from './random.ts'

/** The slots that calls are about. */
export const slots = [3, 4, 9, 700]
/** The names of their lists. */
export const names = ['a', 'b', 'c']

/** Make the steps of one call. */
function makeSteps(random: Random, evicts: boolean, depth = 0): Step[] {
  const table = (): ListTable => (random.chance(0.65) ? 'lists' : 'books')
  const makeStep = (): Step => {
    const at = { table: table(), slot: random.pick(slots), name: random.pick(names) }
    const dice = random.below(100)
    if (dice >= 46 && dice < 55 && evicts) return { do: 'evict', ...at }
    if (dice < 55) return { do: 'append', ...at }
    if (dice < 67) return { do: 'remove', ...at }
    if (dice < 70) return { do: 'clear', table: at.table, slot: at.slot }
    if (dice < 78) return { do: 'find', ...at }
    if (dice < 88) return { do: 'scan', table: at.table, slots: scanned(random) }
    if (depth > 0 || dice < 94) return { do: 'append', ...at }
    return { do: 'attempt', steps: makeSteps(random, evicts, 1), fails: random.chance(0.5) }
  }
  const steps = Array.from({ length: random.between(1, 3) }, makeStep)
  if (depth === 0 && random.chance(0.15)) steps.push({ do: 'fail', bug: random.chance(0.3) })
  return steps
}

function scanned(random: Random): readonly [number, number] {
  const dice = random.below(3)
  if (dice === 0) return [0, 16_383]
  const from = random.pick(slots)
  return dice === 1 ? [from, from] : [from, from + random.below(10)]
}

const reads = (steps: readonly Step[]): boolean => steps.every((step) => step.do === 'find' || step.do === 'scan')

function usesSql(steps: readonly Step[]): boolean {
  return steps.some((step) => {
    if (step.do === 'attempt') return usesSql(step.steps)
    return (
      step.do === 'clear' || step.do === 'evict' || (step.do !== 'fail' && step.table === 'books' && step.do !== 'find')
    )
  })
}

/** Make a call.
 *  @param nextId names it, when it writes
 *  @param evicts whether it may let rows go cold */
export function makeArgs(random: Random, nextId: () => string, evicts = true): RunArgs {
  const steps = makeSteps(random, evicts)
  // The hint that a call writes with SQL is mostly right: a shard must find out by itself when it is not.
  const sql = random.chance(0.1) ? random.chance(0.5) : usesSql(steps)
  return { id: reads(steps) ? '' : nextId(), steps, sql }
}
