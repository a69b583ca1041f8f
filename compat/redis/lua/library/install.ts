/** Gives a machine the libraries that scripts of Redis have. */
import { LUA_STEPS_MAX } from '@dotdo/core/limits'
import type { Machine } from '../machine.ts'
import { library, type Native } from './arguments.ts'
import { installBase } from './base.ts'
import { bitLibrary } from './bit.ts'
import { cjsonLibrary } from './cjson.ts'
import { defaultSettings } from './cjson-encode.ts'
import { cmsgpackLibrary } from './cmsgpack.ts'
import { mathLibrary } from './math.ts'
import { installString } from './string.ts'
import { structLibrary } from './struct.ts'
import { tableLibrary } from './table.ts'

/** Steps that count as a second of the processor. */
const STEPS_A_SECOND = 20_000_000

const noCoroutines: Native = (args) => {
  throw args.machine.fail('coroutines are not supported by this server')
}

/** Give a machine all libraries.
 *  @returns what makes their state the first one again, before each script */
export function installLibraries(machine: Machine): () => void {
  const { globals } = machine
  const settings = defaultSettings()
  const math = mathLibrary(machine)
  installBase(machine)
  installString(machine)
  globals.set('table', tableLibrary(machine))
  globals.set('math', math.table)
  globals.set('bit', bitLibrary(machine))
  globals.set('cjson', cjsonLibrary(machine, settings))
  globals.set('cmsgpack', cmsgpackLibrary(machine))
  globals.set('struct', structLibrary(machine))
  // No clock: what a script can measure is its own work.
  const clock: Native = () => (LUA_STEPS_MAX - machine.stepsLeft) / STEPS_A_SECOND
  globals.set('os', library(machine, { clock }))
  const coroutines = ['create', 'resume', 'running', 'status', 'wrap', 'yield']
  globals.set('coroutine', library(machine, Object.fromEntries(coroutines.map((name) => [name, noCoroutines]))))
  return () => {
    math.restart()
    Object.assign(settings, defaultSettings())
  }
}
