/** What Lua is to answer, in every host. */
import type { ExpectStatic } from 'vitest'
import { compileLua, LuaSyntaxError } from './compile.ts'
import { installLibraries } from './library/install.ts'
import { Machine, showPlain } from './machine.ts'
import { LuaTable } from './table.ts'
import { all, LuaError, type LuaValue } from './value.ts'

const machine = new Machine()
const reset = installLibraries(machine)

function show(value: LuaValue): string {
  if (!(value instanceof LuaTable)) return showPlain(value)
  return `{${[...value.entries()].map(([key, item]) => `${showPlain(key)}=${show(item)}`).join(' ')}}`
}

/** Run a script. @returns its results, or its error */
function run(code: string): string {
  machine.begin()
  reset()
  try {
    return all(compileLua(machine, code, { name: 'user_script', source: '@user_script' }).call([]))
      .map(show)
      .join(' ')
  } catch (error) {
    if (error instanceof LuaError) return `error: ${showPlain(error.value)}`
    if (error instanceof LuaSyntaxError) return `syntax: ${error.line}: ${error.message}`
    throw error
  }
}

const cases: [title: string, code: string, result: string][] = [
  ['arithmetic', 'return 7 % 3, -7 % 3, 7 % -3, 2 ^ 10, 7 / 2, -2 ^ 2', '1 2 -2 1024 3.5 -4'],
  [
    'numbers as text',
    "return 1e15, 1e14, 0.1, 1/3, 2^53, 1e100, -0, 3.0, '10' + 1",
    '1e+15 1e+14 0.1 0.33333333333333 9.007199254741e+15 1e+100 -0 3 11',
  ],
  ['and, or, not', 'return nil and 1, false or 2, not nil, 0 and 3', 'nil 2 true 3'],
  ['concatenation is right associative', "return 1 .. 2 .. 'x' == '12x'", 'true'],
  ['comparison', "return 1 < 2, 'a' < 'b', 'Z' < 'a', 'a' <= 'a', 1 == '1'", 'true true true true false'],
  ['closures share their variables', counterScript(), '1 2 1 3'],
  [
    'each round has its own variable',
    'local f = {} for i = 1, 2 do f[i] = function() return i end end return f[1](), f[2]()',
    '1 2',
  ],
  ['varargs', "local function f(...) return select('#', ...), ... end return f(1, nil, nil)", '3 1 nil nil'],
  ['results are cut in the middle', 'local function f() return 1, 2 end return f(), f()', '1 1 2'],
  [
    'parentheses cut results',
    'local function f() return 1, 2 end local t = {(f())} return #t, (f()), (f)(), ((f()))',
    '1 1 1 1',
  ],
  ['calls of calls are no parentheses', 'local function f(...) return ... end return f(f(1, 2)), f(f(1, 2))', '1 1 2'],
  ['multiple assignment', 'local a, b = 1, 2 a, b = b, a return a, b', '2 1'],
  ['assignment looks at all places first', 'local t, i = {1, 2}, 1 i, t[i] = i + 1, 20 return i, t[1], t[2]', '2 20 2'],
  ['repeat sees its locals', 'local i = 0 repeat local done = i >= 3 i = i + 1 until done return i', '4'],
  ['numeric for', 'local s = 0 for i = 10, 1, -3 do s = s + i end return s', '22'],
  ['break leaves one loop', 'local n = 0 for i = 1, 3 do while true do n = n + 1 break end end return n', '3'],
  ['methods', 'local t = {n = 1} function t:up(by) self.n = self.n + by return self.n end return t:up(2)', '3'],
  ['recursive local functions', 'local function f(n) return n == 0 and 0 or 1 + f(n - 1) end return f(100)', '100'],
  ['length', "return #'abc', #{1, 2, 3}, #{1, nil, 3}, #{n = 1}", '3 3 3 0'],
  ['tables grow into their array', 'local t = {} t[2] = 2 t[3] = 3 t[1] = 1 return #t', '3'],
  ['tables may be cleared while they are walked', clearScript(), '0 nil'],
  ['next goes by array, then insertion', 'return {1, 2, z = 3, a = 4}', '{1=1 2=2 z=3 a=4}'],
  ['__index and __newindex', indexScript(), 'x! 5 nil'],
  ['__call, __unm, __len of strings', 'return setmetatable({}, {__call = function(_, a) return a end})(7)', '7'],
  ['__eq, __lt, __le, __concat', operatorScript(), 'true true true joined'],
  ['pcall gives values as they are', "return pcall(error, {1}) , select(2, pcall(error, 'x', 0))", 'false x'],
  ['pcall gives the text of error tables', "return pcall(error, {err = 'E x'})", 'false E x'],
  ['error positions', "local function f() error('deep', 2) end\nf()", 'error: user_script:2: deep'],
  ['xpcall', "return xpcall(function() error('x', 0) end, function(e) return e .. '!' end)", 'false x!'],
  [
    'string.format',
    "return ('%5.1f|%-4d|%04d|%x|%s|%q|%g|%e'):format(3.14159, 7, 42, 255, 'a', 'b\"', 0.1, 12345)",
    '  3.1|7   |0042|ff|a|"b\\""|0.1|1.234500e+04',
  ],
  [
    'gsub',
    "return ('hello world'):gsub('o', '0'), ('abc'):gsub('%w', '%0%0', 2), ('abc'):gsub('', '-')",
    'hell0 w0rld aabbc -a-b-c- 4',
  ],
  [
    'gsub with functions and tables',
    "return (('$a $b'):gsub('%$(%w+)', {a = 1})), (('abc'):gsub('.', function(c) return c == 'b' and 'X' end))",
    '1 $b aXc',
  ],
  ['gmatch', "local r = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do r[k] = v end return r", '{a=1 b=2}'],
  [
    'patterns',
    "return ('x[[y]]'):match('%[%[(.-)%]%]'), ('2024-01-02'):match('(%d+)-(%d+)'), ('THE (q) f'):find('%((%a)%)')",
    'y 2024 5 7 q',
  ],
  ['positions and balance', "return ('abc'):match('()b()'), ('f(a(b))c'):match('%b()')", '2 (a(b))'],
  ['binary strings', "return #'\\0\\255', string.char(0, 255) == '\\000\\255', ('\\0a'):byte(1, 2)", '2 true 0 97'],
  [
    'table functions',
    "local t = {3, 1, 2} table.sort(t) table.insert(t, 1, 0) table.insert(t, 4)\nreturn table.concat(t, ','), " +
      'table.remove(t, 2), #t',
    '0,1,2,3,4 1 4',
  ],
  [
    'sort by an order',
    "local t = {'b', 'c', 'a'} table.sort(t, function(a, b) return a > b end) return t",
    '{1=c 2=b 3=a}',
  ],
  ['unpack and select', 'return select(-1, unpack({1, 2, 3})), unpack({1, 2}, 2, 3)', '3 2 nil'],
  [
    'tonumber',
    "return tonumber('0x10'), tonumber(' 5 '), tonumber('5x'), tonumber('zz', 36), tonumber('1e2')",
    '16 5 nil 1295 100',
  ],
  [
    'loadstring',
    "return loadstring('return 1 + 1')(), loadstring('x x')",
    `2 nil [string "x x"]:1: '=' expected near 'x'`,
  ],
  [
    'bit',
    'return bit.band(0xff, 0x0f), bit.lshift(1, 31), bit.rol(0x12345678, 12), bit.tohex(-1, 4)',
    '15 -2147483648 1164411171 ffff',
  ],
  ['struct', "return struct.unpack('>I2i4', struct.pack('>I2i4', 258, -2)), struct.size('!4bi4')", '258 8'],
  [
    'cjson',
    'return cjson.encode({1, \'a/b\', {x = true}}), cjson.decode(\'{"a":[1,{"b":null}]}\').a[1]',
    '[1,"a\\/b",{"x":true}] 1',
  ],
  [
    'cmsgpack',
    "return cmsgpack.unpack(cmsgpack.pack({1, {a = 'b'}, -5, 1.5, false}))[2].a, #cmsgpack.pack(2 ^ 40)",
    'b 9',
  ],
  ['math', 'return math.floor(-1.5), math.max(1, 3, 2), math.fmod(-7, 3), math.modf(-3.5)', '-2 3 -1 -3 -0.5'],
  [
    'random numbers of a seed',
    'math.randomseed(5) return math.random(100), math.random(100), math.random(100)',
    '53 28 79',
  ],
  ['too much recursion', 'local function f() return 1 + f() end return f()', 'error: user_script:1: stack overflow'],
  ['caught recursion', 'local function f() return 1 + f() end return (pcall(f))', 'false'],
  ['too long strings', "local s = 'x' while true do s = s .. s end", 'error: not enough memory'],
  ['string.rep is bounded', "return pcall(string.rep, 'x', 1e12)", 'false not enough memory'],
  [
    'too large tables',
    'local t = {} for i = 1, 2 do for j = 1, 1e9 do t[#t + 1] = j end end',
    'error: not enough memory',
  ],
  ['coroutines are refused', 'coroutine.create()', 'error: user_script:1: coroutines are not supported by this server'],
]

function counterScript(): string {
  return `
    local function new() local n = 0 return function() n = n + 1 return n end end
    local a, b = new(), new()
    return a(), a(), b(), a()`
}

function clearScript(): string {
  return `
    local t = {1, 2, 3, a = 1, b = 2}
    for k in pairs(t) do t[k] = nil end
    local n = 0
    for _ in pairs(t) do n = n + 1 end
    return n, next(t)`
}

function indexScript(): string {
  return `
    local log = {}
    local t = setmetatable({}, {__index = function(_, k) return k .. '!' end, __newindex = log})
    t.y = 5
    return t.x, log.y, rawget(t, 'y')`
}

function operatorScript(): string {
  return `
    local m = {}
    m.__eq = function() return true end
    m.__lt, m.__le, m.__concat = m.__eq, m.__eq, function() return 'joined' end
    local a, b = setmetatable({}, m), setmetatable({}, m)
    return a == b, a < b, a >= b, a .. 'x'`
}

const churn = "local t = {} for i = 1, 5000 do t['k' .. i] = i if i > 10 then t['k' .. (i - 10)] = nil end end return t"

/** The cases: each is a name and what checks it. */
export const languageCases: readonly { name: string; run(expect: ExpectStatic): void }[] = [
  ...cases.map(([name, code, result]) => ({ name, run: (expect: ExpectStatic) => expect(run(code)).toBe(result) })),
  {
    name: 'a table out of thousands of keys that come and go keeps its order and its size',
    run(expect) {
      const left = Array.from({ length: 10 }, (_, i) => `k${4991 + i}=${4991 + i}`)
      expect(run(churn)).toBe(`{${left.join(' ')}}`)
    },
  },
]
