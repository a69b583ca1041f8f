/** just-bash, unchanged, on a filesystem of ours; GNU's shell does the same in a folder, and both must say the same. */
import { spawnSync } from 'node:child_process'
import nodeFs from 'node:fs'
import { join, relative } from 'node:path'
import { bashFs } from '@dotdo/fsx/just-bash'
import { Bash, type IFileSystem } from 'just-bash'
import { expect, it } from 'vitest'
import { placeForEach } from './place.testing.ts'

const place = placeForEach()

/** Scripts whose output does not depend on where they run. */
const scripts = {
  'redirections and pipes': [
    'mkdir -p a/b/c; echo one > a/f; printf "two\\nthree\\n" >> a/f; cat a/f | sort -r | head -2',
    'cat < a/f > a/b/copy; wc -l a/b/copy | tr -s " "; cat <<EOF | tee a/b/here | wc -c | tr -d " "\nhello\nEOF',
    'cat a/b/here; echo err >&2 2> a/err; ls -1 a',
  ],
  find: [
    'find a -type f | sort; find a -name "*.txt" -o -type d | sort; find . -path "./a/*" -name f',
    'find a -type f -name here -delete; find a -type f | wc -l | tr -d " "',
  ],
  'grep and sed': [
    'grep -rn t a | sort; grep -rl three a | sort; grep -c . a/f; grep -rq nothing a || echo none',
    "sed -i 's/two/2/' a/f; cat a/f; sed -n '2,$p' a/f; sed -i '/one/d' a/f; cat a/f",
  ],
  'names, links and permissions': [
    'mv a/b/copy a/moved; cp -r a d; ln -s moved a/link; cat a/link; readlink a/link; ln a/moved a/hard',
    'chmod 600 a/moved; stat -c "%a %s" a/hard; test -L a/link && echo link; [ -d d/b/c ] && echo directory',
    'rm a/hard a/link; rm -r d; rmdir a/b/c; ls -1 . a; rmdir a 2> /dev/null || echo not empty',
    'rm none 2> /dev/null || echo no',
  ],
  'variables, loops and globs': [
    'for i in 1 2 3; do echo $i > n$i.txt; done; for f in *.txt; do echo "$f: $(cat $f)"; done; echo n?.txt',
    'cat n*.txt | awk "{ sum += \\$1 } END { print sum }"; rm n*.txt; ls',
    'while read line; do echo "[$line]"; done < a/f',
  ],
}

const all = Object.entries(scripts).flatMap(([name, lines]) => lines.map((line) => [name, line] as const))

it('says what GNU bash says, and leaves the same files', async () => {
  const { folder } = place
  await place.fs.mkdir('/work')
  // That it is what just-bash takes is checked by tsc.
  const shellOf = (fs: IFileSystem) => new Bash({ fs, cwd: '/work' })
  let bash = shellOf(bashFs(place.fs))
  for (const [name, script] of all) {
    const ours = await bash.exec(script)
    const { stdout, status } = spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' })
    const told = { name, script, stdout: ours.stdout, status: ours.exitCode }
    expect(told).toEqual({ name, script, stdout, status })
    // What a script wrote is stored when it ends.
    bash = shellOf(bashFs(await place.reopen()))
  }
  const filesOf = (fs: Pick<typeof nodeFs, 'readdirSync'>, base: string) => {
    const entries = fs.readdirSync(base, { recursive: true, withFileTypes: true })
    return entries.flatMap((one) => (one.isFile() ? [relative(base, join(one.parentPath, one.name))] : [])).sort()
  }
  const paths = filesOf(nodeFs, folder)
  expect(filesOf(place.fs, '/work')).toEqual(paths)
  expect(paths).toEqual(['a/err', 'a/f', 'a/moved'])
  for (const path of paths) {
    expect([path, await place.fs.read(`/work/${path}`, 'utf8')]).toEqual([
      path,
      nodeFs.readFileSync(join(folder, path), 'utf8'),
    ])
  }
})

it('may do what its credential may, and no more', async () => {
  const { fs } = place
  await fs.write('/root-only', 'secret')
  await fs.promises.chmod('/root-only', 0o600)
  await fs.mkdir('/home')
  await fs.promises.chown('/home', 1000, 1000)
  const bash = new Bash({ fs: bashFs(fs.as({ uid: 1000, gid: 1000 })), cwd: '/home' })
  expect(await bash.exec('cat /root-only')).toMatchObject({ stdout: '', exitCode: 1 })
  expect(await bash.exec('echo mine > file; cat file')).toMatchObject({ stdout: 'mine\n', exitCode: 0 })
  expect((await fs.stat('/home/file')).uid).toBe(1000)
  await bash.exec('rm -rf /home /root-only; chmod 777 /root-only')
  // just-bash knows of no redirection that is refused: what runs it hears of it.
  await expect(bash.exec('echo changed > /root-only')).rejects.toMatchObject({ code: 'EACCES' })
  expect((await fs.stat('/root-only')).mode & 0o777).toBe(0o600)
  expect(await fs.read('/root-only', 'utf8')).toBe('secret')
})

it('keeps bytes that are no text', async () => {
  const { fs } = place
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
  await fs.write('/bytes', bytes)
  const bash = new Bash({ fs: bashFs(fs), cwd: '/' })
  expect((await bash.exec('cat bytes > copy; cp bytes other; gzip -k bytes; gunzip -c bytes.gz > again')).stderr).toBe(
    '',
  )
  for (const name of ['copy', 'other', 'again'])
    expect([name, ...(await fs.read(`/${name}`))]).toEqual([name, ...bytes])
})
