/** `dotdo fs mount`: a server's filesystem as a folder, by the WebDAV client that the system has. dotdo brings none:
 *  where there is none it says how to get one, and fails. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { Failure } from '@dotdo/core/errors'

/** What is mounted where. */
export interface MountOptions {
  readonly url: URL
  readonly folder: string
  readonly password?: string | undefined
}

/** What the system can mount with. */
export interface MountHost {
  readonly platform: string
  readonly isRoot: boolean
  has(path: string): boolean
}

const davfsPath = '/sbin/mount.davfs'

/** Tell the system's way to mount.
 *  @returns a command; undefined when there is none that could work */
export function mountCommand({ url, folder }: MountOptions, host: MountHost): readonly string[] | undefined {
  if (host.platform === 'darwin') return ['mount_webdav', '-S', url.href, folder]
  if (host.platform !== 'linux' || !host.isRoot) return undefined
  const isThere = host.has(davfsPath) && host.has('/dev/fuse')
  return isThere ? ['mount', '-t', 'davfs', url.href, folder] : undefined
}

/** Say how to mount by hand. */
export function mountHelp({ url, folder }: MountOptions, { platform }: MountHost): string {
  const dav = url.href.replace(/^http/, 'dav')
  const remote = `:webdav,url='${url.href}':`
  const ways: Record<string, string[]> = {
    linux: [
      `as root, with davfs2 (apt-get install davfs2) and /dev/fuse:  mount -t davfs ${url.href} ${folder}`,
      `on a desktop:  gio mount ${dav}`,
      `with rclone and FUSE:  rclone mount "${remote}" ${folder}`,
    ],
    win32: [`net use * ${url.href}`, `with rclone and WinFsp:  rclone mount "${remote}" X:`],
  }
  return (ways[platform] ?? [`rclone mount "${remote}" ${folder}`]).map((way) => `  ${way}`).join('\n')
}

/** The system that we run on. */
export const thisHost: MountHost = {
  platform: process.platform,
  isRoot: process.getuid?.() === 0,
  has: existsSync,
}

/** Mount a filesystem.
 *  @throws unsupported, with how to do it, where the system has no way; unavailable when its way fails */
export async function mount(options: MountOptions, host: MountHost = thisHost): Promise<void> {
  const command = mountCommand(options, host)
  if (command === undefined) {
    throw new Failure(
      'unsupported',
      `nothing here can mount WebDAV as this user. Ways to do it:\n${mountHelp(options, host)}`,
    )
  }
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (bytes) => {
    said += bytes
  })
  // Those that ask for a user and a password read them here.
  child.stdin.on('error', () => undefined)
  child.stdin.end(`dotdo\n${options.password ?? ''}\n`)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code === 0) return
  const why = said.trim() || `exit code ${code}`
  throw new Failure('unavailable', `${command.join(' ')}: ${why}\nOther ways:\n${mountHelp(options, host)}`)
}
