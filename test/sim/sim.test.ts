/** The properties of the simulator over seeds: DOTDO_SEEDS of them (250; of the lake a twenty-fifth), from
 *  DOTDO_FIRST_SEED (0) on. With DOTDO_SEED, and DOTDO_PROPERTY if wanted, one seed is played again and its story
 *  told. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../tidy/source.ts'
import { bundleProperties, runOnThread } from './bundle.ts'
import { mutants } from './mutants.ts'
import { describeFinding, type PropertyName, properties, runSeed, runSeeds, shares } from './run.ts'

const { DOTDO_SEED, DOTDO_SEEDS = '250', DOTDO_FIRST_SEED = '0', DOTDO_PROPERTY } = process.env
const all = Object.keys(properties) as PropertyName[]
const chosen = all.filter((name) => DOTDO_PROPERTY === undefined || DOTDO_PROPERTY === name)
const [first, count] = [Number(DOTDO_FIRST_SEED), Number(DOTDO_SEEDS)]

function replay(): void {
  it.each(chosen)('plays a seed of %s again', async (property) => {
    const finding = await runSeed(property, Number(DOTDO_SEED), { log: (line) => console.log(line) })
    expect(finding === undefined ? 'held' : describeFinding(finding)).toBe('held')
  })
}

function simulate(): void {
  const bundle = bundleProperties('properties')

  it.concurrent.each(chosen.map((name) => [name, Math.ceil(count * (shares[name] ?? 1))] as const))(
    'finds that %s holds on %i seeds',
    { timeout: 60_000 + count * 200 },
    async (name, seeds) => {
      const startMs = performance.now()
      const { url } = await bundle
      expect(await runOnThread(url, name, [first, first + seeds])).toBe('held')
      console.log(`${name}: ${seeds} seeds, ${((performance.now() - startMs) / seeds).toFixed(1)} ms each`)
    },
  )

  it.each(all)('replays %s: a seed has one story, whatever ran before it', async (property) => {
    const story = async (seed: number) => {
      const lines: string[] = []
      await runSeed(property, seed, { log: (line) => lines.push(line) })
      return lines
    }
    const alone = await story(7)
    await runSeeds(property, 3, 7)
    expect(await story(7)).toEqual(alone)
    expect(alone.length).toBeGreaterThan(10)
    expect(await story(8)).not.toEqual(alone)
  })

  it('can still make every mutant', () => {
    for (const { name, file, find } of mutants) {
      const times = readFileSync(join(root, file), 'utf8').split(find).length - 1
      expect(times, `${name}: the text it replaces in ${file}`).toBe(1)
    }
  })
}

describe('the simulator', DOTDO_SEED === undefined ? simulate : replay)
