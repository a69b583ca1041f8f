import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import manifest from '../package.json' with { type: 'json' }
import { mainPath, runDotdo, type ServeProcess, startServe } from '../testing.ts'

const { version } = manifest

describe('dotdo', () => {
  it('explains itself in a screenful', () => {
    const { status, stdout, stderr } = runDotdo([])
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toContain('dotdo serve')
    expect(stdout).toContain('redis-cli set greeting hello')
    expect(stdout.split('\n').length).toBeLessThan(25)
  })

  it('tells its version', () => {
    expect(runDotdo(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' })
  })

  it.each([['help'], ['--help'], ['serve', '--help']])('helps with %s %s', (...args) => {
    const { status, stdout } = runDotdo(args)
    expect(status).toBe(0)
    expect(stdout).toContain('Usage: dotdo')
  })

  it('ends quietly when nobody reads on', () => {
    // `true` is gone before the first byte comes.
    const shell = `"$0" "$1" serve --help | true; echo "\${PIPESTATUS[0]}"`
    const { stdout, stderr } = spawnSync('bash', ['-c', shell, process.execPath, mainPath], { encoding: 'utf8' })
    expect([stdout, stderr]).toEqual(['141\n', ''])
  })

  it('names the variable and the default of every option', () => {
    const { stdout } = runDotdo(['serve', '--help'])
    const shown = stdout.replaceAll(/\s+/g, ' ')
    expect(shown).toContain('(env DOTDO_REDIS_PORT, default 6379)')
    expect(shown).toContain('(env DOTDO_DURABILITY, default full)')
    expect(shown).toContain('(env DOTDO_CONFIG)')
  })

  it('refuses an unknown command in one line', () => {
    const { status, stdout, stderr } = runDotdo(['sevre'])
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toBe("dotdo: unknown command 'sevre' (Did you mean serve?); see --help\n")
  })
})

describe('dotdo status', () => {
  let folder: ReturnType<typeof temporaryFolder>
  let server: ServeProcess
  let url: string

  beforeAll(async () => {
    folder = temporaryFolder()
    const args = ['--redis', '0', '--http', '0', '--shards', '2', '--data', join(folder.path, 'data')]
    server = await startServe({ args, readyFile: join(folder.path, 'ready.json') })
    url = `http://127.0.0.1:${server.port('http')}`
  })

  afterAll(async () => {
    await server.stop()
    folder.remove()
  })

  it('shows health and databases', async () => {
    expect(runDotdo(['status', '--url', url]).stdout).toContain('No databases yet')
    await server.redis('SET a 1\r\n')
    const { status, stdout } = runDotdo(['status', '--url', url])
    expect(status).toBe(0)
    expect(stdout).toContain(`dotdo ${version} at ${url}: ok, up `)
    expect(stdout).toMatch(/\n {2}catalog {2}ok {2}\d+ ms\n/)
    expect(stdout).toMatch(/\n {2}default {3}2 {7}hash {6}1 {6}\d{4}-/)
  })

  it('shows the same as JSON', async () => {
    await server.redis('SET a 1\r\n')
    const { stdout } = runDotdo(['status', '--json'], { DOTDO_URL: url })
    expect(JSON.parse(stdout)).toMatchObject({
      health: { ok: true, version },
      databases: [{ name: 'default', shards: 2 }],
      next: null,
    })
  })

  it.each([
    ['http://127.0.0.1:2', 1, 'no dotdo answers at http://127.0.0.1:2: ECONNREFUSED'],
    ['ftp://127.0.0.1', 2, '--url: ftp://127.0.0.1 is not the URL of an HTTP server, such as http://127.0.0.1:6480'],
    ['here', 2, '--url: here is not the URL of an HTTP server, such as http://127.0.0.1:6480'],
  ])('refuses %s', (where, code, said) => {
    expect(runDotdo(['status', '--url', where])).toEqual({ status: code, stdout: '', stderr: `dotdo: ${said}\n` })
  })
})
