import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compileLua, LuaSyntaxError } from './compile.ts'
import { installLibraries } from './library/install.ts'
import { Machine } from './machine.ts'
import { LuaError } from './value.ts'

const words = (
  'and break do else elseif end false for function if in local nil not or repeat return then true until while ' +
  '+ - * / % ^ # == ~= <= >= < > = ( ) { } [ ] ; : , . .. ... a b t string f 1 2.5 0x1f "x" \'y\' [[z]] [=[w]=] ' +
  '--c\n pcall tostring ipairs pairs math table error cjson cmsgpack \n'
).split(' ')

const machine = new Machine()
installLibraries(machine)

/** Compile, and run what compiles for some steps: nothing may come but errors of Lua. */
function isOrderly(code: string): boolean {
  try {
    const main = compileLua(machine, code, { name: 'fuzz', source: '@fuzz' })
    machine.begin()
    machine.stepsLeft = 1_000
    main.call([])
    return true
  } catch (error) {
    if (error instanceof LuaSyntaxError || error instanceof LuaError) return true
    return /SCRIPT KILL/.test(String(error))
  }
}

test('random tokens end in an error of Lua, or run', () => {
  const soup = fc.array(fc.constantFrom(...words), { maxLength: 30 }).map((tokens) => tokens.join(' '))
  fc.assert(
    fc.property(soup, (code) => isOrderly(code)),
    { numRuns: 1_500 },
  )
})

test('random bytes end in an error of Lua, or run', () => {
  const bytes = fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 })
    .map((codes) => String.fromCharCode(...codes))
  fc.assert(
    fc.property(bytes, (code) => isOrderly(code)),
    { numRuns: 1_000 },
  )
})

const statement = fc.constantFrom(
  'local a = {1, 2, x = 3}',
  'for k, v in pairs({1, 2, x = 3}) do a = v end',
  'for i = 1, 3 do t[i] = i .. "" end',
  'if a then return a else a = f end',
  'local function f(...) return select("#", ...) end',
  'a, b = b, a',
  't.x.y = 1',
  'return f(a, b)',
  'pcall(error, a)',
  'while a do break end',
  'local b = string.rep("x", 3):gsub("x", "%0")',
  'return cmsgpack.unpack(cmsgpack.pack(a, t))',
  'return cjson.encode({t, 1})',
  'local a <const> = 1',
)

test('programs of random statements end in an error of Lua, or run', () => {
  const program = fc
    .array(statement, { maxLength: 12 })
    .map((lines) => `local a, b, t, f = 1, 2, {}, nil\n${lines.join('\n')}`)
  fc.assert(
    fc.property(program, (code) => isOrderly(code)),
    { numRuns: 500 },
  )
})

test('deep nesting is refused, or runs', () => {
  for (const [open, close] of [
    ['(', ')'],
    ['{', '}'],
    ['do ', ' end'],
    ['-', ''],
    ['not ', ''],
    ['f(', ')'],
    ['a..', ''],
    ['1+', ''],
    ['function() return ', ' end'],
    ['x[', ']'],
  ]) {
    for (const depth of [50, 1_000, 20_000]) {
      const text = `${open?.repeat(depth)}1${close?.repeat(depth)}`
      expect([open, depth, isOrderly(`return ${text}`), isOrderly(text)]).toEqual([open, depth, true, true])
    }
  }
})
