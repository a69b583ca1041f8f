import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../core/host/node/testing.ts'
import { runDotdo, type ServeProcess, startServe } from '../testing.ts'
import { findRemote } from './fs-client.ts'
import { checkLocalName, copyFiles } from './fs-copy.ts'
import { type MountHost, mount, mountCommand, mountHelp } from './fs-mount.ts'

let folder: ReturnType<typeof temporaryFolder>
let server: ServeProcess

beforeAll(async () => {
  folder = temporaryFolder()
  const args = ['--redis', '0', '--http', '0', '--data', join(folder.path, 'data')]
  server = await startServe({ args, readyFile: join(folder.path, 'ready.json'), env: { DOTDO_PASSWORD: 'sesame' } })
})

afterAll(async () => {
  await server.stop()
  folder.remove()
})

function fs(...args: string[]) {
  const env = { DOTDO_URL: `http://127.0.0.1:${server.port('http')}`, DOTDO_PASSWORD: 'sesame' }
  return runDotdo(['fs', ...args], env)
}

const done = (stdout: string) => ({ status: 0, stdout, stderr: '' })
const local = (...names: string[]) => join(folder.path, ...names)

describe('dotdo fs', () => {
  // A dozen processes, one after the other.
  it('copies folders there and back, lists, shows, moves and removes', { timeout: 90_000 }, () => {
    mkdirSync(local('site', 'css'), { recursive: true })
    writeFileSync(local('site', 'a b#%.html'), '<p>')
    writeFileSync(local('site', 'css', 'large'), Buffer.alloc(3_000_000, 'x'))
    utimesSync(local('site', 'a b#%.html'), 1e9, 1e9)
    const copied = fs('cp', '-r', '--json', local('site'), 'web:/')
    expect(copied).toMatchObject({ status: 0, stderr: '' })
    expect(JSON.parse(copied.stdout)).toEqual({ files: 2, directories: 2, bytes: 3_000_003, skipped: [] })
    expect(fs('ls', 'web:/site')).toEqual(done('a b#%.html\ncss/\n'))
    expect(fs('ls', '-l', 'web:/site').stdout).toContain('0644  3  2001-09-09T01:46:40.000Z  a b#%.html')
    expect(fs('cat', 'web:/site/a b#%.html')).toEqual(done('<p>'))
    expect(fs('cp', '-r', 'web:/site', local('back'))).toMatchObject({ status: 0 })
    expect(readFileSync(local('back', 'css', 'large'), 'utf8')).toBe('x'.repeat(3_000_000))
    expect(statSync(local('back', 'a b#%.html')).mtimeMs).toBe(1e12)
    expect(readdirSync(local('back'))).toEqual(['a b#%.html', 'css'])
    expect(fs('mv', 'web:/site/css', 'web:/css')).toEqual(done(''))
    expect(fs('cp', '-r', 'web:/css', 'web:/site')).toEqual(done('copied on the server\n'))
    expect(fs('ls', 'web:/site/css')).toEqual(done('large\n'))
    expect(fs('mv', '--no-clobber', 'web:/css/large', 'web:/site/css')).toMatchObject({ status: 1, stdout: '' })
    expect(fs('rm', '-r', 'web:/site', 'web:/css')).toEqual(done(''))
    expect(fs('ls', '--json', 'web:/')).toEqual(done('[]\n'))
  })

  it('makes directories, and tells all about them', () => {
    expect(fs('mkdir', 'made:/a/b')).toMatchObject({ status: 1, stdout: '' })
    expect(fs('mkdir', '-p', 'made:/a/b')).toEqual(done(''))
    expect(fs('mkdir', '-p', 'made:/a/b')).toEqual(done(''))
    writeFileSync(local('one'), 'x')
    expect(fs('cp', local('one'), 'made:/a/b')).toEqual(done('1 file, 0 directories, 1 byte\n'))
    expect(fs('mkdir', '-p', 'made:/a/b/one/c').stderr).toContain('made:/a/b/one is there, and no directory')
    expect(fs('mkdir', 'made:/a/b').status).toBe(1)
    expect(JSON.parse(fs('stat', '--json', 'made:/a').stdout)).toMatchObject({
      path: '/a',
      type: 'directory',
      nlink: 3,
    })
  })

  it('asks for each directory of a tree once, and for those above once', async () => {
    const asked: string[] = []
    // In front of the server, counting.
    const front = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      const { method, url: path, headers } = request
      request.pipe(
        send({ host: '127.0.0.1', port: server.port('http'), method, path, headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 500, answer.headers)
          answer.pipe(response)
        }),
      )
    })
    await new Promise<void>((done) => front.listen(0, '127.0.0.1', done))
    try {
      mkdirSync(local('tree', 'a', 'b'), { recursive: true })
      const url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`
      await copyFiles(local('tree'), 'deep:/x/y', { server: { url, password: 'sesame' }, recursive: true })
      expect(asked.filter((one) => one.startsWith('MKCOL'))).toEqual([
        'MKCOL /fs/deep/x/y',
        'MKCOL /fs/deep/x',
        'MKCOL /fs/deep/x/y',
        'MKCOL /fs/deep/x/y/a',
        'MKCOL /fs/deep/x/y/a/b',
      ])
    } finally {
      await new Promise((done) => front.close(done))
    }
  })

  it('leaves out what is no file, and says so', () => {
    mkdirSync(local('odd'))
    symlinkSync('nowhere', local('odd', 'dead'))
    const { status, stderr } = fs('cp', '-r', local('odd'), 'web:/odd')
    expect([status, stderr]).toEqual([1, `left out, neither files nor directories: ${local('odd', 'dead')}\n`])
  })

  it.each([
    [['cat', 'web:/none'], 1, 'nothing is at web:/none'],
    [['ls', 'none:/'], 1, 'nothing is at none:/'],
    [['ls', 'here'], 2, 'here is no file on a server'],
    [['cp', 'here', 'there'], 2, 'neither here nor there is on a server'],
    [['mv', 'a:/x', 'b:/x'], 1, 'from one filesystem to another nothing moves'],
    [['rm', 'web:/'], 2, 'web:/ is a directory: remove it with -r'],
    [['rm', '-r', 'web:/'], 1, 'the root stays'],
    [['cp', tmp(), 'web:/'], 2, 'is a directory: copy it with -r'],
  ])('refuses %j', (args, code, said) => {
    fs('mkdir', '-p', 'web:/')
    const { status, stdout, stderr } = fs(...args)
    expect([status, stdout, stderr]).toEqual([code, '', expect.stringContaining(said)])
    expect(stderr.split('\n')).toHaveLength(2)
  })

  function tmp(): string {
    return import.meta.dirname
  }
})

it('takes no name from a server that leads out of the folder', () => {
  for (const name of ['../up', 'a/b', '/abs', '..', '.', '']) expect(() => checkLocalName(name)).toThrow('no name')
  expect(checkLocalName('..a b#')).toBe('..a b#')
})

it('tells files of a server from those of this machine', () => {
  expect(findRemote('a:/b//c/../d/')).toEqual({ database: 'a', path: '/b/d' })
  expect(findRemote('a:')).toEqual({ database: 'a', path: '/' })
  for (const text of ['./a:b', '/a:b', 'A:\\b', 'b', '']) expect(findRemote(text)).toBeUndefined()
})

describe('dotdo fs mount', () => {
  const options = { url: new URL('http://127.0.0.1:6480/fs/web/'), folder: '/mnt/web' }
  const hostOf = (platform: string, isRoot: boolean, there: string[] = []): MountHost => {
    return { platform, isRoot, has: (path) => there.includes(path) }
  }

  it('takes the client that the system has', () => {
    const both = ['/sbin/mount.davfs', '/dev/fuse']
    expect(mountCommand(options, hostOf('linux', true, both))).toEqual([
      'mount',
      '-t',
      'davfs',
      'http://127.0.0.1:6480/fs/web/',
      '/mnt/web',
    ])
    expect(mountCommand(options, hostOf('linux', false, both))).toBeUndefined()
    expect(mountCommand(options, hostOf('linux', true, ['/sbin/mount.davfs']))).toBeUndefined()
    expect(mountCommand(options, hostOf('darwin', false))?.[0]).toBe('mount_webdav')
    expect(mountCommand(options, hostOf('win32', false))).toBeUndefined()
  })

  it('says how to mount where there is none, and fails', async () => {
    const host = hostOf('linux', false)
    await expect(mount(options, host)).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('davfs2'),
    })
    expect(mountHelp(options, hostOf('win32', false))).toContain('net use * http://127.0.0.1:6480/fs/web/')
  })
})
