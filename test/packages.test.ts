import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readManifests } from './tidy/dependencies.ts'
import { root } from './tidy/source.ts'

interface Export {
  readonly source: string
  readonly types: string
  readonly default: string
}

/** Every export of our packages: the name users import, with the files it stands for. */
const exported = [...readManifests().keys()].flatMap((folder) => {
  const { name, exports = {} } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as {
    name: string
    exports?: Record<string, Export>
  }
  return Object.entries(exports).map(([path, files]) => ({ name: name + path.slice(1), folder, path, files }))
})

/** Exports that a bare Node can load; the Workers host, and what stands on it, needs workerd. */
const forNode = exported.filter(({ name, folder, files }) => {
  return !/\/(host\/workers|durable-object)$/.test(name) && existsSync(join(root, folder, files.source))
})

describe.each(exported)('$name', ({ files }) => {
  it('names its declarations after its source', () => {
    expect(files.types).toBe(`./dist/types/${files.source.slice(2).replace(/\.ts$/, '.d.ts')}`)
  })
})

it.each(forNode)('a bare Node gets built JavaScript for $name', ({ name, folder, files }) => {
  const script = `console.log(import.meta.resolve('${name}')); await import('${name}')`
  const url = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: root, encoding: 'utf8' })
  expect(url.trim()).toBe(`file://${join(root, folder, files.default)}`)
})

it('npm links commands when it installs, before anything is built: they are committed files', () => {
  const commands = [...readManifests().keys()].flatMap((folder) => {
    const { bin = {} } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as {
      bin?: Record<string, string>
    }
    return Object.values(bin).map((file) => join(folder, file))
  })
  expect(commands).toContain(join('dotdo', 'bin.mjs'))
  const tracked = execFileSync('git', ['ls-files', '--', ...commands], { cwd: root, encoding: 'utf8' }).trim()
  expect(tracked.split('\n').sort()).toEqual(commands.sort())
})
