/** `dotdo fs`: the files of a running server. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Failure } from '@dotdo/core/errors'
import { type Command, Option } from 'commander'
import type { FileSummary } from '../http/fs/list.ts'
import {
  askFile,
  findFile,
  inside,
  listFiles,
  makeDirectory,
  remoteOf,
  showRemote,
  statFile,
  transfer,
  urlOf,
} from './fs-client.ts'
import { type Copied, copyFiles } from './fs-copy.ts'
import { mount } from './fs-mount.ts'
import type { CliHost } from './index.ts'
import { addServerOptions, type ServerOptions } from './server.ts'
import { alignRows, printable } from './table.ts'

const help = `
NAME:/path is a file in the filesystem NAME of the server; /path is one in the filesystem \`default\`. In cp, what has
no NAME: in front is on this machine.

  dotdo fs cp -r ./site web:/site              a folder to the server
  dotdo fs ls -l web:/site
  dotdo fs cat web:/site/index.html
  dotdo fs mount web:/ /mnt/web                with the WebDAV client of the system
`

interface FsOptions extends ServerOptions {
  readonly json?: true
  readonly long?: true
  readonly recursive?: true
  readonly parents?: true
  /** `--no-clobber` makes it false. */
  readonly clobber?: boolean
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

function add(parent: Command, usage: string, description: string): Command {
  const command = addServerOptions(parent.command(usage).description(description))
  return command.addOption(new Option('--json', 'the answer as JSON'))
}

const recursive = (what: string) => new Option('-r, --recursive', what)

function showEntry({ name, type, link, size, mode, modified }: FileSummary): string[] {
  const shown = `${name}${type === 'directory' ? '/' : ''}${link === undefined ? '' : ` -> ${link}`}`
  return [mode, String(size), modified, shown]
}

async function list(path: string, { json, long, ...server }: FsOptions): Promise<void> {
  const remote = remoteOf(path)
  const { type, path: at, ...rest } = await statFile(server, remote)
  const entries: FileSummary[] = []
  if (type === 'file') entries.push({ name: at.slice(at.lastIndexOf('/') + 1), type, ...rest })
  else for await (const entry of listFiles(server, remote)) entries.push(entry)
  if (json) return print(JSON.stringify(entries))
  const lines = long
    ? alignRows(entries.map(showEntry)).map((line) => line.trimStart())
    : entries.map(({ name, type: kind }) => `${name}${kind === 'directory' ? '/' : ''}`)
  // A name may hold what would steer a terminal.
  if (lines.length > 0) print(lines.map((line) => (process.stdout.isTTY ? printable(line) : line)).join('\n'))
}

async function cat(paths: readonly string[], server: FsOptions): Promise<void> {
  for (const path of paths) {
    const remote = remoteOf(path)
    if ((await statFile(server, remote)).type === 'directory') {
      throw new Failure('invalid', `${showRemote(remote)} is a directory`)
    }
    const { body } = await askFile(server, remote)
    if (body !== null) await pipeline(Readable.fromWeb(body as never), process.stdout, { end: false })
  }
}

/** Show on a terminal how far copying is; nothing where nobody looks. */
function progress(): { onProgress?(copied: Copied): void; end(): void } {
  if (!process.stderr.isTTY) return { end: () => undefined }
  let shownMs = 0
  return {
    onProgress({ files, bytes }) {
      if (Date.now() - shownMs < 100) return
      shownMs = Date.now()
      process.stderr.write(`\r\x1b[K${files} files, ${(bytes / 1e6).toFixed(1)} MB`)
    },
    end: () => void process.stderr.write('\r\x1b[K'),
  }
}

const counted = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`

async function copy(from: string, to: string, options: FsOptions, host: CliHost): Promise<void> {
  const { json, recursive: isRecursive = false, ...server } = options
  const { end, ...shown } = progress()
  let copied: Copied
  try {
    copied = await copyFiles(from, to, { server, recursive: isRecursive, ...shown })
  } finally {
    end()
  }
  const { files, directories, bytes, skipped, onServer } = copied
  const count = onServer
    ? 'copied on the server'
    : [
        counted(files, 'file', 'files'),
        counted(directories, 'directory', 'directories'),
        counted(bytes, 'byte', 'bytes'),
      ].join(', ')
  print(json ? JSON.stringify(copied) : count)
  if (skipped.length === 0) return
  const more = skipped.length > 10 ? ', ...' : ''
  process.stderr.write(`left out, neither files nor directories: ${skipped.slice(0, 10).join(', ')}${more}\n`)
  host.exit(1)
}

async function remove(paths: readonly string[], { json, recursive: isRecursive, ...server }: FsOptions): Promise<void> {
  for (const path of paths) {
    const remote = remoteOf(path)
    const { type, link } = await statFile(server, remote)
    if (type === 'directory' && link === undefined && !isRecursive) {
      throw new Failure('invalid', `${showRemote(remote)} is a directory: remove it with -r`)
    }
    await askFile(server, remote, { method: 'DELETE' })
  }
  if (json) print(JSON.stringify({ removed: paths }))
}

async function move(from: string, to: string, { json, clobber = true, ...server }: FsOptions): Promise<void> {
  const [source, target] = [remoteOf(from), remoteOf(to)]
  if (source.database !== target.database) {
    throw new Failure('unsupported', 'from one filesystem to another nothing moves: copy, then remove')
  }
  const isInto = (await findFile(server, target))?.type === 'directory'
  const name = source.path.slice(source.path.lastIndexOf('/') + 1)
  const moved = isInto ? inside(target, name) : target
  await transfer(server, 'MOVE', { from: source, to: moved, overwrite: clobber })
  if (json) print(JSON.stringify({ moved: showRemote(moved) }))
}

async function stat(path: string, { json, ...server }: FsOptions): Promise<void> {
  const remote = remoteOf(path)
  const found = await statFile(server, remote)
  print(json ? JSON.stringify(found) : alignRows(Object.entries(found).map(([k, v]) => [k, String(v)])).join('\n'))
}

/** Add the command. */
export function addFs(program: Command, host: CliHost): void {
  const fs = program.command('fs').description('Work with the files of a running server.').addHelpText('after', help)
  add(fs, 'ls <path>', 'List a directory.')
    .addOption(new Option('-l, --long', 'permissions, sizes and times too'))
    .action(list)
  add(fs, 'cat <path...>', 'Write files to standard output.').action(cat)
  add(fs, 'cp <from> <to>', 'Copy to, from or on the server.')
    .addOption(recursive('a directory with all that is in it'))
    .action((from: string, to: string, options: FsOptions) => copy(from, to, options, host))
  add(fs, 'rm <path...>', 'Remove files.').addOption(recursive('directories with all that is in them')).action(remove)
  add(fs, 'mkdir <path>', 'Make a directory; NAME:/ makes a filesystem.')
    .addOption(new Option('-p, --parents', 'those above it too, if they are missing'))
    .action(async (path: string, { json, parents, ...server }: FsOptions) => {
      await makeDirectory(server, remoteOf(path), parents === true)
      if (json) print(JSON.stringify({ made: showRemote(remoteOf(path)) }))
    })
  add(fs, 'mv <from> <to>', 'Move or rename.')
    .addOption(new Option('--no-clobber', 'refuse to replace what is there'))
    .action(move)
  add(fs, 'stat <path>', 'Tell all about a file.').action(stat)
  add(fs, 'mount <path> <folder>', 'Mount a directory with the WebDAV client of the system.').action(
    async (path: string, folder: string, { json, password, ...server }: FsOptions) => {
      const remote = remoteOf(path)
      const options = { ...server, ...(password !== undefined && { password }) }
      if ((await statFile(options, remote)).type !== 'directory') {
        throw new Failure('invalid', `${showRemote(remote)} is no directory`)
      }
      await mount({ url: urlOf(server, remote, true), folder, password })
      print(json ? JSON.stringify({ mounted: folder }) : `${showRemote(remote)} is mounted on ${folder}`)
    },
  )
}
