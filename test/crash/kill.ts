/** Rounds of load and kill -9: after each, every acknowledged write must be there, and no transaction by half.
 *
 *  A round starts the server on what the rounds before it left, loads it, kills it at a random point, starts it again
 *  and looks. The kill may meet the server anywhere: deciding, committing, writing rows to their tables, answering. */
import { setTimeout as delay } from 'node:timers/promises'
import { Random } from '../sim/random.ts'
import { Load } from './load.ts'
import { type ServerOptions, type ServerProcess, startServer } from './server.ts'

/** How the server is run. */
export type Setup = Required<Pick<ServerOptions, 'durability' | 'shards' | 'threads'>>

/** Every combination that places shards or commits differently. */
export const setups: readonly Setup[] = (['full', 'normal'] as const).flatMap((durability) =>
  [1, 4].flatMap((shards) => [0, 2].map((threads) => ({ durability, shards, threads }))),
)

/** What the rounds did. */
export interface Outcome {
  /** What was wrong; empty when nothing was. */
  readonly problems: string[]
  /** Batches that were acknowledged. */
  readonly batches: number
}

/** Load the server and kill it in the middle. @returns how many batches were acknowledged */
async function loadAndKill(server: ServerProcess, load: Load, random: Random): Promise<number> {
  const target = random.between(5, 300)
  let batches = 0
  let reached = () => {}
  const enough = new Promise<void>((resolve) => (reached = resolve))
  const running = load.run(server.redisPort, () => {
    batches++
    if (batches === target) reached()
  })
  // Should the server end by itself, the load ends too, and the check below says what it lost.
  await Promise.race([enough, running])
  // At the moment of an answer a server is always at the same point; some time later it is anywhere.
  await delay(random.unit() * 10)
  await server.kill()
  await running
  return batches
}

/** Run rounds on one data folder.
 *  @param seed decides what is written and when the server is killed; not what the two do at that moment */
export async function killRounds(data: string, setup: Setup, { rounds, seed }: { rounds: number; seed: number }) {
  const random = new Random(seed)
  const load = new Load(random, { writers: 4, tagged: setup.shards > 1 })
  const outcome = { problems: [] as string[], batches: 0 }
  for (let round = 1; round <= rounds && outcome.problems.length === 0; round++) {
    outcome.batches += await loadAndKill(await startServer({ data, http: false, ...setup }), load, random)
    const server = await startServer({ data, http: false, ...setup })
    const found = await load.check(server.redisPort)
    outcome.problems.push(...found.map((problem) => `round ${round}, seed ${seed}: ${problem}`))
    if (server.logged() !== '') outcome.problems.push(`round ${round}: the server logged ${server.logged()}`)
    // Every other time the next round begins on what a crash left, and not on what a clean stop did.
    if (random.chance(0.5)) await server.kill()
    else await server.stop()
  }
  return outcome satisfies Outcome
}
