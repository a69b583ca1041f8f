/** Holds the house rules over every source (STYLE.md, ARCHITECTURE.md section 3); each rule proves first that it fails
 *  on a source that breaks it, and passes one that does not. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkDependencyPage, declaredImports, readManifests } from './tidy/dependencies.ts'
import { ambient, layers, platformImports } from './tidy/layers.ts'
import { docComments, fileLength, functionLength, lineLength } from './tidy/shape.ts'
import { skips } from './tidy/skips.ts'
import { parse, type Rule, readSources, root } from './tidy/source.ts'

/** A source that breaks a rule, or keeps it. */
type Example = readonly [path: string, text: string]

interface Case {
  readonly name: string
  readonly rule: Rule
  readonly bad: readonly Example[]
  readonly good: readonly Example[]
}

const lines = (count: number) => 'f()\n'.repeat(count)
const manifests = readManifests()

const cases: readonly Case[] = [
  {
    name: 'files have at most 500 lines',
    rule: fileLength,
    bad: [['core/shard/a.ts', lines(501)]],
    good: [['core/shard/a.ts', lines(500)]],
  },
  {
    name: 'lines have at most 120 characters',
    rule: lineLength,
    bad: [['core/shard/a.ts', `// ${'x'.repeat(118)}`]],
    good: [['core/shard/a.ts', `// ${'x'.repeat(117)}`]],
  },
  {
    name: 'functions have at most 70 lines',
    rule: functionLength,
    bad: [
      ['core/shard/a.ts', `function f() {\n${lines(69)}}`],
      ['core/shard/a.ts', `const f = () => {\n${lines(69)}}`],
      ['core/shard/a.ts', `class A { f() {\n${lines(69)}} }`],
      ['core/shard/a.ts', `describe('a', () => {\n${lines(69)}})`],
      ['core/shard/a.test.ts', `it('a', () => {\n${lines(69)}})`],
    ],
    good: [
      ['core/shard/a.ts', `function f() {\n${lines(68)}}`],
      ['core/shard/a.test.ts', `describe('a', () => {\n${lines(400)}})`],
      ['core/shard/a.test.ts', `describe.each([1])('a', () => {\n${lines(400)}})`],
    ],
  },
  {
    name: 'every export has a doc comment',
    rule: docComments,
    bad: [
      ['core/shard/a.ts', 'export function f() {}'],
      ['core/shard/a.ts', 'export class A {}'],
      ['core/shard/a.ts', 'export interface A {}'],
      ['core/shard/a.ts', 'export type A = 1'],
      ['core/shard/a.ts', 'export const a = 1'],
      ['core/shard/a.ts', 'export default class {}'],
      ['core/shard/a.ts', '// Names one.\nexport const a = 1'],
      ['core/shard/a.ts', '/* Names one. */\nexport const a = 1'],
      ['core/shard/a.ts', '/** Names one. */\nconst b = 2\nexport const a = b'],
      ['core/shard/a.ts', '/** */\nexport const a = 1'],
      ['core/shard/a.ts', 'const a = 1\nexport { a }'],
      ['scripts/a.mjs', 'export const a = 1'],
    ],
    good: [
      ['core/shard/a.ts', '/** Names one. */\nexport const a = 1'],
      ['core/shard/a.ts', '/** Names one. */\n// biome-ignore lint/a/b: because\nexport const a = 1'],
      ['core/shard/a.ts', "export { a } from './b.ts'\nexport * from './c.ts'"],
      ['core/shard/a.ts', '/** Names one. */\nconst a = 1\nexport { a }'],
      [
        'core/shard/a.ts',
        '/** Does it. */\nexport function f(a: 1): 1\nexport function f(a: 2): 2\nexport function f() {}',
      ],
    ],
  },
  {
    name: 'layers import what stands below them',
    rule: layers,
    bad: [
      ['core/errors.ts', "import './shard/sql.ts'"],
      ['core/shard/a.ts', "import '../cdc/a.ts'"],
      ['core/shard/a.ts', "import type { A } from '@dotdo/core/cdc'"],
      ['core/shard/a.ts', "export * from '../host/node/index.ts'"],
      ['core/shard/a.ts', "const a = await import('../tiering/a.ts')"],
      ['core/shard/a.ts', "let a: import('../tiering/a.ts').A"],
      ['core/cdc/a.ts', "import '@dotdo/redis/session'"],
      ['core/host/node/a.ts', "import 'dotdo'"],
      ['core/shard/a.ts', "import './a.test.ts'"],
      ['core/other.ts', "import './errors.ts'"],
      ['compat/redis/engine/a.ts', "import '../value.ts'"],
      ['compat/redis/engine/a.ts', "import '../codec.ts'"],
      ['compat/redis/engine/a.ts', "import '@dotdo/core/host/node'"],
      ['compat/redis/codec.ts', "import './engine/a.ts'"],
      ['compat/redis/session.ts', "import '@dotdo/core/host/node'"],
      ['compat/redis/session.ts', "import './client.ts'"],
      ['compat/redis/commands/a.ts', "import '@dotdo/mongo/engine/a'"],
      ['compat/redis/client.ts', "import '@dotdo/mongo'"],
      ['compat/redis/client.ts', "import '../mongo/value.ts'"],
      ['compat/redis/server.ts', "import './clients/place.ts'"],
      ['fsx/a.ts', "import '@dotdo/gitx'"],
    ],
    good: [
      ['core/shard/a.ts', "import './b.ts'\nimport '../errors.ts'\nimport '@dotdo/core/bytes'"],
      ['core/host/node/a.ts', "import '@dotdo/core/shard'"],
      ['compat/redis/engine/a.ts', "import '@dotdo/core/shard'\nimport './b.ts'"],
      ['compat/redis/commands/a.ts', "import '../engine/a.ts'\nimport '../value.ts'"],
      ['compat/redis/client.ts', "import '@dotdo/core/host/node'\nimport './session.ts'"],
      ['compat/redis/clients/a.ts', "import '@dotdo/core/host/node'\nimport '../session.ts'"],
      ['gitx/a.ts', "import '@dotdo/fsx/program'"],
      ['dotdo/a.ts', "import '@dotdo/redis/session'\nimport '@dotdo/core/host/node'"],
      ['core/shard/a.test.ts', "import '@dotdo/core/host/node'"],
    ],
  },
  {
    name: 'only hosts import the platform',
    rule: platformImports,
    bad: [
      ['core/shard/a.ts', "import 'node:fs'"],
      ['core/shard/a.ts', "import 'fs'"],
      ['core/cdc/a.ts', "import 'cloudflare:workers'"],
      ['compat/redis/client.ts', "import { Duplex } from 'node:stream'"],
      ['fsx/a.ts', "import Database from 'better-sqlite3'"],
    ],
    good: [
      ['core/host/node/a.ts', "import 'node:fs'\nimport 'better-sqlite3'"],
      ['dotdo/a.ts', "import 'node:net'"],
      ['scripts/a.mjs', "import 'node:net'"],
      ['core/shard/a.test.ts', "import 'node:net'"],
    ],
  },
  {
    name: 'only hosts use what is ambient',
    rule: ambient,
    bad: [
      ['core/shard/a.ts', 'const a = Date.now()'],
      ['core/shard/a.ts', 'const a = new Date()'],
      ['core/shard/a.ts', 'const a = Date()'],
      ['core/shard/a.ts', 'const a = { now: Date.now }'],
      ['core/shard/a.ts', 'const a = Math.random()'],
      ['core/shard/a.ts', 'setTimeout(f, 1)'],
      ['core/shard/a.ts', 'globalThis.setImmediate(f)'],
      ['core/shard/a.ts', 'f({ crypto })'],
      ['core/shard/a.ts', 'f(crypto as never)'],
      ['core/shard/a.ts', "console.log('a')"],
      ['compat/redis/client.ts', 'const a = process.env.A'],
      ['core/shard/a.ts', 'const a = AbortSignal.timeout(1)'],
    ],
    good: [
      ['core/shard/a.ts', 'const a = new Date(5)'],
      ['core/shard/a.ts', 'const a = Math.max(1, 2)'],
      ['core/shard/a.ts', 'function f(process: number) { return process }'],
      ['core/shard/a.ts', 'class A { process() {}\n console = 1 }\nnew A().process()'],
      ['core/shard/a.ts', 'interface A { setTimeout(work: () => void): void\n crypto: typeof crypto }'],
      ['core/host/node/a.ts', 'setImmediate(f)'],
      ['core/shard/a.test.ts', 'Date.now()'],
    ],
  },
  {
    name: 'no test is left out without a reason',
    rule: skips,
    bad: [
      ['core/a.test.ts', "it.only('a', f)"],
      ['core/a.test.ts', "// For the time being.\ndescribe.only('a', f)"],
      ['core/a.test.ts', "it.skip('a', f)"],
      ['core/a.test.ts', "describe.skipIf(b)('a', f)"],
      ['core/a.test.ts', "it.each([1]).skip('a', f)"],
      ['core/a.test.ts', "it.todo('a')"],
      ['core/a.test.ts', "it('a', ({ skip }) => {})\nit('a', (context) => context.skip())"],
    ],
    good: [
      ['core/a.test.ts', "// redis-server 7 answers otherwise.\nit.skip('a', f)"],
      ['core/a.test.ts', "it('a', (context) => context.skip('no redis-server here'))"],
      ['core/a.ts', 'reader.skip()'],
    ],
  },
  {
    name: 'imports are declared in package.json',
    rule: declaredImports(manifests),
    bad: [
      ['core/a.ts', "import 'hono'"],
      ['core/a.ts', "import 'vitest'"],
      ['compat/redis/a.ts', "import 'pino/a'"],
      ['test/a.ts', "import '@no/such'"],
      ['compat/redis/a.ts', "import '#no-such'"],
    ],
    good: [
      ['core/a.ts', "import 'drizzle-orm/sqlite-core'\nimport '@dotdo/core/errors'"],
      ['core/a.test.ts', "import 'vitest'\nimport 'ioredis'"],
      ['compat/redis/a.ts', "import '#node-redis'"],
      ['dotdo/a.ts', "import 'hono/cors'\nimport '@dotdo/redis/session'\nimport 'node:fs'"],
    ],
  },
]

const find = (rule: Rule, [path, text]: Example) => rule(parse(path, text)).map(({ message }) => message)
const titled = (example: Example) => ({
  example,
  title: `${example[0]}: ${example[1].slice(0, 60).split('\n').join('; ')}`,
})
const sources = readSources()

describe.each(cases)('$name', ({ rule, bad, good }) => {
  it.each(bad.map(titled))('refuses $title', ({ example }) => {
    expect(find(rule, example)).not.toEqual([])
  })

  it.each(good.map(titled))('allows $title', ({ example }) => {
    expect(find(rule, example)).toEqual([])
  })

  it('holds everywhere', () => {
    const problems = sources.flatMap((source) => rule(source).map((one) => `${source.path}:${one.line} ${one.message}`))
    expect([...new Set(problems)]).toEqual([])
  })
})

describe('docs/dependencies.md', () => {
  const page = (row: string) => checkDependencyPage(row, new Map([['.', { dependencies: { a: '1.2.3' } }]]))

  it('is refused when a dependency is missing, stale, unexplained or gone', () => {
    expect(page('')).toEqual(['a is not in docs/dependencies.md'])
    expect(page('| `a` | 1.2.2 | what it is for |')).toEqual(['a is 1.2.3, docs/dependencies.md says 1.2.2'])
    expect(page('| `a` | 1.2.3 | |')).not.toEqual([])
    expect(page('| `a` | 1.2.3 | what it is for |\n| `b` | 1.0.0 | what it is for |')).toHaveLength(1)
    expect(
      checkDependencyPage('| `a` | ^1.2.3 | what it is for |', new Map([['.', { dependencies: { a: '^1.2.3' } }]])),
    ).toEqual(['a ^1.2.3 is not an exact version'])
  })

  it('is true to every package.json', () => {
    expect(page('| `a` | 1.2.3 | what it is for |')).toEqual([])
    expect(checkDependencyPage(readFileSync(join(root, 'docs/dependencies.md'), 'utf8'), manifests)).toEqual([])
  })
})

it('package-lock.json has every platform, so that npm ci works everywhere', () => {
  const run = spawnSync(process.execPath, [join(root, 'scripts/lock.mjs'), '--check'], { encoding: 'utf8' })
  expect(run.stderr).toBe('')
  const broken = join(mkdtempSync(join(tmpdir(), 'dotdo-lock-')), 'package-lock.json')
  const a = { version: '1.0.0', optionalDependencies: { 'a-darwin-arm64': '1.0.0' } }
  writeFileSync(broken, JSON.stringify({ packages: { 'node_modules/a': a } }))
  const lock = (...options: string[]) =>
    spawnSync(process.execPath, [join(root, 'scripts/lock.mjs'), broken, ...options])
  expect([lock('--check').status, lock().status, lock('--check').status]).toEqual([1, 0, 0])
})

it('reads the sources it judges', () => {
  expect(sources.map(({ path }) => path)).toEqual(expect.arrayContaining(['core/errors.ts', 'test/tidy/layers.ts']))
})
