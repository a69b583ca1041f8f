/** Counting a process' syncs from outside, with strace. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'

/** Whether strace is there and allowed to attach. */
export function straceWorks(): boolean {
  return spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0
}

async function attach(pid: number, flags: readonly string[]): Promise<{ child: ChildProcess; output(): string }> {
  const child = spawn('strace', ['-f', '-p', String(pid), '-e', 'trace=fsync,fdatasync', ...flags])
  let output = ''
  // Its first word on standard error is that it is attached.
  await new Promise<void>((resolve, reject) => {
    child.on('exit', () => reject(new Error(`strace ended:\n${output}`)))
    child.stderr.on('data', (bytes) => {
      output += bytes
      if (/attached/.test(output)) resolve()
    })
  })
  return { child, output: () => output }
}

async function detach(child: ChildProcess): Promise<void> {
  child.removeAllListeners('exit')
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGINT')
  await ended
}

/** Count how often a process syncs a file while work is done. */
export async function countSyncs(pid: number, work: () => Promise<unknown>): Promise<number> {
  const { child, output } = await attach(pid, [])
  try {
    await work()
  } finally {
    await detach(child)
  }
  return output().match(/\bf(data)?sync\(\d/g)?.length ?? 0
}

/** Let every sync of a process fail while work is done. */
export async function failSyncs(pid: number, work: () => Promise<unknown>): Promise<void> {
  const { child } = await attach(pid, ['-e', 'inject=fsync,fdatasync:error=EIO'])
  try {
    await work()
  } finally {
    await detach(child)
  }
}
