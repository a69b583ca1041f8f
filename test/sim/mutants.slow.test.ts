/** The simulator's own test: with any one guard removed, some seed must fail. DOTDO_MUTANT_SEEDS (3,000; of the
 *  lake's a fifth, as they take thirty times as long) are tried. */
import { afterAll, describe, expect, it } from 'vitest'
import { catchMutant, mutants } from './mutants.ts'

const seeds = Number(process.env.DOTDO_MUTANT_SEEDS ?? 3_000)
const table: string[] = []

afterAll(() => {
  console.log(['| property | guard removed | first seed | what it shows |', '|---|---|---|---|', ...table].join('\n'))
})

describe('a removed guard is found', () => {
  it.each(mutants)('$property: $name', { timeout: 600_000 }, async (mutant) => {
    const { property, name } = mutant
    const tried = property === 'lake' ? Math.ceil(seeds / 5) : seeds
    const caught = await catchMutant(mutant, tried)
    table.push(`| ${property} | ${name} | ${caught?.seed ?? 'none'} | ${caught?.what.slice(0, 100) ?? 'survived'} |`)
    expect(caught, `${name} survives ${tried} seeds`).toBeDefined()
  })
})
