/** WebDAV as others speak it: litmus, cadaver and rclone against a running server, where they are installed (.ci/run
 *  installs them), and what they wrote after a kill -9. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ServeProcess, startServe } from '../../dotdo/testing.ts'

const folder = mkdtempSync(join(tmpdir(), 'dotdo-webdav-'))
const password = 'sesame'
let server: ServeProcess

const start = () => {
  const args = ['--redis', '0', '--http', '0', '--data', join(folder, 'data')]
  return startServe({ args, readyFile: join(folder, 'ready.json'), env: { DOTDO_PASSWORD: password } })
}

beforeAll(async () => {
  server = await start()
})

afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

const has = (program: string) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
const url = (path: string) => `http://127.0.0.1:${server.port('http')}/fs/${path}`
const authorized = { Authorization: `Bearer ${password}` }

function run(program: string, args: readonly string[], input = '') {
  const env = { ...process.env, HOME: folder, LC_ALL: 'C.UTF-8' }
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: folder,
    env,
    input,
    encoding: 'utf8',
    timeout: 60_000,
  })
  return { status, output: stdout + stderr }
}

const make = (name: string) => fetch(url(`${name}/`), { method: 'MKCOL', headers: authorized })

/** Bytes that no two places have alike. */
function bytesOf(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32LE((i * 2_654_435_761) >>> 0, i)
  return bytes
}

// litmus is a Debian package; where it is missing there is nothing to run.
it.skipIf(!has('litmus'))('passes every test of litmus', async () => {
  expect((await make('litmus')).status).toBe(201)
  const { status, output } = run('litmus', ['-k', url('litmus/'), 'dotdo', password])
  const counts = [...output.matchAll(/of (\d+) tests run: (\d+) passed, (\d+) failed/g)]
  expect(
    counts.map(([, , , failed]) => failed),
    output,
  ).toEqual(['0', '0', '0', '0', '0'])
  expect(output).not.toContain('WARNING')
  expect(counts.reduce((sum, [, all]) => sum + Number(all), 0)).toBeGreaterThan(90)
  expect(status).toBe(0)
})

// cadaver is a Debian package; where it is missing there is nothing to run.
it.skipIf(!has('cadaver'))('serves cadaver', async () => {
  await make('cadaver')
  const bytes = bytesOf(3_000_000)
  writeFileSync(join(folder, 'up.bin'), bytes)
  writeFileSync(join(folder, '.netrc'), `machine 127.0.0.1 login dotdo password ${password}\n`, { mode: 0o600 })
  const lines = ['mkcol d', 'cd d', 'put up.bin', 'lock up.bin', 'copy up.bin copied', 'unlock up.bin']
  lines.push('move copied moved', 'get moved down.bin', 'propset moved color red', 'propget moved color', 'ls', 'quit')
  const { output } = run('cadaver', [url('cadaver/')], `${lines.join('\n')}\n`)
  expect(output).not.toContain('failed')
  expect(output).toContain('Value of color is: red')
  expect(output).toMatch(/moved +3000000/)
  expect(readFileSync(join(folder, 'down.bin')).equals(bytes)).toBe(true)
})

// rclone is a Debian package; where it is missing there is nothing to run.
it.skipIf(!has('rclone'))('serves rclone, and has what it wrote after a kill -9', async () => {
  const rclone = (...args: string[]) => run('rclone', ['--config', '/dev/null', ...args])
  const { output: hidden } = rclone('obscure', password)
  const at = (path: string) => `:webdav,url='${url('rclone/')}',user=dotdo,pass='${hidden.trim()}':${path}`
  const source = join(folder, 'source')
  mkdirSync(join(source, 'sub dir', 'é#%?'), { recursive: true })
  for (let i = 0; i < 40; i++) writeFileSync(join(source, 'sub dir', `file ${i}`), bytesOf(i * 1_000))
  writeFileSync(join(source, 'sub dir', 'é#%?', 'large'), bytesOf(5_000_000))
  expect(rclone('sync', source, at('copy'))).toEqual({ status: 0, output: '' })
  await server.stop('SIGKILL')
  server = await start()
  const checked = rclone('check', '--download', source, at('copy'))
  expect(checked.output).toContain('0 differences found')
  expect(checked.output).toContain('41 matching files')
  rmSync(join(source, 'sub dir', 'file 7'))
  expect(rclone('sync', source, at('copy')).status).toBe(0)
  expect(rclone('lsf', '-R', at('copy')).output.split('\n')).not.toContain('sub dir/file 7')
  expect(rclone('moveto', at('copy/sub dir'), at('elsewhere')).status).toBe(0)
  expect(rclone('size', at('elsewhere')).output).toContain('Total objects: 40')
  expect(rclone('purge', at('elsewhere')).status).toBe(0)
})

it('wants the password', async () => {
  const refused = await fetch(url('litmus/'), { method: 'PROPFIND' })
  expect([refused.status, refused.headers.get('WWW-Authenticate')]).toEqual([401, expect.stringContaining('Basic')])
})

it('takes nothing of a file whose sender goes away', async () => {
  await make('broken')
  const { connect } = await import('node:net')
  const socket = connect(server.port('http'), '127.0.0.1')
  const basic = Buffer.from(`dotdo:${password}`).toString('base64')
  const head = [
    `PUT /fs/broken/x HTTP/1.1`,
    'Host: 127.0.0.1',
    `Authorization: Basic ${basic}`,
    'Content-Length: 9000000',
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  socket.write(bytesOf(4_000_000), () => socket.destroy())
  await new Promise((resolve) => socket.on('close', resolve))
  const used = async () => {
    const body = '<propfind xmlns="DAV:"><prop><quota-used-bytes/></prop></propfind>'
    const told = await fetch(url('broken/'), { method: 'PROPFIND', body, headers: { ...authorized, Depth: '0' } })
    return /<D:quota-used-bytes>(\d+)/.exec(await told.text())?.[1]
  }
  await expect.poll(used, { timeout: 10_000 }).toBe('0')
  const listed = (await (await fetch(url('broken/'), { headers: authorized })).json()) as { entries: unknown[] }
  expect(listed.entries).toEqual([])
})
