/** Runs the scripts of EVAL in a shard. Each is compiled once a thread. */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { REDIS_SCRIPTS_COMPILED_MAX } from '@dotdo/core/limits'
import { ColdRows } from '@dotdo/core/shard'
import { findKey } from '../engine/keys.ts'
import { compileLua, LuaSyntaxError } from '../lua/compile.ts'
import { LuaTable } from '../lua/table.ts'
import type { LuaFunction } from '../lua/value.ts'
import { keys as keysTable } from '../tables.ts'
import type { Value } from '../value.ts'
import { redisTable } from './api.ts'
import { gatherCold, type Run, ScriptRuntime } from './runtime.ts'
import { readScriptShebang, type ScriptFlag } from './shebang.ts'

/** A script, compiled. */
export interface Script {
  readonly flags: readonly ScriptFlag[] | undefined
  readonly main: LuaFunction
}

/** What a script is called with. */
export interface Call {
  readonly keys: readonly Bin[]
  readonly args: readonly Bin[]
}

/** The message of a command with `_ro` for what may write. */
export const WRITES_REFUSED = 'ERR Can not execute a script with write flag using *_ro command.'

/** Compiles and runs scripts. */
export class Scripts {
  private readonly runtime = new ScriptRuntime()
  private readonly compiled = new Map<Bin, Script>()

  constructor() {
    const { globals } = this.runtime.machine
    globals.set('redis', redisTable(this.runtime))
  }

  /** Compile a script, or find it compiled.
   *  @throws invalid in Redis' words */
  compile(sha: Bin, body: Bin): Script {
    const known = this.compiled.get(sha)
    if (known !== undefined) return known
    const { flags, code } = readScriptShebang(body)
    try {
      const main = compileLua(this.runtime.machine, code, { name: 'user_script', source: '@user_script' })
      const script = { flags, main }
      if (this.compiled.size >= REDIS_SCRIPTS_COMPILED_MAX) this.compiled.clear()
      this.compiled.set(sha, script)
      return script
    } catch (error) {
      if (!(error instanceof LuaSyntaxError)) throw error
      const { line, message } = error
      throw new Failure('invalid', `ERR Error compiling script (new function): user_script:${line}: ${message}`)
    }
  }

  /** Run a script. */
  run(script: Script, run: Run, { keys, args }: Call): Value {
    const { globals } = this.runtime.machine
    globals.set('KEYS', LuaTable.of(keys))
    globals.set('ARGV', LuaTable.of(args))
    return runWhole(this.runtime, run, keys, () => script.main.call([]))
  }
}

/** Run to the reply; when a cold row is needed, say which of the keys are cold, too. */
export function runWhole(
  runtime: ScriptRuntime,
  run: Run,
  keys: readonly Bin[],
  start: Parameters<ScriptRuntime['execute']>[1],
): Value {
  const { tx } = run
  try {
    return runtime.execute(run, start)
  } catch (error) {
    if (!(error instanceof ColdRows)) throw error
    throw gatherCold(error, keys, (key) => {
      const row = findKey(tx, run.db, key)
      if (row !== undefined) tx.whole(keysTable, row)
    })
  }
}
