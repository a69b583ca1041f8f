/** isomorphic-git, unchanged, on a filesystem of ours; git itself reads what it has written. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import git from 'isomorphic-git'
import http from 'isomorphic-git/http/node'
import { expect, it } from 'vitest'
import { writeTar } from './archives.testing.ts'
import { placeForEach } from './place.testing.ts'

const place = placeForEach()
const author = { name: 'Ada', email: 'ada@example.org' }
const dir = '/repo'

/** Run git on a folder of node:fs. */
const run = (cwd: string, ...args: string[]) => {
  const env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null', HOME: cwd }
  return execFileSync('git', ['-c', 'safe.directory=*', ...args], { cwd, env, encoding: 'utf8', stdio: 'pipe' }).trim()
}

async function commitAll(message: string): Promise<string> {
  const { fs } = place
  for (const [path, , work, stage] of await git.statusMatrix({ fs, dir })) {
    if (work === 0) await git.remove({ fs, dir, filepath: path })
    else if (work !== stage) await git.add({ fs, dir, filepath: path })
  }
  return git.commit({ fs, dir, message, author })
}

it('init, add, commit, branch, checkout, merge, status and log', async () => {
  const { fs } = place
  await git.init({ fs, dir, defaultBranch: 'main' })
  await fs.write(`${dir}/README.md`, '# One\n')
  await fs.write(`${dir}/src/deep/a.ts`, 'export {}\n')
  await fs.write(`${dir}/run.sh`, '#!/bin/sh\n')
  await fs.promises.chmod(`${dir}/run.sh`, 0o755)
  await fs.promises.symlink('README.md', `${dir}/link`)
  expect(await git.statusMatrix({ fs, dir })).toEqual(
    ['README.md', 'link', 'run.sh', 'src/deep/a.ts'].map((path) => [path, 0, 2, 0]),
  )
  const first = await commitAll('first')

  await git.branch({ fs, dir, ref: 'topic', checkout: true })
  await fs.write(`${dir}/src/b.ts`, 'export const b = 1\n')
  await fs.promises.unlink(`${dir}/src/deep/a.ts`)
  const second = await commitAll('second')
  await git.checkout({ fs, dir, ref: 'main' })
  expect(await fs.glob('**', { cwd: `${dir}/src` })).toEqual(['deep', 'deep/a.ts'])
  await fs.write(`${dir}/README.md`, '# Two\n')
  expect((await git.statusMatrix({ fs, dir })).filter(([, head, work]) => head !== work)).toEqual([
    ['README.md', 1, 2, 1],
  ])
  const third = await commitAll('third')
  await git.merge({ fs, dir, theirs: 'topic', author })
  await git.checkout({ fs, dir, ref: 'main' })

  // Whoever opens the folder next finds the same.
  const again = await place.reopen()
  const log = await git.log({ fs: again, dir })
  expect(log.map(({ oid }) => oid).slice(1)).toEqual(expect.arrayContaining([first, second, third]))
  expect((await git.statusMatrix({ fs: again, dir })).every(([, head, work, stage]) => head + work + stage === 3)).toBe(
    true,
  )
  await writeTar(again.exportTar({ path: dir }), place.folder)
  expect(run(place.folder, 'fsck', '--full', '--strict')).toBe('')
  expect(run(place.folder, 'rev-parse', 'HEAD')).toBe(log[0]?.oid)
  expect(run(place.folder, 'ls-tree', '-r', '--format=%(objectmode) %(path)', 'HEAD').split('\n')).toEqual([
    '100644 README.md',
    '120000 link',
    '100755 run.sh',
    '100644 src/b.ts',
  ])
})

/** Serve the repositories below a folder with git's own CGI program. */
async function serve(root: string): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://127.0.0.1')
    const cgi = spawn('git', ['-c', 'safe.directory=*', 'http-backend'], {
      env: {
        ...process.env,
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: pathname,
        QUERY_STRING: searchParams.toString(),
        REQUEST_METHOD: request.method ?? 'GET',
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        REMOTE_USER: 'ada',
        ...(request.headers['git-protocol'] && { GIT_PROTOCOL: String(request.headers['git-protocol']) }),
      },
    })
    request.pipe(cgi.stdin)
    const out: Buffer[] = []
    cgi.stdout.on('data', (bytes) => out.push(bytes))
    cgi.on('close', () => {
      const all = Buffer.concat(out)
      const end = all.indexOf('\r\n\r\n')
      for (const line of all.subarray(0, end).toString().split('\r\n')) {
        const [name = '', value = ''] = line.split(/:\s*/, 2)
        if (name === 'Status') response.statusCode = Number.parseInt(value, 10)
        else response.setHeader(name, value)
      }
      response.end(all.subarray(end + 4))
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => void server.close() }
}

it('clones from git over HTTP, and pushes back', async () => {
  const { fs, folder } = place
  const origin = join(folder, 'origin.git')
  const work = join(folder, 'work')
  run(folder, 'init', '-q', '--bare', '-b', 'main', origin)
  run(origin, 'config', 'http.receivepack', 'true')
  run(folder, 'clone', '-q', origin, work)
  const content = Array.from({ length: 200 }, (_, i) => `line ${i}`).join('\n')
  for (let i = 0; i < 50; i++) {
    mkdirSync(join(work, `d${i % 7}`), { recursive: true })
    writeFileSync(join(work, `d${i % 7}/f${i}.txt`), `${content}${i}`)
  }
  run(work, 'add', '-A')
  run(work, '-c', 'user.name=Bob', '-c', 'user.email=b@example.org', 'commit', '-q', '-m', 'from git')
  run(work, 'push', '-q', 'origin', 'HEAD:main')
  const server = await serve(folder)
  try {
    const url = `${server.url}/origin.git`
    await git.clone({ fs, http, dir, url, singleBranch: true })
    expect(await fs.read(`${dir}/d3/f10.txt`, 'utf8')).toBe(`${content}10`)
    expect(await fs.glob('d*/*.txt', { cwd: dir })).toHaveLength(50)
    await fs.write(`${dir}/new.txt`, 'ours')
    const oid = await commitAll('from isomorphic-git')
    await git.push({ fs, http, dir, url, ref: 'main' })
    expect(run(origin, 'rev-parse', 'main')).toBe(oid)
    expect(run(origin, 'show', 'main:new.txt')).toBe('ours')
    expect(run(origin, 'fsck', '--full', '--strict')).toBe('')
  } finally {
    server.close()
  }
})
