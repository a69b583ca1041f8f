/** fast-check with a seed of ours: what holds in one run holds in the next, so that a change is judged by what it did.
 *  vitest.config.ts puts this in its place. DOTDO_FUZZ=random looks elsewhere each time, DOTDO_FUZZ=123 where it
 *  says. */
import fc from '../node_modules/fast-check/lib/fast-check.js'

const { DOTDO_FUZZ = '20261130' } = process.env
if (DOTDO_FUZZ !== 'random') fc.configureGlobal({ seed: Number(DOTDO_FUZZ) })

export * from '../node_modules/fast-check/lib/fast-check.js'
/** The library itself. */
export default fc
