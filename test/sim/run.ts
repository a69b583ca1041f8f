/** Runs properties over seeds. A seed that fails is named with the command that plays it again. */
import { DiskPool } from './disk.ts'
import { follower } from './follower.ts'
import { groupCommit } from './group-commit.ts'
import { lake } from './lake.ts'
import { moving } from './moving.ts'
import { World, type WorldOptions } from './world.ts'

/** The properties, by name; each makes its own world from a seed. */
export const properties = { 'group-commit': groupCommit, follower, moving, lake } as const

/** A property's name. */
export type PropertyName = keyof typeof properties

/** Which part of the seeds a property gets: the lake's take some thirty times as long as the others'. */
export const shares: Readonly<Partial<Record<PropertyName, number>>> = { lake: 0.04 }

/** A seed at which a property does not hold. */
export interface Finding {
  readonly seed: number
  readonly property: PropertyName
  readonly error: unknown
}

/** Run one property on one seed.
 *  @returns what was found, or undefined when the property held */
export async function runSeed(
  property: PropertyName,
  seed: number,
  options: WorldOptions = {},
): Promise<Finding | undefined> {
  const stream = Object.keys(properties).indexOf(property)
  try {
    await properties[property](new World(seed, stream, options))
    return undefined
  } catch (error) {
    return { seed, property, error }
  }
}

/** Run a property on seeds, one after the other.
 *  @returns the first finding, or undefined when the property held on all */
export async function runSeeds(property: PropertyName, from: number, to: number): Promise<Finding | undefined> {
  const disks = new DiskPool()
  try {
    for (let seed = from; seed < to; seed++) {
      const finding = await runSeed(property, seed, { disks })
      if (finding !== undefined) return finding
    }
    return undefined
  } finally {
    disks.close()
  }
}

/** Say what was found, and how to see it again. */
export function describeFinding({ seed, property, error }: Finding): string {
  const replay = `DOTDO_SEED=${seed} DOTDO_PROPERTY=${property} npx vitest run --project node test/sim/sim.test.ts`
  return `seed ${seed} property ${property}: ${error instanceof Error ? error.stack : error}\nreplay: ${replay}`
}
